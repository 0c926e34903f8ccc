"""Writing files: what carries the name that was asked for is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from parlante.errors import OutputError, reason
from parlante.media.hidden import Hidden

Own = TypeVar("Own", bound="WholeOrNothing")

# Of names that no file can have: too long, with a zero byte, with a link that leads to itself.
_NAMES: Final = (OSError, ValueError, RuntimeError)


class WholeOrNothing(ABC):
    """A context manager: leaving the block closes, an exception in the block aborts."""

    _path: Path
    _closed: bool

    @property
    @abstractmethod
    def frames(self) -> int:
        """Frames written so far."""

    def close(self) -> None:
        """Finish what was written and give it its name; a second call does nothing.

        Raises:
            OutputError: no frame was written, or it cannot be finished; nothing is left.
        """
        if self._closed:
            return
        if self.frames == 0:
            self.abort()
            raise OutputError(f"{self._path}: no frame was written; write at least one")
        self._finish()

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def abort(self) -> None:
        """Drop what was written."""

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class PartialFile:
    """A file under construction: it has a temporary name in the folder it will end up in.

    `commit` gives it its own name; until then, and after `drop`, what had that name is as it was.
    A forgotten one is removed when the interpreter ends, that of a killed process by the next one
    of the same ``target``.
    """

    def __init__(self, target: Path) -> None:
        """Create the temporary file.

        Raises:
            OutputError: there is no such folder, it may not be written to, or ``target`` is there
                and no file.
        """
        try:
            target = target.resolve()  # replaces what a link points at, not the link
            if not target.parent.is_dir():
                raise OutputError(
                    f"{target}: the folder {target.parent} does not exist; create it first"
                )
            if target.exists() and not target.is_file():
                raise OutputError(f"{target} is there and is no file; choose another name")
        except _NAMES as error:
            raise _no_name(target, error) from error
        self.target = target
        try:
            self._hidden = Hidden(target)
        except OSError as error:
            raise OutputError(
                f"{target} cannot be written ({reason(error)}); check the folder's permissions and "
                "the space left"
            ) from error
        self.path = self._hidden.path

    def commit(self) -> None:
        """Give the file its name, once its bytes are on the disk. Raises OSError."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._hidden.keep()

    def drop(self) -> None:
        """Remove the file; after `commit`, or a second time, this does nothing."""
        self._hidden.drop()


class StandardOutput:
    """What `PartialFile` is for a file, of standard output: what was written stays written."""

    target = Path("-")

    def write(self, data: bytes) -> int:
        """Write all of ``data``. Raises OSError."""
        if sys.stdout is None:  # as a shell's `>&-` has it
            raise OSError(errno.EBADF, "standard output is closed")
        sys.stdout.buffer.write(data)
        return len(data)

    def commit(self) -> None:
        """Pass on what is still held back. Raises OSError."""
        sys.stdout.buffer.flush()

    def drop(self) -> None:
        """Nothing can be taken back."""


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, all of it or nothing.

    Raises:
        OutputError: it cannot be written; what was there before is as it was.
    """
    partial = PartialFile(path)
    try:
        partial.path.write_bytes(data)
        partial.commit()
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({reason(error)}); free some space") from error
    finally:
        partial.drop()


def keep_inputs(target: Path, inputs: Iterable[object]) -> None:
    """OutputError if ``target`` is one of ``inputs``, by whatever name; what is no path is not.

    OutputError also if it cannot be the name of a file.
    """
    try:
        written = target.resolve()
        written.exists()  # raises what is too long
    except _NAMES as error:
        raise _no_name(target, error) from error
    for one in inputs:
        with contextlib.suppress(OSError, ValueError):  # one of them is not there
            if isinstance(one, (str, Path)) and written.samefile(one):
                raise OutputError(
                    f"{target} is read here, as {one}; give what is written another name"
                )


def _no_name(target: Path, error: Exception) -> OutputError:
    return OutputError(f"{target} cannot be a file ({reason(error)}); give another name")
