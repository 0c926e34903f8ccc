"""Rotations against OpenCV, poses against SciPy and by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from parlante.contract import Float
from parlante.face.pose import FLIP, Pose, fit_pose, rotation_matrix, rotation_vector
from tests.support.portrait_samples import frontal


def vectors(limit: float) -> st.SearchStrategy[Float]:
    """Rotation vectors float32 [1, 3] with each component up to ``limit``."""
    return hnp.arrays(
        np.float32, (1, 3), elements=st.floats(-limit, limit, width=32, allow_subnormal=False)
    )


def poses(count: int, turn: float = 1.0) -> st.SearchStrategy[Pose]:
    """Heads in a picture of up to 1000 pixels, turned by up to ``turn`` √3 radians."""

    def make(seed: int) -> Pose:
        rng = np.random.default_rng(seed)
        return Pose(
            rng.uniform(-turn, turn, (count, 3)).astype(np.float32),
            rng.uniform(-1000, 1000, (count, 3)).astype(np.float32),
            np.exp(rng.uniform(0, 4, count)).astype(np.float32),
        )

    return st.integers(0, 2**32 - 1).map(make)


@settings(deadline=None)
@given(vectors(1.75))
def test_rotation_matrix_is_rodrigues(vector: Float) -> None:
    wanted, _ = cv2.Rodrigues(vector[0].astype(np.float64))
    # Entries are at most 1; the last rounding to float32 is 2^-25, the angle's own 2^-24 · 3.
    np.testing.assert_allclose(rotation_matrix(vector)[0], wanted, rtol=0, atol=4e-7)


@settings(deadline=None)
@given(vectors(1.5))
def test_rotation_vector_undoes_rotation_matrix(vector: Float) -> None:
    # Off the diagonal stands the axis times the sine: its error of 2^-25 grows by angle / sine, at
    # most 2.6 / 0.52 here, and the angle's, from a cosine off by 2^-24, by that over the sine.
    matrix = rotation_matrix(vector)
    np.testing.assert_allclose(rotation_vector(matrix), vector, rtol=0, atol=4e-6)


def test_rotations_near_zero() -> None:
    for size in (0.0, 1e-30, 1e-12, 1e-8, 1e-6, 1e-4, 1e-3):
        vector = np.array([[size, -size, size / 2]], np.float32)
        # The matrix is stored to 2^-24 around 1 and exactly off the diagonal.
        np.testing.assert_allclose(
            rotation_vector(rotation_matrix(vector)), vector, rtol=1e-5, atol=0
        )


@settings(max_examples=50, deadline=None)
@given(poses(3), st.integers(0, 2**32 - 1))
def test_undo_is_the_inverse_of_apply(pose: Pose, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-10, 10, (3, 7, 3)).astype(np.float32)
    pixels = pose.apply(points)
    # Pixels of up to 2200 round by 2^-13 (1.2e-4), which is that over the scale in model units;
    # turned, three such errors add.
    allowed = 3 * 2.0**-13 / pose.scale.min() + 1e-5
    np.testing.assert_allclose(pose.undo(pixels), points, rtol=0, atol=allowed)


def test_apply_by_hand() -> None:
    """A quarter turn about y, from z to x; y turns over, and the nose is nearer: negative z."""
    pose = Pose(
        np.array([[0, np.pi / 2, 0]], np.float32),
        np.array([[100, 50, 7]], np.float32),
        np.array([2], np.float32),
    )
    pixels = pose.apply(np.array([[0, 0, 1], [0, 3, 0], [1, 0, 0]], np.float32))[0]
    np.testing.assert_allclose(pixels, [[102, 50, 7], [100, 44, 7], [100, 50, 9]], atol=1e-5)
    same = pose.apply(np.array([[[0, 0, 1], [0, 3, 0], [1, 0, 0]]], np.float32))[0]
    np.testing.assert_array_equal(pixels, same)


@settings(max_examples=50, deadline=None)
@given(poses(2), st.integers(0, 2**32 - 1))
def test_fit_pose_finds_an_exact_pose(pose: Pose, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-8, 8, (2, 40, 3)).astype(np.float32)
    found = fit_pose(points, pose.apply(points))
    # Each pixel is rounded by at most 2^-13, seen from about 8 units away.
    angle = 3 * 2.0**-13 / (8 * pose.scale.min()) + 2e-5
    np.testing.assert_allclose(
        rotation_matrix(found.rotation), rotation_matrix(pose.rotation), rtol=0, atol=angle
    )
    np.testing.assert_allclose(found.scale, pose.scale, rtol=angle)
    np.testing.assert_allclose(found.translation, pose.translation, rtol=0, atol=1e-3)


def test_fit_pose_is_the_least_squares_pose() -> None:
    """Noisy points: SciPy's rotation (Kabsch) and the scale by hand."""
    rng = np.random.default_rng(3)
    model_points = rng.normal(0, 4, (1, 60, 3)).astype(np.float32)
    true = Pose(
        np.array([[0.3, -0.5, 0.1]], np.float32),
        np.array([[120, 130, 3]], np.float32),
        np.array([7], np.float32),
    )
    pixels = true.apply(model_points) + rng.normal(0, 4, (1, 60, 3)).astype(np.float32)
    found = fit_pose(model_points, pixels)
    source = (model_points[0] - model_points[0].mean(0)).astype(np.float64)
    target = ((pixels[0] - pixels[0].mean(0)) * FLIP).astype(np.float64)
    rotation, _ = Rotation.align_vectors(target, source)
    scale = (target * rotation.apply(source)).sum() / (source**2).sum()
    # Both solve the same problem in float64; what differs is the float32 of the result.
    np.testing.assert_allclose(found.rotation[0], rotation.as_rotvec(), atol=2e-6)
    np.testing.assert_allclose(found.scale[0], scale, rtol=1e-6)
    middle = found.apply(model_points.mean(1, keepdims=True))[0, 0]
    np.testing.assert_allclose(middle, pixels[0].mean(0), atol=1e-3)


def test_fit_pose_never_mirrors() -> None:
    """Flat points leave the sign of depth open: the answer is still a rotation."""
    rng = np.random.default_rng(4)
    flat = rng.uniform(-5, 5, (1, 20, 3)).astype(np.float32)
    flat[..., 2] = 0
    mirrored = frontal().apply(flat * np.array([-1, 1, 1], np.float32))
    matrix = rotation_matrix(fit_pose(flat, mirrored).rotation)[0]
    assert np.linalg.det(matrix.astype(np.float64)) == pytest.approx(1, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(poses(3, 0.7), poses(1, 0.7))
def test_changed_by_is_the_inverse_of_relative_to(pose: Pose, rest: Pose) -> None:
    # Together less than a half turn: there rotation vectors are unique.
    back = rest.changed_by(pose.relative_to(rest))
    np.testing.assert_allclose(
        rotation_matrix(back.rotation), rotation_matrix(pose.rotation), rtol=0, atol=1e-4
    )
    # Sums of numbers up to 2000 in float32, twice.
    np.testing.assert_allclose(
        back.translation[:, :2], pose.translation[:, :2], rtol=0, atol=4 * 2.0**-13
    )
    np.testing.assert_allclose(back.scale, pose.scale, rtol=1e-5)


def test_change_does_not_depend_on_the_crop() -> None:
    """The same heads in a picture enlarged and moved have the same pose change."""
    rng = np.random.default_rng(5)
    pose = Pose(
        rng.normal(0, 0.3, (4, 3)).astype(np.float32),
        rng.uniform(100, 150, (4, 3)).astype(np.float32),
        rng.uniform(6, 9, 4).astype(np.float32),
    )
    enlarged = Pose(pose.rotation, pose.translation * 3 + np.float32(17), pose.scale * 3)
    np.testing.assert_allclose(
        enlarged.relative_to(enlarged[:1]), pose.relative_to(pose[:1]), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(pose.relative_to(pose[:1])[0], np.zeros(6), atol=1e-6)
