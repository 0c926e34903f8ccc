"""The packaged demo photo and voice, and one encoded face, that several test files share."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parlante.avatar import Avatar
from parlante.contract import Float
from parlante.face.model import FaceModel
from parlante.face.pose import Pose
from parlante.media.photo import load_image
from parlante.portrait.portrait import Portrait
from parlante.portrait.references import References
from parlante.runtime.assets import demo
from parlante.runtime.bundle import Bundle
from parlante.speech.audio import decode_audio
from parlante.speech.dynamics import ANYBODY

with demo() as (PHOTO, VOICE):  # files of the installed package: they stay
    pass


@cache
def model() -> FaceModel:
    return FaceModel.of(Bundle.default().arrays("face_model"))


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


def blank() -> Portrait:
    """A portrait of nothing, whose file is small."""
    nothing = References.none()
    return Portrait(
        photo=np.zeros(3, np.uint8),
        box=np.array([2.0, 1.0, 8.0]),
        canvas=np.zeros((10, 11, 4), np.uint8),
        crop=np.array([2, 1, 8]),
        landmarks=np.zeros((468, 3), np.float32),
        identity=np.zeros(100, np.float32),
        expression=np.zeros(53, np.float32),
        rotation=np.zeros((1, 3), np.float32),
        translation=np.zeros((1, 3), np.float32),
        scale=np.ones(1, np.float32),
        manner=ANYBODY,
        references=nothing.atlases,
        reference_places=nothing.places,
        key="0123",
    )


def fields_of(portrait: Portrait) -> dict[str, NDArray[Any]]:
    """Its fields as arrays, by name."""
    return {f.name: np.asarray(getattr(portrait, f.name)) for f in fields(portrait)}


def assert_same_portrait(a: Portrait, b: Portrait) -> None:
    """Field by field, to the bit."""
    for name, array in fields_of(a).items():
        other = fields_of(b)[name]
        assert array.dtype == other.dtype, name
        assert array.tobytes() == other.tobytes(), name
        assert array.shape == other.shape, name
