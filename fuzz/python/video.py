"""Videos, from a file to the first frames."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

from fuzz.input import refusal
from parlante.media.video import read_video

FRAMES = 8

av.logging.set_level(av.logging.PANIC)
_folder = tempfile.TemporaryDirectory()
_file = Path(_folder.name) / "video.mp4"


def check(data: bytes) -> None:
    _file.write_bytes(data)
    with refusal():
        for frame in islice(read_video(_file, fps=Fraction(25)), FRAMES):
            assert frame.ndim == 3 and frame.shape[2] == 3 and frame.size <= 1920 * 1090 * 3
