"""The outline of a turned face: the demo photo's landmarks turned away, and folds drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from parlante.contract import Float
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, FACE_OVAL, LIPS_INNER, LIPS_OUTER
from parlante.render.silhouette import Outlines, on_skin, unfolded
from tests.support.portrait_samples import avatar, model


def landmarks(yaw: float) -> Float:
    """Float32 [468, 3] of the demo photo's head, turned by so many radians."""
    portrait = avatar().portrait
    pose = portrait.pose.changed_by(np.array([[0, yaw, 0, 0, 0, 0]], np.float32))
    return pose.apply(portrait.pose.undo(portrait.landmarks[None]))[0]


def folded(points: Float) -> int:
    """How many triangles at the face's outline show their backs."""
    triangles = model().face_triangles
    outer = triangles[np.isin(triangles, FACE_OVAL).any(1)]
    corners = points[outer, :2].astype(np.float64)
    area = np.linalg.det(corners[:, 1:] - corners[:, :1])
    return int((area * np.sign(np.median(area)) <= 0).sum())


@pytest.mark.parametrize("yaw", [-0.6, -0.4, 0.4, 0.6])
def test_turned_face_is_unfolded(yaw: float) -> None:
    turned = landmarks(yaw)
    flat = unfolded(turned, model().face_triangles)
    assert folded(turned) > 15
    assert folded(flat) <= folded(turned) // 4
    # Nothing of the face lies outside of its oval.
    outline = np.ascontiguousarray(flat[list(FACE_OVAL), None, :2])
    assert min(cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y, _ in flat) > -1
    kept = [*EYE_LEFT, *EYE_RIGHT, *LIPS_OUTER, *LIPS_INNER]
    np.testing.assert_allclose(flat[kept], turned[kept], rtol=0, atol=1e-4)
    np.testing.assert_allclose(flat[:, 2], turned[:, 2], rtol=0, atol=1e-4)


def test_level_face_stays_as_it_is() -> None:
    level = landmarks(-float(avatar().portrait.rotation[0, 1]))
    moved = np.linalg.norm(unfolded(level, model().face_triangles) - level, axis=1)
    assert np.median(moved) == pytest.approx(0, abs=1e-4)
    assert moved.max() < 0.05 * np.ptp(level[:, 0])


@pytest.mark.parametrize("missed", [0.0, 0.01, 0.025])
def test_outline_comes_to_lie_on_skin(missed: float) -> None:
    """Of a face cut out along its landmarks, before black, when these lie around it."""
    face = landmarks(-float(avatar().portrait.rotation[0, 1]))
    face[:, :2] += 128 - face[list(FACE_OVAL), :2].mean(0)
    photo = np.zeros((256, 256, 3), np.uint8)
    outline = np.round(face[list(FACE_OVAL), :2]).astype(np.int32)
    cv2.fillPoly(photo, [outline], (200, 150, 130))
    wide = face.copy()
    wide[:, :2] += 2 * missed * (wide[:, :2] - 128)
    found = on_skin(wide, photo)
    at = np.ascontiguousarray(outline[:, None]).astype(np.float32)
    far = [
        np.median([cv2.pointPolygonTest(at, (float(x), float(y)), True) for x, y in points])
        for points in (wide[list(FACE_OVAL), :2], found[list(FACE_OVAL), :2])
    ]
    width = float(np.ptp(face[:, 0]))
    assert far[0] == pytest.approx(-missed * width, abs=0.012 * width)
    assert far[1] == pytest.approx(0.008 * width, abs=0.008 * width)
    kept = [*EYE_LEFT, *EYE_RIGHT, *LIPS_OUTER, *LIPS_INNER]
    np.testing.assert_array_equal(found[kept], wide[kept])
    np.testing.assert_array_equal(found[:, 2], wide[:, 2])


def test_outline_stays_where_nothing_tells_skin() -> None:
    """Before what has its colour, and in noise."""
    face = landmarks(0)
    same = np.full((256, 256, 3), 150, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, same.shape, np.uint8)
    np.testing.assert_array_equal(on_skin(face, same), face)
    assert np.abs(on_skin(face, noise) - face).max() < 0.04 * np.ptp(face[:, 0])


def test_fold_is_found() -> None:
    """Of a strip of two quads, of which the second is laid back over the first."""
    triangles = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4]], np.int32)
    flat = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]], np.float32)
    outlines = Outlines(triangles)
    assert len(outlines.of(flat)) == 0
    flat[4:, 0] = 0.5
    np.testing.assert_array_equal(outlines.of(flat), [flat[[2, 3]]])
