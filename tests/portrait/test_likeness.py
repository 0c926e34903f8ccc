"""Pictures of several people in one call are told."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from parlante.contract import Float, Image
from parlante.media.photo import Photo
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.likeness import Likeness, people
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import demo_rgb


def pictures() -> list[Image]:
    """Of one person: as it is, mirrored, dark and small, turned."""
    rgb = demo_rgb()
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 15, 0.9)
    small = cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    made = [rgb, rgb[:, ::-1], small // 2, cv2.warpAffine(rgb, turn, (width, height))]
    return [np.ascontiguousarray(image, np.uint8) for image in made]


def test_one_person_in_several_pictures(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        encoder = PortraitEncoder(Bundle.default())
        encoder.encode([Photo(image, None) for image in pictures()])
    assert not caplog.records


def test_several_people_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = iter(np.eye(128, dtype=np.float32)[[0, 0, 5, 0]])
    monkeypatch.setattr(Likeness, "of", lambda *_: next(seen))
    encoder = PortraitEncoder(Bundle.default())
    encoder.encode([Photo(image, None) for image in pictures()])
    assert [one.message for one in caplog.records] == [
        "the faces in 4 pictures seem to be of 2 people (1, 2, 4 and 3); give those of one person"
    ]


@pytest.mark.parametrize(
    ("angles", "groups"),
    [
        ([0], [[0]]),
        ([0, 40], [[0, 1]]),
        ([0, 90], [[0], [1]]),
        ([0, 130, 65], [[0, 1, 2]]),  # the third is like both
        ([0, 100, 10, 110], [[0, 2], [1, 3]]),
    ],
)
def test_who_is_like_whom(angles: list[float], groups: list[list[int]]) -> None:
    turned = np.radians(angles)
    faces: Float = np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32)
    assert people(faces) == groups
