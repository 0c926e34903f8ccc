"""478 landmarks of a face, in a picture or along a clip.

The network (MediaPipe's face landmarker, with irises) looks at a square that is turned so that the
eyes are level. The square comes from a detection at first, and from the landmarks of the frame
before afterwards. Nothing is smoothed over time: a frame's points depend on its own pixels, so that
lips which close are never reported late.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnxruntime

from parlante.contract import Float, Image
from parlante.face.detection import Detection, FaceDetector
from parlante.face.roi import Roi, crop, require_image, to_tensor

COUNT = 478  # 468 vertices of the face mesh, then centre, right, top, left, bottom of each iris
SIDE = 256  # the network's input, pixels
MARGIN = 1.5  # side of the square over the longer side of the face's box, as in training
LEFT_EYE, RIGHT_EYE = 33, 263  # outer corners; left and right as seen in the picture
MIN_PRESENCE = 0.5
REFINEMENTS = 2  # looks at a new face; the second one's square no longer depends on the detector


class FaceLandmarks:
    """Finds the landmarks of the face in a square of a picture.

    ``session`` runs ``face_landmarks.onnx``: image f32[1,3,256,256] in [0,1] -> landmarks
    f32[1,478,3], presence f32[1,1].
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def landmarks(self, image: Image, roi: Roi) -> tuple[Float, float]:
        """Landmarks of the face in ``roi`` of ``image`` u8[H,W,3] RGB, and its presence.

        Points f32[478,3] are in pixels of ``image``: x right, y down, pixel centres at integers; z
        in the same unit, smaller is nearer, 0 at the middle of the head. They may lie outside the
        picture. Presence in [0,1] is the probability that the square holds a face at all. Raises
        ValueError for anything that is not such a picture.
        """
        require_image(image)
        raw, presence = self._session.run(
            ["landmarks", "presence"], {"image": to_tensor(crop(image, roi, SIDE))}
        )
        matrix = roi.matrix(SIDE)
        points = np.empty((COUNT, 3), np.float32)
        # The network counts pixel corners, pictures count pixel centres.
        points[:, :2] = (raw[0, :, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        points[:, 2] = raw[0, :, 2] * (roi.size / SIDE)
        return points, float(presence[0, 0])

    def of_detection(self, image: Image, detection: Detection) -> tuple[Float, float]:
        """`landmarks` of a detected face, looked at twice to be rid of the detector's roughness."""
        roi = roi_from_detection(detection)
        for _ in range(REFINEMENTS):
            points, presence = self.landmarks(image, roi)
            roi = roi_from_landmarks(points)
        return points, presence


class LandmarkTracker:
    """Follows one face through the frames of a clip.

    Where there is no face yet, or it is lost, the detector looks and the largest face is followed.
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
        """Forget the face: call it at a cut."""
        self._roi = None

    def update(self, image: Image) -> tuple[Float, float] | None:
        """Landmarks and presence in the next frame u8[H,W,3] RGB, None when it shows no face.

        For their units see `FaceLandmarks.landmarks`.
        """
        if self._roi is not None:
            found = self._landmarks.landmarks(image, self._roi)
            if self._follow(found):
                return found
        for detection in self._detector.detect(image)[:1]:
            found = self._landmarks.of_detection(image, detection)
            if self._follow(found):
                return found
        return None

    def track(self, frames: Iterable[Image]) -> Iterator[tuple[Float, float] | None]:
        """`update` for each frame of a clip, after a `reset`."""
        self.reset()
        for image in frames:
            yield self.update(image)

    def _follow(self, found: tuple[Float, float]) -> bool:
        """Take the next frame's square from this frame's face, if it is one."""
        points, presence = found
        self._roi = roi_from_landmarks(points) if presence >= self._min_presence else None
        return self._roi is not None


def roi_from_detection(detection: Detection) -> Roi:
    """The square around a detected face, turned with its eyes."""
    angle = tilt(detection.keypoints[0], detection.keypoints[1])
    return Roi(*detection.centre, MARGIN * detection.size, angle)


def roi_from_landmarks(points: Float) -> Roi:
    """The square around landmarks f32[478,2+], turned with their eyes: that of the next frame."""
    near, far = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    x, y = (float(value) for value in (near + far) / 2)
    return Roi(x, y, MARGIN * float((far - near).max()), tilt(points[LEFT_EYE], points[RIGHT_EYE]))


def tilt(left_eye: npt.ArrayLike, right_eye: npt.ArrayLike) -> float:
    """Angle (radians, clockwise in the picture) of the line through the eyes; 0 when level."""
    left, right = np.asarray(left_eye, np.float64), np.asarray(right_eye, np.float64)
    return math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
