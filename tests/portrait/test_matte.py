"""`Matte` on the public-domain photo; its guided filter against the formulas in float64."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import Image
from parlante.portrait.matte import CONTRAST, Matte, guided_filter, one_piece
from tests.support.face_samples import NOSE, photo, session


@pytest.fixture(scope="module")
def matte() -> Matte:
    return Matte(session("matte"))


def portrait() -> Image:
    """Head and shoulders; shifted by (80, 0) against the photo."""
    return np.ascontiguousarray(photo()[:300, 80:380])


def test_person_and_background(matte: Matte) -> None:
    opacity = matte.predict(portrait())
    assert opacity.shape == (300, 300)
    assert opacity.dtype == np.float32
    assert opacity.min() >= 0
    assert opacity.max() <= 1
    assert opacity[60:150, 125:165].min() > 0.99  # the face
    assert opacity[280:, 100:200].min() > 0.99  # the suit
    assert opacity[:100, :70].max() < 0.01  # the wall, left
    assert opacity[:100, 235:].max() < 0.01  # the wall, right
    # Clear-cut: the soft outline is a small part of the picture.
    assert ((opacity > 0.05) & (opacity < 0.95)).mean() < 0.05


@pytest.mark.parametrize("size", [(512, 512), (1080, 1080), (300, 400), (720, 500), (64, 64)])
def test_any_size_gives_the_same_person(matte: Matte, size: tuple[int, int]) -> None:
    height, width = size
    side = max(size)
    # The picture is framed, not stretched: the person is the same part of a square.
    square = cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
    top, left = (side - height) // 2, (side - width) // 2
    image = np.ascontiguousarray(square[top : top + height, left : left + width])
    opacity = matte.predict(np.asarray(image, np.uint8))
    assert opacity.shape == size
    reference = cv2.resize(matte.predict(portrait()), (side, side))
    reference = reference[top : top + height, left : left + width]
    assert np.abs(opacity - reference).mean() < 0.02


def test_outline_follows_the_picture() -> None:
    # A disc whose matte is known only at a quarter of the size: the filter finds its edge.
    rows, columns = np.mgrid[:512, :512]
    disc = np.hypot(rows - 255.5, columns - 255.5) < 150
    image = np.where(disc[..., None], (200, 180, 170), (20, 30, 40)).astype(np.uint8)
    small = cv2.resize(disc.astype(np.float32), (128, 128), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.resize(small, (512, 512), interpolation=cv2.INTER_LINEAR), np.float32)
    fine = guided_filter(image, coarse, 6, 1e-3)
    plain, filtered = (np.clip((soft - 0.5) * CONTRAST + 0.5, 0, 1) for soft in (coarse, fine))
    assert np.abs(plain - disc).mean() > 3e-3
    assert np.abs(filtered - disc).mean() < 1e-4


def reference_filter(
    image: Image, matte: NDArray[np.float32], radius: int, epsilon: float
) -> NDArray[np.float64]:
    """He et al. (2013), equations 19 to 21, as they are written."""
    guide, target = image.astype(np.float64) / 255, matte.astype(np.float64)
    side = 2 * radius + 1

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(blurred, np.float64)

    colour, opacity = mean(guide), mean(target)
    products = np.stack([mean(guide[..., i : i + 1] * guide) for i in range(3)], axis=2)
    sigma = products - colour[..., :, None] * colour[..., None, :] + epsilon * np.eye(3)
    covariance = mean(guide * target[..., None]) - colour * opacity[..., None]
    a = np.linalg.solve(sigma, covariance[..., None])[..., 0]
    b = opacity - (a * colour).sum(axis=-1)
    return np.asarray((mean(a) * guide).sum(axis=-1) + mean(b))


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-3), (2, 1e-3), (5, 1e-2)])
def test_guided_filter_is_the_published_one(radius: int, epsilon: float) -> None:
    image = portrait()
    opacity = np.random.default_rng(1).random((300, 300), np.float32)
    opacity = np.asarray(cv2.GaussianBlur(opacity, (0, 0), 3), np.float32)
    expected = reference_filter(image, opacity, radius, epsilon)
    error = np.abs(guided_filter(image, opacity, radius, epsilon) - expected).max()
    # The variance of a flat window is a difference of squares of about 1, to 1e-7, over epsilon.
    assert error < 20 * 1.2e-7 / epsilon


def test_flat_mattes_stay_flat() -> None:
    for value in (0.0, 1.0):
        flat = guided_filter(portrait(), np.full((300, 300), value, np.float32), 3, 1e-3)
        assert np.abs(flat - value).max() < 1e-4


def test_one_piece_keeps_the_asked_one() -> None:
    pieces = np.zeros((100, 100), np.float32)
    pieces[10:40, 10:40] = 1
    pieces[50:95, 50:95] = 1
    pieces[48:50, 50:95] = 0.3  # soft edge of the second
    first = one_piece(pieces, (20.0, 20.0))
    assert first[20, 20] == 1
    assert first[60:, 60:].max() == 0
    assert first[48:50, 60:].max() == 0
    largest = one_piece(pieces, None)
    assert largest[20, 20] == 0
    assert largest[49, 60] == np.float32(0.3)
    # A point on no piece, or off the picture, leaves the largest.
    assert np.array_equal(one_piece(pieces, (80.0, 10.0)), largest)
    assert np.array_equal(one_piece(pieces, (-50.0, 1e6)), largest)


def test_small_holes_are_filled_large_ones_and_bays_are_not() -> None:
    person = np.zeros((100, 100), np.float32)
    person[20:, 20:80] = 1
    person[40:43, 40:43] = 0  # 9 of 10,000 pixels
    person[60:80, 40:60] = 0  # between arm and body
    person[98:, 30:33] = 0  # open to the border
    filled = one_piece(person, None)
    assert filled[40:43, 40:43].min() == 1
    assert filled[60:80, 40:60].max() == 0
    assert filled[98:, 30:33].max() == 0


def test_second_person_is_left_out(matte: Matte) -> None:
    pair = np.concatenate([portrait()[:220, 50:250], portrait()[:220, 50:250]], axis=1)
    pair[:, 180:220] = (200, 195, 190)  # a pillar between them
    nose = NOSE - [130, 0]
    first = matte.predict(pair, at=(float(nose[0]), float(nose[1])))
    second = matte.predict(pair, at=(float(nose[0]) + 200, float(nose[1])))
    face = np.s_[90:150, 75:115]
    assert first[face].min() > 0.9
    assert first[:, 200:][face].max() < 0.1
    assert second[face].max() < 0.1
    assert second[:, 200:][face].min() > 0.9


def test_nobody_gives_nothing(matte: Matte) -> None:
    empty = matte.predict(np.full((120, 160, 3), 200, np.uint8))
    assert empty.shape == (120, 160)
    assert empty.max() < 0.5
    assert matte.predict(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1)


def test_what_is_not_a_picture_is_refused(matte: Matte) -> None:
    with pytest.raises(ValueError, match="picture"):
        matte.predict(np.zeros((10, 10, 4), np.uint8))
