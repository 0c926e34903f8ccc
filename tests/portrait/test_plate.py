"""The background plate: the picture where the background is seen, a smooth guess elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.portrait.plate import SPREAD, background_plate, wide_matte

Image = NDArray[np.uint8]


def disc(size: int, radius: float) -> Image:
    """A person: a soft-edged disc in the middle, uint8 [size, size]."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.round(255 * np.clip(radius - np.hypot(x, y) + 0.5, 0, 1)).astype(np.uint8)


def slope(size: int) -> Image:
    """Colours that change linearly over the picture."""
    y, x = np.mgrid[:size, :size] / (size - 1)
    return np.round(np.stack([40 + 150 * x, 60 + 120 * y, 200 - 100 * x], -1)).astype(np.uint8)


@pytest.mark.parametrize("size", [128, 200, 256, 512])
def test_exact_outside_the_person(size: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    matte = disc(size, size / 4)
    plate = background_plate(picture, matte)
    assert plate.shape == picture.shape
    assert plate.dtype == np.uint8
    away = cv2.distanceTransform((matte == 0).astype(np.uint8), cv2.DIST_L2, 5)
    outside = away > 2.5 * max(1, round(SPREAD * size / 256)) + 2
    assert outside.mean() > 0.3
    np.testing.assert_array_equal(plate[outside], picture[outside])


def test_person_is_gone() -> None:
    """A red person before a wall of changing colour leaves no red, not even at the soft edge."""
    picture, matte = slope(256), disc(256, 60)
    share = matte[..., None] / 255
    shown = np.round((1 - share) * picture + share * np.array([255, 0, 0])).astype(np.uint8)
    plate = background_plate(shown, matte)
    # The wall is all but linear; the pyramid's coarse cells are as wide as the disc and miss its
    # slope (150 over 256 pixels) by a fraction of their width.
    error = np.abs(plate.astype(int) - picture)[matte > 0]
    assert error.max() < 40
    assert error.mean() < 12
    red = np.abs(shown.astype(int) - picture)[matte > 0]
    assert error.mean() < 0.15 * red.mean()


def test_constant_background_is_restored() -> None:
    picture = np.full((256, 256, 3), (30, 120, 210), np.uint8)
    matte = disc(256, 80)
    shown = np.where(matte[..., None] > 0, np.uint8(0), picture)
    # Weighted means of equal numbers: off by the last rounding at most.
    assert np.abs(background_plate(shown, matte).astype(int) - picture).max() <= 1


def test_fill_is_smooth() -> None:
    picture = slope(256)
    picture[:, 128:] //= 2
    plate = background_plate(picture, disc(256, 90)).astype(np.float32)
    inside = disc(256, 84) == 255
    steps = np.abs(np.diff(plate, axis=1))[:, :, 0][inside[:, 1:]]
    # The wall halves its brightness in one pixel; behind the person that is spread out.
    assert steps.max() < 0.35 * np.abs(np.diff(picture.astype(int), axis=1)).max()


def test_person_over_the_border_and_everywhere() -> None:
    picture = slope(256)
    matte = np.zeros((256, 256), np.uint8)
    matte[100:, 60:200] = 255  # shoulders that leave the picture
    plate = background_plate(picture, matte)
    np.testing.assert_array_equal(plate[:90, :50], picture[:90, :50])
    assert np.abs(plate.astype(int) - picture).mean() < 15
    # Nothing but person: there is no background to continue.
    whole = background_plate(picture, np.full((256, 256), 255, np.uint8))
    assert np.ptp(whole.reshape(-1, 3), axis=0).max() == 0
    np.testing.assert_allclose(whole[0, 0], picture.reshape(-1, 3).mean(0), atol=1)


def test_no_person_is_no_change() -> None:
    picture = slope(128)
    np.testing.assert_array_equal(
        background_plate(picture, np.zeros((128, 128), np.uint8)), picture
    )


@pytest.mark.parametrize("side", [256, 512])
def test_the_plate_is_the_photo_where_the_wide_matte_lets_it_through(side: int) -> None:
    """So with nothing moved nothing of the plate's filling is seen."""
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    matte = np.asarray(cv2.GaussianBlur(disc(side, side / 5), (0, 0), side / 100), np.uint8)
    wide, plate = wide_matte(matte, side), background_plate(photo, matte)
    np.testing.assert_array_equal(plate[wide < 255], photo[wide < 255])
    # Around the person is a rim that goes with them, and it ends.
    assert (wide[matte > 0] == 255).all()
    assert (wide[: side // 16] == 0).all()
    steps = np.abs(np.diff(wide[side // 2].astype(int)))
    assert 0 < steps.max() < 255 / 4


def test_nobody_has_no_rim() -> None:
    assert not wide_matte(np.zeros((40, 50), np.uint8), 40).any()
