"""Shut lids beside those of people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.evaluate.lids import ALONG, darkness
from models.evaluate.metrics import Image
from parlante.contract import Float
from parlante.face.topology import EYE_LEFT, EYE_RIGHT
from parlante.render.contact import sides
from tests.support.portrait_samples import avatar

SCALE = 4


def shut() -> Float:
    """Landmarks, in pixels of a large picture, of lids that have met in straight lines."""
    points = SCALE * np.asarray(avatar().portrait.landmarks[:468, :2].copy(), np.float32)
    for loop in (EYE_RIGHT, EYE_LEFT):
        ends = points[[loop[0], loop[len(loop) // 2]]]
        for side in sides(loop):
            share = np.linspace(0, 1, len(side) + 2, dtype=np.float32)[1:-1, None]
            points[side] = ends[0] + share * (ends[1] - ends[0])
    return points


def picture(until: float, level: int = 50) -> tuple[Image, float]:
    """Skin of 200 and lines of ``level`` from the inner corners to that share of the eyes.

    And how thick they are, over the width of an eye.
    """
    out: Image = np.full((256 * SCALE, 256 * SCALE, 3), 200, np.uint8)
    points, thick, width = shut(), 12, 0.0
    for inner, outer in ((EYE_RIGHT[8], EYE_RIGHT[0]), (EYE_LEFT[0], EYE_LEFT[8])):
        start, way = points[inner], points[outer] - points[inner]
        far = np.linalg.norm(way)
        ends = [start - 0.1 * way, start + until * way]
        corners = [tuple(np.round(end).astype(int).tolist()) for end in ends]
        cv2.line(out, *corners, (level,) * 3, thick)
        width += float(far) / 2
    return out, thick / width


def test_darkness_is_how_wide_and_how_dark_a_line_is() -> None:
    seen, thick = picture(1.1)
    found = darkness(seen, shut())
    assert list(found) == list(ALONG)
    for value in found.values():
        assert value == pytest.approx(0.75 * thick, rel=0.15)
    darker = darkness(picture(1.1, level=0)[0], shut())
    assert darker["middle"] == pytest.approx(found["middle"] / 0.75, rel=0.02)
    # It is over the skin's own light.
    assert darkness(seen // 2, shut())["middle"] == pytest.approx(found["middle"], rel=0.03)


def test_places_are_counted_from_the_nose() -> None:
    found = darkness(picture(0.4)[0], shut())
    assert min(found["inner corner"], found["quarter"]) > 0.05
    assert max(found["three quarters"], found["outer corner"]) < 1e-3


def test_skin_without_a_line_is_not_dark() -> None:
    plain: Image = np.full((256 * SCALE, 256 * SCALE, 3), 120, np.uint8)
    assert max(darkness(plain, shut()).values()) < 1e-3
