"""478 face landmarks of a face in a picture or along a clip.

The network (MediaPipe's face landmarker with iris refinement) looks at a square, turned so that the eyes are level. The
square comes from a detection for a first frame, and from the previous frame's landmarks afterwards. Nothing is
smoothed over time: a point belongs to its own frame alone, so a closed mouth is never reported late.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnxruntime

from parlante.detection import Detection, FaceDetector
from parlante.roi import Image, Roi, crop, require_image, to_tensor

COUNT = 478  # 468 vertices of the face mesh, then 5 for each iris (centre, then right, top, left, bottom)
CROP = 256  # side of the network's input, pixels
MARGIN = (
    1.5  # side of the square over the longer side of the face's box, as the network was trained
)
LEFT_EYE, RIGHT_EYE = 33, 263  # outer corners, left and right as seen in the picture
MIN_PRESENCE = 0.5

Points = npt.NDArray[np.float32]


def roi_from_detection(detection: Detection) -> Roi:
    """The square around a detected face, turned with its eyes."""
    left, top, right, bottom = (float(value) for value in detection.box)
    angle = level(detection.keypoints[0], detection.keypoints[1])
    return Roi((left + right) / 2, (top + bottom) / 2, MARGIN * detection.size, angle)


def roi_from_landmarks(points: Points) -> Roi:
    """The square for the next frame, around the landmarks f32[478,2+] of this one."""
    left, top = (float(value) for value in points[:, :2].min(axis=0))
    right, bottom = (float(value) for value in points[:, :2].max(axis=0))
    angle = level(points[LEFT_EYE], points[RIGHT_EYE])
    size = MARGIN * max(right - left, bottom - top)
    return Roi((left + right) / 2, (top + bottom) / 2, size, angle)


def level(left_eye: npt.ArrayLike, right_eye: npt.ArrayLike) -> float:
    """Angle (radians, clockwise in the picture) of the line through the eyes; 0 for an upright face."""
    left, right = np.asarray(left_eye, np.float64), np.asarray(right_eye, np.float64)
    return math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))


class FaceLandmarks:
    """Finds the landmarks of the face within a square of a picture.

    ``session`` runs ``face_landmarks.onnx``: image f32[1,3,256,256] in [0,1] -> landmarks f32[1,478,3], presence f32[1,1].
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def landmarks(self, image: Image, roi: Roi) -> tuple[Points, float]:
        """Landmarks of one face.

        ``image`` u8[H,W,3] RGB. Returns points f32[478,3] in pixels of ``image`` (x right, y down, pixel centres at
        integers; z in the same pixels, smaller is nearer, 0 near the middle of the head) and the probability in [0,1]
        that the square holds a face at all. Points may lie outside the picture.
        """
        require_image(image)
        matrix = roi.matrix(CROP)
        tensor = to_tensor(crop(image, roi, CROP))
        raw, presence = self._session.run(["landmarks", "presence"], {"image": tensor})
        # The network's unit square has its pixel *corners* at integers.
        x, y, z = raw[0, :, 0] - 0.5, raw[0, :, 1] - 0.5, raw[0, :, 2]
        points = np.empty((COUNT, 3), np.float32)
        points[:, 0] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
        points[:, 1] = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
        points[:, 2] = z * (roi.size / CROP)
        return points, float(presence[0, 0])


class LandmarkTracker:
    """Follows one face through the frames of a clip.

    The square of each frame is taken from the frame before; where the face is lost (or at the start) the detector
    looks again and the largest face is followed.
    """

    def __init__(
        self,
        detector: FaceDetector,
        landmarks: FaceLandmarks,
        *,
        min_presence: float = MIN_PRESENCE,
    ) -> None:
        self._detector = detector
        self._landmarks = landmarks
        self._min_presence = min_presence
        self._roi: Roi | None = None

    def reset(self) -> None:
        """Forget the face (call at a cut)."""
        self._roi = None

    def update(self, image: Image) -> tuple[Points, float] | None:
        """Landmarks and presence (see `FaceLandmarks.landmarks`) in the next frame u8[H,W,3], None without a face."""
        if self._roi is not None:
            points, presence = self._landmarks.landmarks(image, self._roi)
            if presence >= self._min_presence:
                self._roi = roi_from_landmarks(points)
                return points, presence
            self._roi = None
        detections = self._detector.detect(image)
        if not detections:
            return None
        # The first square is as rough as the detection; a second look through the landmarks' own square makes the
        # first frame as good as the others.
        roi = roi_from_detection(detections[0])
        for _ in range(2):
            points, presence = self._landmarks.landmarks(image, roi)
            if presence < self._min_presence:
                return None
            roi = roi_from_landmarks(points)
        self._roi = roi
        return points, presence

    def track(self, frames: Iterable[Image]) -> Iterator[tuple[Points, float] | None]:
        """`update` for each frame of a clip, from a fresh start."""
        self.reset()
        for image in frames:
            yield self.update(image)
