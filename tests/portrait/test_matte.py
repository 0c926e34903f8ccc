"""`Matte` on the public-domain photo, and what its two networks know together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from parlante.contract import Image
from parlante.portrait.matte import Matte, one_piece, together
from tests.support.face_samples import NOSE, photo, session


@pytest.fixture(scope="module")
def matte() -> Matte:
    return Matte(session("matte"), session("salience"))


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


def test_what_the_networks_know_together() -> None:
    people, salience = np.zeros((2, 200, 200), np.float32)
    people[40:, 50:150] = 1
    salience[40:120, 50:150] = 1  # it loses the dark clothes below
    people[:40, 90:110] = 0.5  # in doubt, and nothing stands out there
    salience[60:80, 150:156] = 1  # an ear that the other does not see
    salience[60:80, 190:] = 1  # a picture on the wall
    opacity, weight = together(people, salience, 200)
    assert opacity[45:115, 55:145].min() == 1
    assert opacity[130:, 60:140].min() == 1
    assert opacity[10:30, 92:108].max() < 0.05
    assert opacity[65:75, 151:154].min() > 0.5
    assert opacity[60:80, 190:].max() == 0
    # The outline is for the colours to find; what is well within or beyond is known.
    assert weight[60:110, 70:130].min() == weight[:, :30].min() == weight[60:80, 190:].min() == 1
    assert weight[80:110, 49:51].max() < 0.1
    assert weight[65:75, 151:154].max() < 0.1


def test_a_part_is_seen_as_if_alone(matte: Matte) -> None:
    whole = photo()
    nose = float(NOSE[0]), float(NOSE[1])
    alone = matte.predict(portrait(), at=(nose[0] - 80, nose[1]))
    part = matte.predict(whole, at=nose, part=(80, 0, 300))[:300, 80:380]
    without = matte.predict(whole, at=nose)[:300, 80:380]
    middle = np.s_[40:260, 40:260]
    assert np.abs(part - alone)[middle].mean() < 0.01
    assert np.abs(part - alone)[middle].mean() < np.abs(without - alone)[middle].mean()


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
