"""Hidden files and folders, in which what is asked for is made before it gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import sys
import weakref
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

PREFIX: Final = ".parlante-"


class Hidden:
    """A hidden file or folder beside a target, locked for as long as its process lives.

    What processes that were killed left of the same target is removed when the next one is made;
    not on Windows, and not on file systems without locks. A forgotten one is removed when the
    interpreter ends.
    """

    def __init__(self, target: Path, *, folder: bool = False) -> None:
        """Make an empty one. Raises OSError."""
        mark = _mark(target)
        for left in target.parent.glob(f"{PREFIX}{mark}-*.partial"):
            with contextlib.suppress(OSError):  # it is locked, or another has removed it
                lock = _lock(left)
                if lock is not None:
                    _remove(left, lock)
        while True:
            self.path = target.with_name(f"{PREFIX}{mark}-{secrets.token_hex(8)}.partial")
            if folder:
                self.path.mkdir()
            else:
                self.path.open("xb").close()
            with contextlib.suppress(BlockingIOError, FileNotFoundError):  # taken for a left one
                lock = _lock(self.path)
                if self.path.exists():
                    break
                _close(lock)
        self._lock = lock
        self._drop = weakref.finalize(self, _remove, self.path, lock)

    def keep(self) -> None:
        """It has its name now, and is no longer this one's."""
        self._drop.detach()
        _close(self._lock)

    def drop(self) -> None:
        """Remove it; after `keep`, or a second time, this does nothing."""
        self._drop()


def _mark(target: Path) -> str:
    """Stands for a target in the names of what it is made in, and for those as targets."""
    if target.name.startswith(PREFIX):
        return target.name.removeprefix(PREFIX).partition("-")[0]
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]


def _lock(path: Path) -> int | None:
    """Descriptor that holds the lock; None where there are none. BlockingIOError: it is held."""
    if sys.platform == "win32":
        return None
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _close(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _remove(path: Path, lock: int | None) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
    _close(lock)
