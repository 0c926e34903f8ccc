"""The packaged demo photo and voice, and one encoded face, that several test files share."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from parlante.avatar import Avatar
from parlante.contract import Float
from parlante.face.model import FaceModel
from parlante.face.pose import Pose
from parlante.media.photo import load_image
from parlante.runtime.assets import demo
from parlante.runtime.bundle import Bundle
from parlante.speech.audio import decode_audio

with demo() as (PHOTO, VOICE):  # files of the installed package: they stay
    pass


@cache
def model() -> FaceModel:
    return FaceModel.load(Bundle.default().path("face_model.npz"))


def mode(name: str) -> int:
    """Index of an expression mode."""
    return model().expression_names.index(name)


def expression(**modes: float) -> Float:
    """Expression coefficients float32 [1, 53], zero but for ``modes``."""
    out = np.zeros((1, len(model().expression_names)), np.float32)
    for name, value in modes.items():
        out[0, mode(name)] = value
    return out


def frontal(count: int = 1, scale: float = 8.0) -> Pose:
    """``count`` times a face that looks straight out of the middle of a 256² crop."""
    return Pose(
        np.zeros((count, 3), np.float32),
        np.tile(np.array([128, 140, 0], np.float32), (count, 1)),
        np.full(count, scale, np.float32),
    )


@cache
def demo_rgb() -> NDArray[np.uint8]:
    """The demo photo, uint8 [352, 352, 3]: one face of about 110 pixels."""
    return load_image(PHOTO).rgb


@cache
def demo_speech() -> NDArray[np.float32]:
    """The demo voice, float32 [n] at 16 kHz."""
    return np.concatenate(list(decode_audio(VOICE)))


@cache
def avatar() -> Avatar:
    """The demo photo, encoded without the cache."""
    return Avatar(PHOTO, cache=False)
