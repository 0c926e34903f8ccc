"""The background around a head that moves: stretched, never torn or doubled."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import GRID, Image
from parlante.media.photo import Photo
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.portrait import Portrait
from parlante.render.renderer import FrameRenderer
from parlante.render.rings import FADE, NEAR, following
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, model

MOVED = np.float32([0, 0, 0.05, 0.5, 0.1, 0.0])
STRIPE = 16  # pixels from one dark line of the background to the next


def disc(size: int, radius: float) -> Image:
    """A person: a soft-edged disc in the middle, uint8 [size, size]."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.round(255 * np.clip(radius - np.hypot(x, y) + 0.5, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize("side", [128, 256, 512])
def test_near_the_person_all_follows_and_far_away_nothing(side: int) -> None:
    radius = side / 8
    follows = following(disc(side, radius), side)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    away = (np.hypot(x, y) - radius) * GRID / side
    error = 1.5 * GRID / side + 0.02 * away  # of the disc's edge, and of OpenCV's distances
    assert (follows[away < NEAR - error] == 1).all()
    assert (follows[away > NEAR + FADE + error] == 0).all()
    outwards = follows[side // 2, side // 2 :]
    assert (np.diff(outwards) <= 1e-6).all()
    # What is moved by 20 pixels of the 256-grid is still in order.
    assert np.abs(np.diff(outwards)).max() * 20 * side / GRID < 0.75


def test_where_nobody_is_seen_all_follows() -> None:
    assert (following(np.zeros((64, 48), np.uint8), 64) == 1).all()


def striped() -> Portrait:
    """The demo's head before a wide wall of thin upright lines."""
    head = avatar().portrait.canvas
    around = ((120, 0), (150, 150))
    matte = np.pad(head[..., 3], around)
    wall = np.where(np.arange(head.shape[1] + 300) % STRIPE < 2, 40, 220).astype(np.uint8)
    photo = np.repeat(np.broadcast_to(wall, matte.shape)[..., None], 3, 2)
    person = cv2.dilate(matte, np.ones((9, 9), np.uint8)) > 0
    photo[person] = np.pad(head[..., :3], (*around, (0, 0)))[person]
    return PortraitEncoder(Bundle.default()).encode([Photo(photo, None)])


def lines(row: NDArray[np.uint8]) -> int:
    """How many dark lines a row of pixels crosses."""
    return int((np.diff((row < 130).astype(int)) == 1).sum())


def test_lines_of_the_background_stay_whole() -> None:
    portrait = striped()
    photo = portrait.picture[..., 1]
    options = RenderOptions(frame="photo", size=min(photo.shape))
    draws = FrameRenderer(Bundle.default(), model(), portrait, options)
    moved = draws.draw_warp(portrait.expression, MOVED)[..., 1]
    stage = draws._stage
    assert stage.follows is not None
    (x, y), (height, width) = stage.corner, stage.plate.shape[:2]
    whole = np.zeros(photo.shape, np.float32)
    whole[y : y + height, x : x + width] = cv2.resize(stage.follows[..., 0], (width, height))
    np.testing.assert_array_equal(moved[whole == 0], photo[whole == 0])
    assert (whole == 0).mean() > 0.1
    assert (np.abs(moved.astype(int) - photo)[whole == 1] > 40).mean() > 0.05
    # On both sides of the head, up to where hair begins: as many lines as there were.
    checked = 0
    for row in range(len(photo) // 8, len(photo), 4):
        hair = np.flatnonzero(whole[row] == 1)
        if len(hair):
            for side in (slice(0, hair[0]), slice(hair[-1] + 1, None)):
                assert abs(lines(moved[row, side]) - lines(photo[row, side])) <= 1
                checked += lines(photo[row, side])
    assert checked > 100
