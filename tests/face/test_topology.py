"""Tables of vertices, and how wide lips and lids are open."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from parlante.contract import VERTICES, Float
from parlante.face.pose import rotation_matrix
from parlante.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    LANDMARKS_68,
    LID_PAIRS_LEFT,
    LID_PAIRS_RIGHT,
    LIP_PAIRS,
    LIPS_INNER,
    LIPS_OUTER,
    RIGID,
    eye_aperture,
    lip_aperture,
)
from tests.support.portrait_samples import expression, frontal, model


def test_tables_of_vertices() -> None:
    open_mouth = model().shape(np.zeros(100, np.float32), expression(jawOpen=0.5))[0]
    for loop in (LIPS_INNER, LIPS_OUTER, EYE_RIGHT, EYE_LEFT, FACE_OVAL):
        assert len(set(loop)) == len(loop)
        points = open_mouth[list(loop), :2]
        assert cv2.contourArea(points) > 1  # in order around the opening, not criss-cross
        assert len(cv2.convexHull(points)) > len(loop) // 3
    assert len(LANDMARKS_68) == 68
    assert max(RIGID) < VERTICES
    assert not set(RIGID) & {*LIPS_INNER, *LIPS_OUTER, *EYE_RIGHT, *EYE_LEFT}
    assert model().face_triangles.max() == VERTICES - 1
    assert model().teeth_triangles.max() == len(model().teeth_places) - 1


def face_with(pairs: tuple[tuple[int, int], ...], corners: tuple[int, int]) -> Float:
    points = np.zeros((1, VERTICES, 3), np.float32)
    points[0, corners[0], :2], points[0, corners[1], :2] = (-6, 1), (6, 1)
    for k, (top, bottom) in enumerate(pairs):
        points[0, top, :2], points[0, bottom, :2] = (k - 1, -k), (k - 1, 1)
    return points


def test_apertures_by_hand() -> None:
    """Openings of 1, 2 and 3 over a width of 12: a sixth, in any turned or enlarged picture."""
    lips = face_with(LIP_PAIRS, (78, 308))
    eyes = face_with(LID_PAIRS_RIGHT, (33, 133)) + 2 * face_with(LID_PAIRS_LEFT, (362, 263))
    turn = rotation_matrix(np.array([0, 0, 0.7], np.float32)) * 5
    for change in (np.eye(3, dtype=np.float32), turn):
        moved = (lips @ change.T + 40).astype(np.float32)
        assert lip_aperture(moved)[0] == pytest.approx(1 / 6, abs=1e-5)
        assert lip_aperture(moved[..., :2])[0] == pytest.approx(1 / 6, abs=1e-5)
        moved = (eyes @ change.T + 40).astype(np.float32)
        np.testing.assert_allclose(eye_aperture(moved), [[1 / 6, 1 / 6]], atol=1e-5)


def test_aperture_of_a_collapsed_face_is_finite() -> None:
    nothing = np.zeros((2, VERTICES, 3), np.float32)
    assert np.array_equal(lip_aperture(nothing), [0, 0])
    assert np.array_equal(eye_aperture(nothing), np.zeros((2, 2)))


def test_apertures_follow_the_modes() -> None:
    shown = np.concatenate(
        [expression(), expression(jawOpen=0.5), expression(jawOpen=1), expression(eyeBlink_R=0.8)]
    )
    points = frontal(4).apply(model().shape(np.zeros(100, np.float32), shown))
    lips, eyes = lip_aperture(points), eye_aperture(points)
    assert lips[0] < 0.05 < 0.3 < lips[1] < lips[2]
    assert lips[3] == pytest.approx(lips[0], abs=1e-4)
    assert eyes[3, 0] < 0.5 * eyes[0, 0]
    assert eyes[3, 1] == pytest.approx(eyes[0, 1], abs=1e-4)
