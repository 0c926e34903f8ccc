"""The portrait encoder: photos of every kind, faces in corners and pairs."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from parlante.contract import GRID, VERTICES, Float
from parlante.errors import FaceNotFoundError, SeveralFacesError
from parlante.media.photo import Photo, load_image
from parlante.portrait.encoder import (
    FACE_SHARE,
    MAX_SIDE,
    PortraitEncoder,
    _quality,
    crop_box,
    key_of,
)
from parlante.portrait.portrait import Portrait
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import (
    PHOTO,
    assert_same_portrait,
    avatar,
    demo_rgb,
    expression,
    frontal,
    model,
)

Pixels = NDArray[np.uint8]


@cache
def encoder() -> PortraitEncoder:
    return PortraitEncoder(Bundle.default())


def encode(source: Any, face: int | None = None) -> Portrait:
    return encoder().encode([load_image(source)], face=face)


def reference() -> Portrait:
    return avatar().portrait


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def distance(portrait: Portrait) -> float:
    """Mean distance of the landmarks from the reference's, pixels of the 256-grid."""
    return float(np.linalg.norm((portrait.landmarks - reference().landmarks)[:, :2], axis=1).mean())


def test_shapes_and_ranges() -> None:
    portrait = reference()
    side = portrait.image.shape[0]
    assert portrait.image.shape == (side, side, 4)
    portrait._check("the reference")
    points = portrait.landmarks[:, :2]
    extent = np.ptp(points, axis=0)
    # The crop is a whole number of pixels: the face fills its share to half a pixel of 188.
    assert extent.max() / GRID == pytest.approx(FACE_SHARE, abs=0.005)
    assert (points > 0).all() and (points < GRID - 1).all()
    # Nose and cheeks are person, the upper corners of the crop are not.
    matte = cv2.resize(portrait.image[..., 3], (GRID, GRID))
    inside = np.round(points[[1, 50, 280]]).astype(int)
    assert (matte[inside[:, 1], inside[:, 0]] > 250).all()
    assert portrait.expression.min() >= 0


def test_crop_is_the_photo() -> None:
    """The stored picture is a part of the photo, pixel for pixel, and the landmarks lie on it."""
    portrait = reference()
    found = cv2.matchTemplate(demo_rgb(), portrait.image[..., :3], cv2.TM_SQDIFF)
    left, top = cv2.minMaxLoc(found)[2]
    side = portrait.image.shape[0]
    np.testing.assert_array_equal(
        demo_rgb()[top : top + side, left : left + side], portrait.image[..., :3]
    )
    # Hand-measured mouth corners of the 512² photo; the demo photo is a part of it at full size.
    from tests.support.face_samples import MOUTH_CORNERS, photo

    whole = cv2.matchTemplate(photo(), portrait.image[..., :3], cv2.TM_SQDIFF_NORMED)
    score, _, (x, y), _ = cv2.minMaxLoc(whole)
    assert score < 0.01
    corners = (portrait.landmarks[[61, 291], :2] + 0.5) * side / GRID - 0.5 + (x, y)
    np.testing.assert_allclose(corners, MOUTH_CORNERS, atol=3)  # hand and network: 3 pixels


def test_encoding_is_deterministic() -> None:
    assert_same_portrait(encode(PHOTO), reference())


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation(orientation: int) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(Image.fromarray(demo_rgb()).transpose(turn), "PNG", exif=exif)
    photo = load_image(data)
    np.testing.assert_array_equal(photo.rgb, demo_rgb())
    if orientation == 6:  # equal pixels are equal portraits; one whole way is enough
        assert_same_portrait(encode(data), reference())


def test_grey_photo() -> None:
    grey = cv2.cvtColor(demo_rgb(), cv2.COLOR_RGB2GRAY)
    # Without colour the landmark network moves by about its own noise, 2 % of the eyes' distance.
    assert distance(encode(grey)) < 1.5


def test_jpeg_photo() -> None:
    assert distance(encode(file_of(Image.fromarray(demo_rgb()), "JPEG", quality=70))) < 1.5


def test_opaque_alpha_changes_nothing() -> None:
    alpha = np.full(demo_rgb().shape[:2], 255, np.uint8)
    assert_same_portrait(encode(np.dstack([demo_rgb(), alpha])), reference())


def test_cut_out_is_respected() -> None:
    """What a photo with alpha leaves transparent is not the person, whatever the matte says."""
    alpha = np.full(demo_rgb().shape[:2], 255, np.uint8)
    _, top, side = crop_of_reference()
    alpha[top + side // 2 :] = 0
    portrait = encode(np.dstack([demo_rgb(), alpha]))
    assert reference().image[-20:, :, 3].max() == 255
    assert portrait.image[side // 2 :, :, 3].max() == 0
    np.testing.assert_array_equal(portrait.image[..., :3], reference().image[..., :3])
    np.testing.assert_array_equal(
        portrait.image[: side // 2, :, 3], reference().image[: side // 2, :, 3]
    )


def crop_of_reference() -> tuple[int, int, int]:
    found = cv2.matchTemplate(demo_rgb(), reference().image[..., :3], cv2.TM_SQDIFF)
    left, top = cv2.minMaxLoc(found)[2]
    return left, top, reference().image.shape[0]


def test_smallest_photo() -> None:
    left, top, side = crop_of_reference()
    small = cv2.resize(
        demo_rgb()[top : top + side, left : left + side], (128, 128), interpolation=cv2.INTER_AREA
    )
    portrait = encode(np.ascontiguousarray(small))
    assert portrait.image.shape == (128, 128, 4)
    # One pixel of the face of 74 is 2 of the grid.
    assert distance(portrait) < 4


def test_4k_photo() -> None:
    large = cv2.resize(demo_rgb(), (2160, 2160), interpolation=cv2.INTER_CUBIC)
    wide = np.zeros((2160, 3840, 3), np.uint8)
    wide[:, 900 : 900 + 2160] = large
    portrait = encode(wide)
    assert portrait.image.shape == (MAX_SIDE, MAX_SIDE, 4)
    assert distance(portrait) < 1.5
    # The matte comes at that size too, and says the same.
    small = cv2.resize(portrait.image[..., 3], reference().image.shape[:2], cv2.INTER_AREA)
    both = np.stack([small > 127, reference().image[..., 3] > 127])
    assert both.all(0).sum() > 0.9 * both.any(0).sum()


@settings(deadline=None)
@given(
    st.integers(128, 5000),
    st.integers(128, 5000),
    hnp.arrays(np.float64, 2, elements=st.floats(-0.1, 1.1)),
    st.floats(0.01, 1.2),
)
def test_crop_box_lies_in_the_picture(
    width: int, height: int, at: NDArray[np.float64], share: float
) -> None:
    half = share * min(width, height) / 2 + 1
    points = np.zeros((VERTICES, 3), np.float32)
    points[:, :2] = at * (width, height) + np.linspace(-half, half, VERTICES)[:, None] * (0.8, 1)
    left, top, side = crop_box(points, width, height)
    assert 0 <= left <= left + side <= width
    assert 0 <= top <= top + side <= height
    wanted = 2 * half / FACE_SHARE
    # Half a pixel by rounding, and float32 at 5000 pixels.
    assert side == min(width, height) or abs(side - wanted) < 0.51 + 0.002
    if side == min(width, height):
        assert wanted > side - 0.51
    middle = left + side / 2
    if 0 < left < width - side:
        assert abs(middle - at[0] * width) < 1


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_face_in_a_corner(corner: tuple[int, int]) -> None:
    """A photo cut right beside the face: the crop moves inwards and the landmarks stay on it."""
    left, top, side = crop_of_reference()
    points = (reference().landmarks[:, :2] + 0.5) * side / GRID - 0.5 + (left, top)
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int) + 1
    x = slice(low[0], None) if corner[0] == 0 else slice(None, high[0])
    y = slice(low[1], None) if corner[1] == 0 else slice(None, high[1])
    part = np.ascontiguousarray(demo_rgb()[y, x])
    portrait = encode(part)
    assert portrait.image.shape[0] <= min(part.shape[:2])
    found = cv2.matchTemplate(demo_rgb(), portrait.image[..., :3], cv2.TM_SQDIFF)
    offset = np.array(cv2.minMaxLoc(found)[2])
    own = (portrait.landmarks[:, :2] + 0.5) * portrait.image.shape[0] / GRID - 0.5 + offset
    # The network sees the picture's replicated edge in place of hair: 3 % of the eyes' distance.
    assert np.linalg.norm(own - points, axis=1).mean() < 2.5


@cache
def pair() -> Pixels:
    """The face at the left, and at three quarters of the size at the right."""
    small = cv2.resize(demo_rgb(), (264, 264), interpolation=cv2.INTER_AREA)
    canvas = np.full((352, 352 + 264, 3), 90, np.uint8)
    canvas[:, :352] = demo_rgb()
    canvas[44 : 44 + 264, 352:] = small
    return canvas


def test_two_faces_have_to_be_told_apart() -> None:
    with pytest.raises(SeveralFacesError, match=r"2 faces.*face=0 at x.*face=1 at x"):
        encode(pair())


def test_picked_faces() -> None:
    large, small = encode(pair(), 0), encode(pair(), 1)
    assert distance(large) < 1.5
    side = large.image.shape[0]
    assert small.image.shape[0] == pytest.approx(0.75 * side, abs=2)
    assert large.key != small.key
    for portrait, where in ((large, pair()[:, :352]), (small, pair()[:, 352:])):
        found = cv2.matchTemplate(where, portrait.image[..., :3], cv2.TM_SQDIFF)
        assert cv2.minMaxLoc(found)[0] == 0
    with pytest.raises(FaceNotFoundError, match="face=2 was asked for, the picture holds 2"):
        encode(pair(), 2)


def test_a_face_on_a_poster_is_not_asked_about() -> None:
    canvas = np.full((352, 500, 3), 90, np.uint8)
    canvas[:, :352] = demo_rgb()
    canvas[20:120, 380:480] = cv2.resize(demo_rgb(), (100, 100), interpolation=cv2.INTER_AREA)
    assert distance(encode(canvas)) < 1.5


@pytest.mark.parametrize("kind", ["grey", "noise", "slope"])
def test_no_face(kind: str) -> None:
    picture = np.full((300, 400, 3), 128, np.uint8)
    if kind == "noise":
        picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    elif kind == "slope":
        picture[..., 0] = np.linspace(0, 255, 400)
    with pytest.raises(FaceNotFoundError, match="400x300"):
        encode(picture)


def test_face_too_small_to_animate() -> None:
    canvas = np.full((400, 400, 3), 90, np.uint8)
    canvas[150:230, 150:230] = cv2.resize(demo_rgb(), (80, 80), interpolation=cv2.INTER_AREA)
    with pytest.raises(FaceNotFoundError, match="at least 32 pixels"):
        encode(canvas)


def test_key_tells_apart_what_decides_the_result() -> None:
    photo = load_image(PHOTO)
    alpha = np.full(photo.rgb.shape[:2], 255, np.uint8)
    wide = Photo(photo.rgb.reshape(176, 704, 3), None)  # the same bytes
    keys = [
        key_of(Bundle.default(), [photo], None),
        key_of(Bundle.default(), [photo], None, video=True),
        key_of(Bundle.default(), [photo], 0),
        key_of(Bundle.default(), [photo], 1),
        key_of(Bundle.default(), [photo, photo], None),
        key_of(Bundle.default(), [Photo(photo.rgb, alpha)], None),
        key_of(Bundle.default(), [wide], None),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(Bundle.default(), [load_image(demo_rgb())], None) == keys[0]


def test_better_sources_score_higher() -> None:
    """A frontal face with a shut mouth and open eyes, as large and as sharp as can be."""
    photo, rest = load_image(PHOTO), np.zeros(3, np.float32)

    def points(**modes: float) -> Float:
        shown = model().shape(np.zeros(100, np.float32), expression(**modes))
        return frontal(scale=10).apply(shown)[0]

    best = _quality(photo, points(), rest)
    small = Photo(cv2.resize(photo.rgb, (176, 176), interpolation=cv2.INTER_AREA), None)
    assert best > _quality(photo, points(jawOpen=0.5), rest)
    assert best > _quality(photo, points(eyeBlink_R=1), rest)
    assert best > _quality(photo, points(), np.array([0, 0.3, 0], np.float32))
    assert best > _quality(photo, points(), np.array([0.3, 0, 0], np.float32))
    assert best == _quality(photo, points(), np.array([0, 0, 0.3], np.float32))  # a tilt is undone
    assert best > _quality(Photo(cv2.GaussianBlur(photo.rgb, (0, 0), 2), None), points(), rest)
    assert best > _quality(small, points() / 2, rest)


def test_best_of_several_photos() -> None:
    """Sharp beats blurred, in any order; a picture without a face does no harm."""
    sharp = load_image(PHOTO)
    blurred = Photo(cv2.GaussianBlur(demo_rgb(), (0, 0), 3), None)
    nobody = Photo(np.full((200, 200, 3), 90, np.uint8), None)
    for photos in ([sharp, blurred, nobody], [nobody, blurred, sharp]):
        portrait = encoder().encode(photos)
        np.testing.assert_array_equal(portrait.image[..., :3], reference().image[..., :3])
    with pytest.raises(FaceNotFoundError):
        encoder().encode([nobody, nobody])


def test_landmarks_do_not_move_with_resizing() -> None:
    """Half the photo's size gives the same geometry on the 256-grid."""
    half = cv2.resize(demo_rgb(), (264, 264), interpolation=cv2.INTER_AREA)
    portrait = encode(half)
    assert distance(portrait) < 2
    change: Float = portrait.pose.relative_to(reference().pose)
    assert np.abs(change[0, :3]).max() < 0.1
