"""`FaceDetector` on the public-domain photo: small, large, turned, grey, several, none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from parlante.face.detection import Detection, FaceDetector, merge, tiles
from parlante.face.roi import Roi, crop, transform
from tests.support.face_samples import MOUTH_CORNERS, NOSE, PUPILS, Image, photo, session

EYE_DISTANCE = float(np.linalg.norm(PUPILS[1] - PUPILS[0]))
BY_HAND = np.concatenate(
    [PUPILS, NOSE[None], MOUTH_CORNERS.mean(axis=0, keepdims=True), MOUTH_CORNERS]
)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(session("face_detector"))


def assert_is_the_face(
    faces: list[Detection], scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> None:
    """One face, with its keypoints where they are by hand in the scaled and shifted photo."""
    assert len(faces) == 1
    expected = (BY_HAND + 0.5) * scale - 0.5 + shift
    error = np.linalg.norm(faces[0].keypoints - expected, axis=1).max()
    # The detector is a rough one, and so is the hand: a sixth of the distance between the eyes.
    assert error < EYE_DISTANCE * scale / 6


def test_photo(detector: FaceDetector) -> None:
    faces = detector.detect(photo())
    assert_is_the_face(faces)
    assert 0.9 < faces[0].score <= 1
    left, top, right, bottom = faces[0].box
    assert left < PUPILS[0, 0] < PUPILS[1, 0] < right
    assert top < PUPILS[0, 1] < MOUTH_CORNERS[0, 1] < bottom
    assert faces[0].size == pytest.approx(bottom - top)


def test_grey_photo(detector: FaceDetector) -> None:
    grey = cv2.cvtColor(photo(), cv2.COLOR_RGB2GRAY)
    assert_is_the_face(detector.detect(np.repeat(grey[..., None], 3, axis=2)))


@pytest.mark.parametrize("degrees", [-170, -90, -45, -20, 20, 45, 60, 90, 135, 180])
def test_turned_photo(detector: FaceDetector, degrees: float) -> None:
    # The square of the photo around the face, turned: crop() maps crop pixels to photo pixels.
    roi = Roi(float(NOSE[0]), float(NOSE[1]), 240, np.radians(degrees))
    (face,) = detector.detect(crop(photo(), roi, 400))
    in_photo = transform(face.keypoints, roi.matrix(400))
    # 20 degrees off the nearest copy of the mosaic costs most: 0.22 measured.
    assert np.linalg.norm(in_photo - BY_HAND, axis=1).max() < EYE_DISTANCE / 4


@pytest.mark.parametrize("size", [32, 64, 100, 2000])
def test_photo_of_any_size(detector: FaceDetector, size: int) -> None:
    face = photo()[40:240, 120:320]
    scale = size / 200
    interpolation = cv2.INTER_AREA if size < 200 else cv2.INTER_LINEAR
    small = cv2.resize(face, (size, size), interpolation=interpolation)
    assert_is_the_face(
        detector.detect(np.asarray(small, np.uint8)), scale, (-120 * scale, -40 * scale)
    )


@pytest.mark.parametrize("place", [(200, 100), (7000, 3900), (3000, 2000)])
def test_small_head_in_a_huge_picture(detector: FaceDetector, place: tuple[int, int]) -> None:
    # 8K: the head is 1/60 of the picture's width, less than 11 pixels of the detector's first look.
    canvas = np.full((4320, 7680, 3), 120, np.uint8)
    x, y = place
    canvas[y : y + 300, x : x + 300] = photo()[:300, 80:380]
    assert_is_the_face(detector.detect(canvas), 1.0, (x - 80, y))


def test_face_larger_than_the_picture(detector: FaceDetector) -> None:
    # From the forehead to the chin, from cheek to cheek.
    close = cv2.resize(photo()[70:170, 180:270], (900, 1000), interpolation=cv2.INTER_CUBIC)
    (face,) = detector.detect(np.asarray(close, np.uint8))
    expected = (BY_HAND - [180, 70] + 0.5) * 10 - 0.5
    assert np.linalg.norm(face.keypoints - expected, axis=1).max() < 10 * EYE_DISTANCE / 6


def test_several_faces_come_largest_first(detector: FaceDetector) -> None:
    head = photo()[20:220, 125:325]
    canvas = np.full((500, 1100, 3), 90, np.uint8)
    left = 10
    expected = []
    for size in (150, 420, 280):
        canvas[30 : 30 + size, left : left + size] = cv2.resize(
            head, (size, size), interpolation=cv2.INTER_AREA
        )
        nose = (NOSE - [125, 20] + 0.5) * size / 200 - 0.5 + [left, 30]
        expected.append((size, nose))
        left += size + 30
    faces = detector.detect(canvas)
    assert len(faces) == 3
    ordered = sorted(expected, key=lambda item: -item[0])
    for face, (size, nose) in zip(faces, ordered, strict=True):
        assert np.linalg.norm(face.keypoints[2] - nose) < 0.04 * size


def test_wide_and_tall_pictures(detector: FaceDetector) -> None:
    head = photo()[20:220, 125:325]
    for shape, place in (((200, 2400), (0, 1700)), ((2400, 200), (1700, 0))):
        canvas = np.full((*shape, 3), 90, np.uint8)
        y, x = place
        canvas[y : y + 200, x : x + 200] = head
        assert_is_the_face(detector.detect(canvas), 1.0, (x - 125, y - 20))


def no_faces() -> list[tuple[str, Image]]:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    return [
        ("coffee", np.asarray(skimage.data.coffee(), np.uint8)),
        ("a cat", np.asarray(skimage.data.chelsea(), np.uint8)),
        ("rocket", np.asarray(skimage.data.rocket(), np.uint8)),
        ("noise", noise),
        ("black", np.zeros((64, 64, 3), np.uint8)),
        ("one pixel", np.full((1, 1, 3), 200, np.uint8)),
        ("one row", np.full((1, 5000, 3), 200, np.uint8)),
        ("the suit without the head", photo()[250:, :]),
    ]


@pytest.mark.parametrize(("name", "image"), no_faces(), ids=[name for name, _ in no_faces()])
def test_no_face(detector: FaceDetector, name: str, image: Image) -> None:
    assert detector.detect(image) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
        None,
    ],
    ids=["grey", "alpha", "float", "empty", "none"],
)
def test_what_is_not_a_picture_is_refused(detector: FaceDetector, image: Image) -> None:
    with pytest.raises(ValueError, match="picture"):
        detector.detect(image)


def test_views_of_an_array_are_pictures_too(detector: FaceDetector) -> None:
    mirrored = detector.detect(photo()[:, ::-1])
    assert len(mirrored) == 1
    assert mirrored[0].keypoints[2, 0] == pytest.approx(511 - NOSE[0], abs=EYE_DISTANCE / 6)


def test_merge_keeps_apart_what_does_not_overlap() -> None:
    points = np.zeros((6, 2), np.float32)

    def face(box: list[float], score: float) -> Detection:
        return Detection(np.array(box, np.float32), score, points)

    merged = merge(
        [face([0, 0, 10, 10], 0.6), face([0, 0, 10, 12], 0.9), face([50, 0, 60, 10], 0.7)]
    )
    assert [found.score for found in merged] == [0.9, 0.7]
    assert merged[0].box[3] == pytest.approx((0.6 * 10 + 0.9 * 12) / 1.5)
    # An empty box overlaps nothing, not even itself.
    assert len(merge([face([5, 5, 5, 5], 0.8)])) == 1


@pytest.mark.parametrize(("width", "height"), [(100, 100), (1000, 30), (37, 900), (640, 641)])
def test_tiles_cover_the_picture(width: int, height: int) -> None:
    size = max(width, height) / 2
    covered: NDArray[np.bool_] = np.zeros((height, width), bool)
    for roi in tiles(width, height, size):
        top, left = max(0, round(roi.y - size / 2)), max(0, round(roi.x - size / 2))
        covered[top : round(roi.y + size / 2) + 1, left : round(roi.x + size / 2) + 1] = True
    assert covered.all()
