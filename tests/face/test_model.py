"""The 3DMM: what its modes do, and faces of known shape fitted back."""

from __future__ import annotations

import numpy as np
import pytest

from parlante.contract import VERTICES, Float
from parlante.face.pose import Pose
from parlante.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_PAIRS_LEFT,
    LID_PAIRS_RIGHT,
)
from tests.support.portrait_samples import expression, mode, model

UPPER_INNER = (82, 13, 312)
LOWER_INNER = (87, 14, 317)


def test_jaw_opens_downwards() -> None:
    jaw = model().expression[mode("jawOpen")]
    lower, upper = jaw[list(LOWER_INNER), 1], jaw[list(UPPER_INNER), 1]
    assert lower.max() < -2  # model units are about centimetres times the mode's own 3.5
    assert np.abs(upper).max() < 0.15 * np.abs(lower).min()


def test_the_card_of_the_teeth() -> None:
    vertices, places = model().teeth_vertices, model().teeth_places
    corners = vertices[model().teeth_triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] < 0).all() or (normals[:, 2] > 0).all()  # nowhere folded
    # Bent as a jaw is: the further aside, the further back.
    aside, back = np.abs(vertices[:, 0]), vertices[:, 2]
    assert back[aside > 2.5].max() < back[aside < 0.5].min() - 1
    # It lies in the picture as it does in the head.
    for axis in (0, 1):
        assert abs(np.corrcoef(vertices[:, axis], places[:, axis])[0, 1]) > 0.9999


def test_the_picture_of_the_teeth() -> None:
    """Bright teeth below, gums above, both sides alike; colours are times their alpha."""
    picture = model().teeth_picture.astype(float)
    height, width = picture.shape[:2]
    assert (picture[picture[..., 3] == 0] == 0).all()
    whole = np.abs(picture - picture[:, ::-1])[:, width // 4 : -width // 4]
    assert whole.mean() < 8
    scale, edge = np.polyfit(model().teeth_vertices[:, 1], model().teeth_places[:, 1], 1)
    row = round(edge)  # where the middle teeth end
    assert scale < 0 < row < height
    middle = slice(width // 2 - 12, width // 2 + 12)
    teeth = picture[row - 12 : row - 4, middle].mean((0, 1))
    gums = picture[row - 48 : row - 40, middle].mean((0, 1))
    assert teeth[:3].sum() > 1.3 * gums[:3].sum()
    assert teeth[0] / teeth[1] < 1.35 < gums[0] / gums[1]
    assert picture[row + 5 :, middle, 3].max(initial=0) == 0


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
