"""`FaceLandmarks` and `LandmarkTracker` on the public-domain photo and clips made from it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from parlante.contract import Float, Image
from parlante.face.detection import FaceDetector
from parlante.face.landmarks import (
    FaceLandmarks,
    LandmarkTracker,
    roi_from_detection,
    roi_from_landmarks,
)
from parlante.face.roi import Roi, crop, transform
from tests.support.face_samples import MOUTH_CORNERS, NOSE, PUPILS, photo, session

NOSE_TIP, LEFT_CORNER, RIGHT_CORNER, LEFT_IRIS, RIGHT_IRIS = 1, 61, 291, 468, 473
EYE_DISTANCE = float(np.linalg.norm(PUPILS[1] - PUPILS[0]))


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(session("face_detector"))


@pytest.fixture(scope="module")
def landmarks() -> FaceLandmarks:
    return FaceLandmarks(session("face_landmarks"))


@pytest.fixture(scope="module")
def photo_points(detector: FaceDetector, landmarks: FaceLandmarks) -> Float:
    points, presence = landmarks.of_detection(photo(), detector.detect(photo())[0])
    assert presence > 0.99
    return points


def difference(points: Float, reference: Float) -> float:
    """Mean distance in the picture plane, as a share of the distance between the pupils."""
    distance = np.linalg.norm(reference[RIGHT_IRIS, :2] - reference[LEFT_IRIS, :2])
    return float(np.linalg.norm(points[:, :2] - reference[:, :2], axis=1).mean() / distance)


def test_photo(photo_points: Float) -> None:
    assert photo_points.shape == (478, 3)
    assert photo_points.dtype == np.float32
    # The hand is good to a pixel, the network to another.
    assert np.allclose(photo_points[[LEFT_IRIS, RIGHT_IRIS], :2], PUPILS, atol=2)
    assert np.allclose(photo_points[[LEFT_CORNER, RIGHT_CORNER], :2], MOUTH_CORNERS, atol=3)
    assert np.allclose(
        photo_points[NOSE_TIP, :2], NOSE, atol=6
    )  # the mesh's tip is not the light's
    # The nose is nearer than the eyes, those nearer than the ears (vertices 234 and 454).
    nose, eye, ears = photo_points[NOSE_TIP, 2], photo_points[33, 2], photo_points[[234, 454], 2]
    assert nose < eye < ears.min()
    assert nose == pytest.approx(-0.5 * EYE_DISTANCE, rel=0.4)


@pytest.mark.parametrize("degrees", [-120, -45, -15, 30, 45, 90, 180])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_points_follow_the_picture(
    detector: FaceDetector,
    landmarks: FaceLandmarks,
    photo_points: Float,
    degrees: float,
    scale: float,
) -> None:
    side = round(240 * scale)
    roi = Roi(225.0, 125.0, 240, np.radians(degrees))
    image = crop(photo(), roi, side)
    points, _ = landmarks.of_detection(image, detector.detect(image)[0])
    points[:, :2] = transform(points[:, :2], roi.matrix(side))
    points[:, 2] /= scale
    # At half the size the face is 50 pixels high; the network's own noise is 1 to 2 %.
    assert difference(points, photo_points) < 0.04
    assert np.abs(points[:, 2] - photo_points[:, 2]).mean() < 0.06 * EYE_DISTANCE


def test_mirrored_face_is_the_mirror_image(landmarks: FaceLandmarks, photo_points: Float) -> None:
    # A convention of half a pixel that is wrong anywhere would show as a shift here.
    roi = roi_from_landmarks(photo_points)
    mirrored = Roi(511 - roi.x, roi.y, roi.size, -roi.angle)
    straight, _ = landmarks.landmarks(photo(), roi)
    points, _ = landmarks.landmarks(np.ascontiguousarray(photo()[:, ::-1]), mirrored)
    middle_line = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 11, 12, 13, 14, 17, 152]
    shift = (511 - points[middle_line, 0]) - straight[middle_line, 0]
    assert abs(shift.mean()) < 0.5 * roi.size / 256


def test_large_pictures_are_averaged_not_skipped(
    landmarks: FaceLandmarks, photo_points: Float
) -> None:
    # Each pixel becomes 8 x 8 noisy ones: bilinear sampling alone would keep all of the noise.
    random = np.random.default_rng(0)
    large = photo()[32:232, 120:330].repeat(8, axis=0).repeat(8, axis=1).astype(np.float32)
    noisy = np.clip(large + random.normal(0, 60, large.shape), 0, 255).astype(np.uint8)
    roi = roi_from_landmarks(photo_points)
    moved = Roi(
        (roi.x - 120 + 0.5) * 8 - 0.5, (roi.y - 32 + 0.5) * 8 - 0.5, 8 * roi.size, roi.angle
    )
    points, _ = landmarks.landmarks(noisy, moved)
    points[:, :2] = (points[:, :2] + 0.5) / 8 - 0.5 + [120, 32]
    assert difference(points, photo_points) < 0.03


def test_crop_is_the_plain_warp_where_nothing_shrinks() -> None:
    roi = Roi(225.0, 125.0, 200.0, 0.3)
    expected = cv2.warpAffine(
        photo(),
        roi.matrix(256),
        (256, 256),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    assert np.array_equal(crop(photo(), roi, 256), expected)


def test_shrinking_crop_keeps_positions() -> None:
    # A linear ramp survives any correct averaging: its value says where a pixel was taken from.
    ramp = np.broadcast_to(np.linspace(0, 255, 2000).round().astype(np.uint8), (1500, 2000))
    image = np.ascontiguousarray(np.repeat(ramp[..., None], 3, axis=2))
    roi = Roi(1010.3, 700.7, 1100.0, 0.2)
    small = crop(image, roi, 128)[..., 0].astype(float)
    rows, columns = np.mgrid[:128, :128]
    x = transform(np.stack([columns, rows], axis=-1), roi.matrix(128))[..., 0]
    # Two roundings to whole grey levels.
    assert np.abs(small - x * 255 / 1999).max() < 1.5


def test_presence_tells_a_face_from_none(landmarks: FaceLandmarks, photo_points: Float) -> None:
    _, presence = landmarks.landmarks(photo(), roi_from_landmarks(photo_points))
    _, background = landmarks.landmarks(photo(), Roi(400, 400, 150))
    _, outside = landmarks.landmarks(photo(), Roi(-4000, -4000, 150))
    assert presence > 0.99
    assert background < 0.5
    assert outside < 0.5


def test_a_face_at_the_border_has_points_outside(
    detector: FaceDetector, landmarks: FaceLandmarks
) -> None:
    cut = np.ascontiguousarray(photo()[:, 195:400])  # through the left cheek
    points, presence = landmarks.of_detection(cut, detector.detect(cut)[0])
    assert presence > 0.5
    assert points[:, 0].min() < 0
    assert np.isfinite(points).all()


def moving_clip(frames: int) -> tuple[list[Image], list[Roi]]:
    """The photo under a camera that pans, zooms and rolls."""
    rois = [
        Roi(225 + 12 * np.sin(i / 4), 130 + 6 * np.cos(i / 5), 230 + 1.5 * i, 0.02 * i)
        for i in range(frames)
    ]
    return [crop(photo(), roi, 256) for roi in rois], rois


def test_tracker_follows_a_moving_face(
    detector: FaceDetector, landmarks: FaceLandmarks, photo_points: Float
) -> None:
    frames, rois = moving_clip(20)
    found = list(LandmarkTracker(detector, landmarks).track(frames))
    assert len(found) == len(frames)
    for result, roi in zip(found, rois, strict=True):
        assert result is not None
        points = result[0].copy()
        points[:, :2] = transform(points[:, :2], roi.matrix(256))
        # No lag and no drift: every frame is as good as the photo itself.
        assert difference(points, photo_points) < 0.04


def test_tracker_detects_once_then_follows(
    detector: FaceDetector, landmarks: FaceLandmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    detect = FaceDetector.detect

    def counted(self: FaceDetector, image: Image) -> object:
        nonlocal calls
        calls += 1
        return detect(self, image)

    monkeypatch.setattr(FaceDetector, "detect", counted)
    tracker = LandmarkTracker(detector, landmarks)
    frames, _ = moving_clip(6)
    empty = np.full_like(frames[0], 128)
    assert [found is None for found in tracker.track(frames)] == [False] * 6
    assert calls == 1
    # The face goes, the detector looks in vain; it comes back, the detector finds it.
    assert tracker.update(empty) is None
    assert tracker.update(empty) is None
    assert calls == 3
    assert tracker.update(frames[0]) is not None
    assert calls == 4
    tracker.reset()
    assert tracker.update(frames[1]) is not None
    assert calls == 5


def test_still_frames_do_not_jitter(detector: FaceDetector, landmarks: FaceLandmarks) -> None:
    # Without noise the tracked square settles: the points stand still to a fraction of a pixel.
    frame = moving_clip(1)[0][0]
    found = list(LandmarkTracker(detector, landmarks).track([frame] * 12))
    points = np.stack([result[0] for result in found if result is not None])
    assert len(points) == 12
    assert points[2:, :, :2].std(axis=0).max() < 0.2


def test_square_of_a_level_detection_is_level(detector: FaceDetector) -> None:
    (face,) = detector.detect(photo())
    roi = roi_from_detection(face)
    # The pupils by hand, as a slope.
    assert roi.angle == pytest.approx(np.arctan2(2.5, 42.7), abs=0.06)
    assert roi.size == pytest.approx(1.5 * face.size)


def test_what_is_not_a_picture_is_refused(landmarks: FaceLandmarks) -> None:
    with pytest.raises(ValueError, match="picture"):
        landmarks.landmarks(np.zeros((10, 10), np.uint8), Roi(5, 5, 10))
