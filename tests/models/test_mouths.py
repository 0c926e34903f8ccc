"""Mouths beside those of people."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluate.mouths import LEAST, SPANS, brightness, by_opening, measures, shape
from parlante.contract import Float
from parlante.face.topology import LIPS_INNER
from tests.support.portrait_samples import avatar

UPPER, LOWER = 13, 14


def landmarks() -> Float:
    """Of a face that fills a picture of 256 pixels."""
    return np.asarray(avatar().portrait.landmarks[:468].copy(), np.float32)


def parted(by: float) -> Float:
    """With a lower lip that has gone down by so many pixels, chin and all."""
    out = landmarks()
    below = out[:, 1] > (out[UPPER, 1] + out[LOWER, 1]) / 2
    out[below, 1] += by
    return out


def test_shape_does_not_depend_on_the_size_of_the_face() -> None:
    small = shape(landmarks())
    assert shape(2.5 * landmarks() + 7) == pytest.approx(small, rel=1e-4)


def test_a_jaw_that_falls_parts_lips_and_leaves_their_thickness() -> None:
    rest, wide = shape(landmarks()), shape(parted(20))
    assert wide["parted"] > rest["parted"] + 0.2
    for lip in ("upper_lip", "lower_lip"):
        assert wide[lip] == pytest.approx(rest[lip], rel=1e-3)
    assert wide["chin"] > 1.05 * rest["chin"]


def test_brightness_is_over_that_of_the_cheeks() -> None:
    points = parted(20)
    picture = np.full((320, 256, 3), 200, np.uint8)
    ring = points[list(LIPS_INNER), :2]
    top, bottom = int(ring[:, 1].min()) - 1, int(ring[:, 1].max()) + 2
    left, right = int(ring[:, 0].min()) - 1, int(ring[:, 0].max()) + 2
    picture[top:bottom, left:right] = 50
    seen = brightness(picture, points)
    assert seen["inside"] == pytest.approx(0.25, abs=0.01)
    assert brightness(picture // 2, points) == pytest.approx(seen, abs=0.01)


def test_medians_by_opening() -> None:
    rest = shape(landmarks())
    picture = np.full((320, 256, 3), 128, np.uint8)
    faces = [*[parted(20)] * LEAST, None, *[landmarks()] * LEAST]
    rows = measures([picture] * len(faces), faces, rest)
    assert len(rows) == 2 * LEAST  # none where no face was found
    found_open = by_opening(rows)
    assert list(found_open) == ["half", "wide"]  # the photo's lips are parted, too
    assert found_open["wide"]["chin"] > 1.05 > found_open["half"]["chin"] == pytest.approx(1)
    assert set(SPANS) < set(found_open["wide"])
    assert by_opening(rows[: LEAST - 1]) == {}
