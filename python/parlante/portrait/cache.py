"""Encoded faces that are kept: in memory for this process, in a folder for the next one."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from parlante.checks import path_of
from parlante.errors import ImageError, OutputError
from parlante.portrait.portrait import SUFFIX, Portrait, read_portrait

IN_MEMORY = 8  # portraits, the latest used

_memory: OrderedDict[str, Portrait] = OrderedDict()
_lock = Lock()


class PortraitCache:
    """Portraits by their key, a digest of all that decides them. Any thread may use it."""

    def __init__(self, folder: Path | str | bool | None = None) -> None:
        """Open the cache.

        folder: where portraits are kept; None or True for the user's cache folder, False keeps
        nothing, not even in memory.
        """
        self._folder: Path | None = None
        if folder is None or folder is True:
            self._folder = user_folder()
        elif folder is not False:
            self._folder = path_of(folder, ImageError)

    def get(self, key: str) -> Portrait | None:
        """The portrait of that key; None when it is not there, or damaged."""
        if self._folder is None:
            return None
        with _lock:
            if key in _memory:
                _memory.move_to_end(key)
                return _memory[key]
        try:
            portrait = read_portrait(self._folder / f"{key}{SUFFIX}")
        except ImageError:
            return None  # made anew
        if portrait.key != key:
            return None  # another's, under this name
        self._remember(portrait)
        return portrait

    def put(self, portrait: Portrait) -> None:
        """Keep ``portrait``; a folder that cannot be written to keeps nobody from speaking."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError, ValueError, OutputError):
            self._folder.mkdir(parents=True, exist_ok=True)
            portrait.save(self._folder / f"{portrait.key}{SUFFIX}")
        self._remember(portrait)

    def _remember(self, portrait: Portrait) -> None:
        with _lock:
            _memory[portrait.key] = portrait
            while len(_memory) > IN_MEMORY:
                _memory.popitem(last=False)


def user_folder() -> Path:
    """Where this user's encoded faces are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "parlante"
