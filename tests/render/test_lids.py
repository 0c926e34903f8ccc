"""Upper lids of the demo photo: what they show when they come down."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from parlante.contract import VERTICES, Float
from parlante.face.topology import EYE_LEFT, EYE_RIGHT
from parlante.render.lids import ABOVE, CREASE, EDGE, LID_VERTICES
from parlante.render.mesh import LID_START, WarpMesh
from tests.support.portrait_samples import avatar, mode, model

N = len(EDGE)


@cache
def mesh() -> WarpMesh:
    return WarpMesh.of(model(), avatar().portrait)


def shut(share: float) -> tuple[Float, Float]:
    """Vertices [V, 2] and their source in the photo, lids shut by a share."""
    expression = avatar().portrait.expression.copy()
    blink = [mode("eyeBlink_R"), mode("eyeBlink_L")]
    expression[blink] += share * (mesh().closed_blink - expression[blink])
    moved = mesh().move(expression[None], avatar().portrait.pose)
    return moved.vertices[0, :, :2], moved.source[0]


def rows(values: Float) -> Float:
    """Of the new vertices [3, N, 2]: top of what comes down, end and middle of new skin."""
    return values[LID_START : LID_START + LID_VERTICES].reshape(3, N, 2)


def test_nothing_is_new_at_rest() -> None:
    vertices, source = shut(0)
    np.testing.assert_allclose(vertices, source, rtol=0, atol=1e-3)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_lashes_come_down_whole(share: float) -> None:
    """What lies next to the edge keeps its height, and what it shows."""
    (before, _), (after, source) = shut(0), shut(share)
    assert (after[EDGE, 1] - before[EDGE, 1]).max() > 2
    height = [np.linalg.norm(rows(v)[0] - v[EDGE], axis=1) for v in (before, after)]
    np.testing.assert_allclose(height[1], height[0], rtol=0.15)
    np.testing.assert_allclose(rows(source)[0], rows(before)[0], rtol=0, atol=1e-3)


def test_new_skin_is_that_above_the_crease() -> None:
    """None of it is of the eye, or of the brow; it ends where it began, at the crease."""
    vertices, source = shut(1)
    _, end, middle = rows(source)
    crease, up = source[CREASE], source[ABOVE] - source[CREASE]
    length = np.square(up).sum(1)
    for row, least, most in ((end, 0.1, 0.2), (middle, 0.15, 0.85)):
        share = ((row - crease) * up).sum(1) / length
        assert least < share.min() <= share.max() < most
    # It lies between the crease and the lashes.
    _, low, half = rows(vertices)
    assert (vertices[CREASE, 1] < half[:, 1]).all() and (half[:, 1] < low[:, 1]).all()
    assert (low[:, 1] < vertices[EDGE, 1]).all()


def test_columns_are_the_upper_lids() -> None:
    """The two eyes mirror each other, and each crease lies above its edge."""
    points = avatar().portrait.landmarks
    assert set(EDGE) <= {*EYE_RIGHT, *EYE_LEFT} and max(ABOVE) < VERTICES
    for lower, upper in ((EDGE, CREASE), (CREASE, ABOVE)):
        assert (points[upper, 1] < points[lower, 1]).all()
    middle = points[EDGE, 0].mean()
    away = np.abs(points[EDGE, 0] - middle).reshape(2, -1)
    np.testing.assert_allclose(away[0], away[1], atol=5)
