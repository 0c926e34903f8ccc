"""The background around a head that moves: stretched, never torn or doubled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.media.photo import Photo
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.portrait import Portrait
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, model

MOVED = np.float32([0, 0, 0.05, 0.5, 0.1, 0.0])
STRIPE = 16  # pixels from one dark line of the background to the next


def striped() -> tuple[Portrait, NDArray[np.bool_]]:
    """The demo's head before a wide wall of thin upright lines, and where it is."""
    head = avatar().portrait.canvas
    around = ((120, 0), (150, 150))
    matte = np.pad(head[..., 3], around)
    wall = np.where(np.arange(head.shape[1] + 300) % STRIPE < 2, 40, 220).astype(np.uint8)
    photo = np.repeat(np.broadcast_to(wall, matte.shape)[..., None], 3, 2)
    person = cv2.dilate(matte, np.ones((9, 9), np.uint8)) > 0
    photo[person] = np.pad(head[..., :3], (*around, (0, 0)))[person]
    return PortraitEncoder(Bundle.default()).encode([Photo(photo, None)]), person


def lines(row: NDArray[np.uint8]) -> int:
    """How many dark lines a row of pixels crosses."""
    return int((np.diff((row < 130).astype(int)) == 1).sum())


def test_lines_of_the_background_stay_whole() -> None:
    portrait, person = striped()
    photo = portrait.picture[..., 1]
    options = RenderOptions(frame="photo", size=min(photo.shape))
    draws = FrameRenderer(Bundle.default(), model(), portrait, options)
    moved = draws.draw_warp(portrait.expression, MOVED)[..., 1]
    (x, y), (height, width) = draws._stage.place, draws._stage.plate.shape[:2]
    beyond = np.ones(photo.shape, bool)
    beyond[y : y + height, x : x + width] = False
    assert beyond.mean() > 0.1
    np.testing.assert_array_equal(moved[beyond], photo[beyond])
    assert (np.abs(moved.astype(int) - photo)[person] > 40).mean() > 0.05
    # On both sides of the head, up to where hair begins in both: as many lines as there were.
    near, checked = cv2.dilate(person.astype(np.uint8), np.ones((31, 31), np.uint8)), 0
    for row in range(len(photo) // 8, len(photo), 4):
        hair = np.flatnonzero(near[row])
        if len(hair):
            for side in (slice(0, hair[0]), slice(hair[-1] + 1, None)):
                assert abs(lines(moved[row, side]) - lines(photo[row, side])) <= 1
                checked += lines(photo[row, side])
    assert checked > 100
