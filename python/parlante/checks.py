"""Numbers, names and paths that users give."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Sequence
from io import BufferedReader
from os import PathLike
from pathlib import Path

import numpy as np

from parlante.errors import ParlanteError, shown

FRAMES = "head", "photo"  # what a frame shows, where it is not so many pixels of the photo
SIDES = 128, 1920  # of a frame, pixels


def whole(name: str, value: int, low: int, high: int) -> int:
    """``value`` as an int; ParlanteError unless it is a whole number from ``low`` to ``high``."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not low <= value <= high
    ):
        raise ParlanteError(f"{name}={shown(value)}; give a whole number from {low} to {high}")
    return int(value)


def number(name: str, value: float, most: float, meaning: str) -> float:
    """``value`` as a float; ParlanteError, which says what it means, outside 0 to ``most``."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not 0 <= value <= most
    ):
        raise ParlanteError(f"{name}={shown(value)}; give a number from 0 {meaning}")
    return float(value)


def frame_pixels(frame: str) -> tuple[int, int] | None:
    """Width and height of ``"1920x1080"``, a frame of so many pixels; None for one of `FRAMES`.

    Raises:
        ParlanteError: it is neither, or a side is odd, or not from 128 to 1920.
    """
    known = isinstance(frame, str)
    if known and frame in FRAMES:
        return None
    sides = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", frame) if known else None
    low, high = SIDES
    if sides is None or any(int(n) % 2 or not low <= int(n) <= high for n in sides.groups()):
        raise ParlanteError(
            f"frame={shown(frame)}; give {', '.join(FRAMES)}, or width and height in pixels, both "
            f"even, from {low} to {high}: 1920x1080"
        )
    width, height = map(int, sides.groups())
    return width, height


def path_of(given: str | PathLike[str], error: type[ParlanteError]) -> Path:
    """``given`` as a path; ``error`` for what is none."""
    try:
        return Path(given)
    except TypeError:
        raise error(f"the path is {shown(given)}; give a text or a pathlib.Path") from None


def open_file(path: Path) -> BufferedReader:
    """A file to be read. OSError: also for a pipe or a device, of which nobody knows the end."""
    return open(path, "rb", opener=_descriptor)


def read_file(path: Path) -> bytes:
    """All that a file holds. OSError as of `open_file`."""
    with open_file(path) as file:
        return file.read()


def _descriptor(path: str, flags: int) -> int:
    # Without waiting for who writes to a pipe.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):  # a folder is refused by `open`
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "a pipe or a device, no file")


def choice(name: str, value: str, known: Sequence[str]) -> str:
    """``value``; ParlanteError unless it is one of ``known``."""
    if not isinstance(value, str) or value not in known:
        raise ParlanteError(f"{name}={shown(value)}; give one of {', '.join(known)}")
    return value
