"""Sound files, decoded whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
import numpy as np

from fuzz.input import refusal
from parlante.speech.audio import decode_audio, read_audio

LONGEST_S = 10

av.logging.set_level(av.logging.PANIC)
_folder = tempfile.TemporaryDirectory()
_file = Path(_folder.name) / "sound"


def check(data: bytes) -> None:
    _file.write_bytes(data)
    with refusal():
        samples, rate = read_audio(_file, LONGEST_S)
        assert np.isfinite(samples).all()
        total = sum(len(chunk) for chunk in decode_audio(_file))
        assert total == -(-len(samples) * 16_000 // rate)
