"""Lashes drawn over the demo's lids: found, and not taken along by lids that fall."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import BANDS, TILE, Float, Image
from parlante.face.patches import Patches
from parlante.face.topology import EYE_LEFT, EYE_RIGHT
from parlante.options import RenderOptions
from parlante.render.contact import sides
from parlante.render.grid import crop_grid
from parlante.render.lashes import density, without_lashes
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, mode, model

SIDE = 512


def landmarks() -> Float:
    return crop_grid(SIDE)(avatar().portrait.landmarks[:, :2])


def with_lashes(photo: Image) -> tuple[Image, NDArray[np.bool_]]:
    """A photo uint8 [512, 512, 4] with long lashes, and where they are."""
    points, drawn = landmarks(), np.zeros(photo.shape[:2], np.uint8)
    for eye in (EYE_RIGHT, EYE_LEFT):
        corners = points[[eye[0], eye[len(eye) // 2]]]
        width, middle = np.linalg.norm(corners[1] - corners[0]), corners.mean(0)
        edge = points[sides(eye)[0]]
        for start in np.linspace(edge[:-1], edge[1:], 2, endpoint=False).reshape(-1, 2):
            away = start - (middle[0], middle[1] + width)
            tip = start + 0.28 * width * away / np.linalg.norm(away)
            ends = [np.round(point * 16).astype(int).tolist() for point in (start, tip)]
            cv2.line(drawn, *ends, 255, 1, cv2.LINE_AA, 4)
    share = drawn[..., None] / 255
    out: Image = photo.copy()
    out[..., :3] = np.round(photo[..., :3] * (1 - share) + 40 * share)
    return out, drawn > 100


def test_lashes_are_found_and_filled_with_skin() -> None:
    photo = avatar().portrait.at(SIDE)
    lashed, where = with_lashes(photo)
    assert where.sum() > 300
    clean, found = without_lashes(lashed, landmarks())
    off, left = (
        np.abs(picture[..., :3].astype(int) - photo[..., :3])[where].mean()
        for picture in (lashed, clean)
    )
    assert off > 40
    assert left < 0.35 * off
    assert found[where].mean() > 0.8
    # Nothing but what is above the upper lids.
    np.testing.assert_array_equal(clean[..., 3], photo[..., 3])
    points = landmarks()
    lids = points[[*EYE_RIGHT, *EYE_LEFT]]
    (left_end, top), (right_end, bottom) = lids.min(0).astype(int), lids.max(0).astype(int)
    outside = np.ones(found.shape, bool)
    outside[top - 40 : bottom + 10, left_end - 25 : right_end + 25] = False
    assert found[outside].max() < 1e-3
    np.testing.assert_array_equal(clean[outside], lashed[outside])


def test_little_of_a_photo_without_them_changes() -> None:
    photo = avatar().portrait.at(SIDE)
    clean, found = without_lashes(photo, landmarks())
    assert np.abs(clean.astype(int) - photo).mean() < 0.1
    assert (found > 0.5).mean() < 0.01


def test_lashes_are_dense_from_the_middle_outwards() -> None:
    """On both eyes; none at their corners, and few between the middle and the nose."""
    measured = avatar().portrait.pose.undo(avatar().portrait.landmarks[None, :468])[0]
    dense, patches = density(measured), Patches.of(measured)
    for patch, inner, outer in ((1, EYE_RIGHT[8], EYE_RIGHT[0]), (2, EYE_LEFT[0], EYE_LEFT[8])):
        row = dense[BANDS[patch][0] - TILE + 32]
        places = measured[[inner, outer], 0] - patches.centre[patch, 0]
        ends = places / patches.pixel[patch] + (TILE - 1) / 2
        at = np.interp([0, 0.25, 0.55, 0.75, 1], [0, 1], ends)
        corner, near, middle, far, end = np.interp(at, np.arange(TILE), row)
        assert max(corner, end) < 0.06
        assert 0.3 < near < far < middle
        assert middle > 0.9


def test_falling_lids_leave_lashes_behind() -> None:
    plain = replace(avatar().portrait, canvas=avatar().portrait.at(SIDE))
    plain = replace(plain, crop=np.array([0, 0, SIDE]))
    canvas, _ = with_lashes(plain.canvas)
    lashed = replace(plain, canvas=canvas)
    expression = plain.expression.copy()
    for name in ("eyeBlink_L", "eyeBlink_R"):
        expression[mode(name)] += 1.2
    draws = [
        FrameRenderer(Bundle.default(), model(), portrait, RenderOptions(size=SIDE))
        for portrait in (plain, lashed)
    ]
    still = np.zeros(6, np.float32)
    warped, drawn, open_ = (
        np.abs(np.subtract(*(picture.astype(int) for picture in pictures))).mean(2)
        for pictures in (
            [draw.draw_warp(expression, still) for draw in draws],
            [draw.draw(expression, still) for draw in draws],
            [draw.draw(plain.expression, still) for draw in draws],
        )
    )
    seen = warped > 25
    assert seen.sum() > 300
    assert drawn[seen].mean() < 0.4 * warped[seen].mean()
    # Open eyes keep theirs.
    assert (open_ > 25).sum() > 300
