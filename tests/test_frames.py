"""Frames are what they were when they were pinned (`tests.support.frames`), to the bit where the
environment is the same, to the eye elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parlante import Frame
from tests.support.frames import CASES, PINS, Pin, clips, environment, pin

# Grey levels of a thumbnail. Another BLAS alone moves float32 by 1 and 8 bits by 2 (mean 0.2);
# a tenth more of lips or head moves some thumbnail by 9 or more, another seed by 90.
LARGEST, MEAN = 4, 0.35


@pytest.fixture(scope="module")
def pinned() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(PINS.read_text())
    return content


def assert_looks_the_same(made: Pin, wanted: Pin) -> None:
    assert made.frames == wanted.frames
    error = np.abs(made.thumbnails.astype(int) - wanted.thumbnails)
    assert error.max() <= LARGEST
    assert error.mean() <= MEAN


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_that_were_pinned(name: str, pinned: dict[str, Any]) -> None:
    case = CASES[name]
    if case.clip is not None:
        try:
            clips()
        except FileNotFoundError as error:
            pytest.skip(str(error))
    made, wanted = pin(case), Pin.from_json(pinned["cases"][name])
    assert_looks_the_same(made, wanted)
    if environment() == pinned["environment"]:
        assert made.sha256 == wanted.sha256


def test_every_case_is_pinned(pinned: dict[str, Any]) -> None:
    assert pinned["cases"].keys() == CASES.keys()


def test_thumbnails_tell_other_lips(pinned: dict[str, Any]) -> None:
    """What is compared where bits may differ sees a change of a quarter of the lips' motion."""
    case = CASES["int8"]
    other = pin(replace(case, options={**case.options, "expression": 1.25}))
    with pytest.raises(AssertionError):
        assert_looks_the_same(other, Pin.from_json(pinned["cases"]["int8"]))


def test_digest_sees_picture_sound_and_time() -> None:
    image, sound = np.full((128, 128, 3), 99, np.uint8), np.zeros(640, np.int16)

    def digest(change: str = "") -> str:
        def frames() -> Iterator[Frame]:
            frame = Frame(image.copy(), 640, sound.copy())
            if change == "image":
                frame.image[5, 5, 1] ^= 1
            elif change == "audio":
                frame.audio[3] = 1
            yield replace(frame, pts=641) if change == "pts" else frame

        return Pin.of(frames()).sha256

    assert digest() == digest()
    assert len({digest(change) for change in ("", "image", "audio", "pts")}) == 4
