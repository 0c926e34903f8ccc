"""The patches of mouth and eyes: where they lie, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from parlante.contract import ATLAS, BANDS, GRID, VERTICES
from parlante.face import patches as module
from parlante.face.patches import Patches, atlas_of, edge_window, inverse, through
from parlante.face.pose import Pose
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIPS_OUTER
from parlante.render.grid import crop_grid
from tests.support.portrait_samples import expression, frontal, model

LOOPS = (LIPS_OUTER, EYE_RIGHT, EYE_LEFT)


def face() -> NDArray[np.float32]:
    """The 3DMM's own face, in its axes."""
    return model().shape(np.zeros(100, np.float32), expression())[0, :VERTICES]


def turned(yaw: float, scale: float = 8.0) -> Pose:
    rest = frontal(scale=scale)
    return Pose(np.float32([[0.1, yaw, 0.2]]), rest.translation, rest.scale)


@pytest.mark.parametrize("yaw", [0.0, 0.4, -0.7])
def test_a_patch_moves_with_the_head(yaw: float) -> None:
    """Points of its plane lie at the same place of the atlas, however the head is turned."""
    patches = Patches.of(face())
    rng = np.random.default_rng(0)
    for patch in range(3):
        points = patches.centre[patch] + rng.uniform(-2, 2, (9, 3)).astype(np.float32) * [1, 1, 0]
        seen = [
            through(patches.to_atlas(pose), pose.apply(points.astype(np.float32))[0, :, :2])[patch]
            for pose in (frontal(), turned(yaw), turned(yaw, scale=3.0))
        ]
        np.testing.assert_allclose(seen[1], seen[0], atol=2e-2)
        np.testing.assert_allclose(seen[2], seen[0], atol=2e-2)


def test_mouth_and_eyes_lie_in_their_bands() -> None:
    patches, pose = Patches.of(face()), frontal()
    places = through(patches.to_atlas(pose), pose.apply(face())[0, :, :2])
    for patch, (loop, (first, last)) in enumerate(zip(LOOPS, BANDS, strict=True)):
        u, v = places[patch, list(loop)].T
        assert 10 < u.min() < u.max() < ATLAS[1] - 10
        assert first + 8 < v.min() < v.max() < last - 8
        # About in the middle, as wide as half the patch; a mouth has room to fall open.
        assert abs((u.min() + u.max()) / 2 - (ATLAS[1] - 1) / 2) < 3
        assert 0.35 < (u.max() - u.min()) / ATLAS[1] < 0.75


def test_maps_and_their_inverses() -> None:
    patches, pose = Patches.of(face()), turned(0.3)
    points = np.random.default_rng(1).uniform(0, 256, (20, 2)).astype(np.float32)
    there = through(patches.to_atlas(pose), points)
    for patch in range(3):
        back = through(patches.to_picture(pose)[patch][None], there[patch])[0]
        np.testing.assert_allclose(back, points, atol=1e-3)
    np.testing.assert_allclose(
        inverse(inverse(patches.to_atlas(pose))), patches.to_atlas(pose), rtol=1e-4
    )
    finer = through(crop_grid(512).maps(patches.to_atlas(pose)), (points + 0.5) * 2 - 0.5)
    np.testing.assert_allclose(finer, there, atol=1e-3)


@pytest.mark.parametrize("side", [256, 700, 2000])
def test_an_atlas_is_the_picture_seen_through_its_maps(side: int) -> None:
    """Against SciPy, for a picture without detail: filters differ in nothing else."""
    y, x = np.mgrid[:side, :side] / side
    picture = 127 + 60 * np.stack([np.sin(9 * x + 1), np.cos(7 * y), np.sin(5 * (x + y))], -1)
    patches, pose = Patches.of(face()), turned(0.2)
    maps = crop_grid(side).maps(patches.to_atlas(pose))
    made = atlas_of(np.round(picture).astype(np.uint8), maps)
    at = patches.seen(pose, side)
    for channel in range(3):
        wanted = ndimage.map_coordinates(
            picture[..., channel], [at[..., 1], at[..., 0]], order=1, mode="nearest"
        )
        np.testing.assert_allclose(made[..., channel], wanted, atol=2)
    assert at.min() > 0 and at.max() < side - 1 and side / GRID > 0


def test_the_window_shuts_every_edge() -> None:
    window = edge_window()
    assert window.shape == ATLAS and window.max() == 1
    for first, last in BANDS:
        band = window[first:last]
        for edge in (band[0], band[-1], band[:, 0], band[:, -1]):
            assert (edge == 0).all()
        inner = band[module.EDGE : -module.EDGE, module.EDGE : -module.EDGE]
        assert (inner == 1).all() and inner.size > 0
