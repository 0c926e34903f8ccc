"""Standard input as a file, for what reads files more than once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parlante.errors import AudioError, reason

MOST_BYTES = 2 << 30


@contextmanager
def spooled_sound() -> Iterator[Path]:
    """All of standard input in a temporary file, for as long as the block runs.

    Raises:
        AudioError: there is nothing, more than `MOST_BYTES`, or no space for it.
    """
    with tempfile.TemporaryDirectory(prefix="parlante-") as folder:
        path = Path(folder) / "standard-input"
        try:
            size = _spool(path)
        except OSError as error:
            raise AudioError(
                f"standard input cannot be kept in {folder} ({reason(error)}); free space there, "
                "or name another folder in TMPDIR"
            ) from error
        if not size:
            raise AudioError("standard input is empty; send a sound file to it, or name one")
        yield path


def _spool(path: Path) -> int:
    size = 0
    with path.open("wb") as file:
        while piece := os.read(0, 1 << 16):
            size += len(piece)
            if size > MOST_BYTES:
                raise AudioError(
                    f"standard input is more than {MOST_BYTES >> 30} GiB; name a sound file"
                )
            file.write(piece)
    return size
