"""The 3DMM: rotations against OpenCV and SciPy, and faces of known shape fitted back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from parlante.contract import VERTICES, Float
from parlante.face.pose import FLIP, Pose, fit_pose, rotation_matrix, rotation_vector
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
from tests.portrait_samples import expression, frontal, mode, model

UPPER_TEETH, LOWER_TEETH = 0, 1
UPPER_INNER = (82, 13, 312)
LOWER_INNER = (87, 14, 317)


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


# Rotations


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


# Poses


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


# What the modes do


def test_jaw_opens_downwards() -> None:
    jaw = model().expression[mode("jawOpen")]
    lower, upper = jaw[list(LOWER_INNER), 1], jaw[list(UPPER_INNER), 1]
    assert lower.max() < -2  # model units are about centimetres times the mode's own 3.5
    assert np.abs(upper).max() < 0.15 * np.abs(lower).min()


def test_jaw_carries_lower_teeth_only() -> None:
    jaw = model().expression[mode("jawOpen")][VERTICES:]
    part = model().interior_part
    chin = model().expression[mode("jawOpen")][152]
    assert np.abs(jaw[part == UPPER_TEETH]).max() == 0
    moved = np.linalg.norm(jaw[part == LOWER_TEETH], axis=1)
    assert 0.5 < np.median(moved) / np.linalg.norm(chin) < 1.5
    assert set(np.unique(part)) == {0, 1, 2}
    rest = model().neutral[VERTICES:, 1]
    assert rest[part == UPPER_TEETH].mean() > rest[part == LOWER_TEETH].mean() + 1


@pytest.mark.parametrize(
    ("name", "own", "lids", "other"),
    [
        ("eyeBlink_R", LID_PAIRS_RIGHT, EYE_RIGHT, EYE_LEFT),
        ("eyeBlink_L", LID_PAIRS_LEFT, EYE_LEFT, EYE_RIGHT),
    ],
)
def test_blink_moves_the_upper_lid_of_its_eye(
    name: str, own: tuple[tuple[int, int], ...], lids: tuple[int, ...], other: tuple[int, ...]
) -> None:
    blink = model().expression[mode(name), :VERTICES]
    upper, lower = (blink[[pair[k] for pair in own], 1] for k in (0, 1))
    assert upper.max() < -0.5
    assert np.abs(lower).max() < 0.1 * np.abs(upper).min()
    # The correspondence is stored as float16: nothing but its rounding reaches the other eye.
    assert np.abs(blink[list(other)]).max() < 1e-3
    # The person's right eye is on the left of the picture.
    assert (model().neutral[list(lids), 0].mean() < 0) == name.endswith("R")


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
    assert model().interior_triangles.max() < len(model().interior_part)


# The fit


def synthetic(identity: Float) -> tuple[Float, Pose, Float]:
    """Expressions [5, 53], poses and landmarks [5, V, 3] of five frames of one person."""
    rng = np.random.default_rng(8)
    shown = np.concatenate(
        [
            expression(),
            expression(jawOpen=0.3, eyeBlink_R=1),
            expression(jawOpen=0.6, eyeBlink_L=1),
            expression(jawOpen=0.9, eyeBlink_R=0.5, eyeBlink_L=0.5),
            expression(jawOpen=0.2, eyeBlink_R=0.2, eyeBlink_L=0.8),
        ]
    )
    pose = Pose(
        rng.uniform(-0.3, 0.3, (5, 3)).astype(np.float32),
        rng.uniform(100, 150, (5, 3)).astype(np.float32),
        rng.uniform(6, 9, 5).astype(np.float32),
    )
    return shown, pose, pose.apply(model().shape(identity, shown))


@pytest.fixture(scope="module")
def person() -> Float:
    return np.random.default_rng(9).normal(0, 0.5, 100).astype(np.float32)


def test_fit_with_known_identity(person: Float) -> None:
    shown, pose, landmarks = synthetic(person)
    found = model().fit(landmarks, person)
    # What keeps the fit from being exact is its prior: it pulls every coefficient to 0, the jaw's
    # large mode by 1 to 2 %, a lid's small one by 10 to 15 %.
    jaw, right, left = mode("jawOpen"), mode("eyeBlink_R"), mode("eyeBlink_L")
    np.testing.assert_allclose(found.expression[:, jaw], shown[:, jaw], atol=0.02)
    for lid in (right, left):
        np.testing.assert_allclose(found.expression[:, lid], shown[:, lid], atol=0.15)
    others = np.delete(found.expression, [jaw, right, left], 1)
    assert np.abs(others).max() < 0.15
    np.testing.assert_allclose(found.pose.rotation, pose.rotation, atol=2e-3)
    np.testing.assert_allclose(found.pose.scale, pose.scale, rtol=3e-3)
    redrawn = found.pose.apply(model().shape(found.identity, found.expression))
    assert np.linalg.norm((redrawn - landmarks)[:, :VERTICES, :2], axis=-1).mean() < 0.3


def test_fit_of_an_unknown_person(person: Float) -> None:
    shown, pose, landmarks = synthetic(person)
    found = model().fit(landmarks)
    jaw = found.expression[:, mode("jawOpen")]
    # How far the resting mouth stands open is between identity and expression; its changes are not.
    np.testing.assert_allclose(jaw - jaw[0], shown[:, mode("jawOpen")], atol=0.06)
    for name in ("eyeBlink_R", "eyeBlink_L"):
        lid, true = found.expression[:, mode(name)], shown[:, mode(name)]
        assert np.corrcoef(lid, true)[0, 1] > 0.97
    # Nor between the set of the head and its shape: a common nod of a degree or two.
    np.testing.assert_allclose(found.pose.rotation, pose.rotation, atol=0.04)
    change, true_change = found.pose.relative_to(found.pose[:1]), pose.relative_to(pose[:1])
    np.testing.assert_allclose(change[:, :3], true_change[:, :3], atol=0.005)
    redrawn = found.pose.apply(model().shape(found.identity, found.expression))
    error = np.linalg.norm((redrawn - landmarks)[:, :VERTICES, :2], axis=-1)
    still = np.linalg.norm((pose.apply(model().neutral) - landmarks)[:, :VERTICES, :2], axis=-1)
    assert error.mean() < 0.5
    assert error.mean() < 0.25 * still.mean()


def test_coefficients_stay_in_their_box() -> None:
    """Landmarks of no face at all give a bounded answer, not infinite ones."""
    noise = np.random.default_rng(1).uniform(0, 256, (3, 478, 3)).astype(np.float32)
    found = model().fit(noise)
    assert found.expression.min() >= 0
    assert found.expression.max() <= 1.5
    for array in (found.identity, found.pose.rotation, found.pose.translation, found.pose.scale):
        assert np.isfinite(array).all()


def test_fit_of_one_frame_agrees_with_the_clip(person: Float) -> None:
    _, _, landmarks = synthetic(person)
    whole, one = model().fit(landmarks, person), model().fit(landmarks[2:3], person)
    # BLAS may add up a single row in another order.
    np.testing.assert_allclose(one.expression, whole.expression[2:3], atol=1e-4)


# Apertures


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
