"""Finds faces in a picture of any size.

One network does it: YuNet (Wu, Peng, Yu: "YuNet: a tiny millisecond-level face detector", MIR 2023). It was chosen over
MediaPipe's short-range BlazeFace by measuring both on 80 people's clips: both find every face in a head-and-shoulders
picture, but with the head a fifth of the picture's side BlazeFace finds 38 % and with an eighth none, where YuNet finds 99 %
and still 95 % at a twentieth. YuNet weakens beyond 40 degrees of tilt and on faces larger than the picture; both are
repaired by looking again at a turned or smaller copy, which costs nothing as long as faces are found at first sight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from parlante.roi import Image, Matrix, Roi, crop, require_image, to_tensor, transform

SIDE = 640  # the network's input, pixels
MIN_SCORE = 0.6
SAME_FACE = 0.3  # intersection over union from which two candidates are the same face


@dataclass(frozen=True)
class Detection:
    """A face in a picture; pixels with centres at integers.

    ``box`` f32[4]: left, top, right, bottom, from the hairline to the chin. ``score`` in [0,1]. ``keypoints`` f32[6,2]:
    the eye on the picture's left (of an upright face), the other eye, nose tip, middle of the mouth, left and right mouth corner.
    """

    box: npt.NDArray[np.float32]
    score: float
    keypoints: npt.NDArray[np.float32]

    @property
    def size(self) -> float:
        """The longer side of the box, pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


class FaceDetector:
    """Finds faces.

    ``session`` runs ``face_detector.onnx``: image f32[1,3,640,640] in [0,1] -> scores f32[8400], boxes f32[8400,4] (left,
    top, right, bottom) and keypoints f32[8400,5,2] in pixels of its input.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, *, min_score: float = MIN_SCORE
    ) -> None:
        self._session = session
        self._min_score = min_score

    def detect(self, image: Image) -> list[Detection]:
        """Faces in ``image`` u8[H,W,3] RGB, the largest first; an empty list when there is none.

        Raises ValueError for anything that is not such a picture.
        """
        require_image(image)
        height, width = image.shape[:2]
        longer = max(height, width)
        whole = Roi((width - 1) / 2, (height - 1) / 2, longer)
        diagonal = math.hypot(height, width)
        # Each look is tried only when those before it found nothing.
        looks = [
            [whole],
            [Roi(whole.x, whole.y, 2 * longer)],  # a face larger than the picture
            [Roi(whole.x, whole.y, diagonal, math.radians(tilt)) for tilt in (-45, 45)],
            tiles(width, height, longer / 2),  # a face smaller than a thirtieth of the picture
            [Roi(whole.x, whole.y, longer, math.radians(turn)) for turn in (90, -90, 180)],
        ]
        for rois in looks:
            found = [face for roi in rois for face in self._look(image, roi)]
            if found:
                return sorted(merge(found), key=lambda face: -face.size)
        return []

    def _look(self, image: Image, roi: Roi) -> list[Detection]:
        canvas = crop(image, roi, SIDE, border=cv2.BORDER_CONSTANT)
        scores, boxes, keypoints = self._session.run(
            ["scores", "boxes", "keypoints"], {"image": to_tensor(canvas)}
        )
        matrix = roi.matrix(SIDE)
        return [
            to_picture(float(scores[index]), boxes[index], keypoints[index], matrix)
            for index in np.flatnonzero(scores >= self._min_score)
        ]


def tiles(width: int, height: int, size: float) -> list[Roi]:
    """Squares of side ``size`` that cover the picture and overlap by a quarter or more."""

    def centres(length: int) -> npt.NDArray[np.float64]:
        if length <= size:
            return np.array([(length - 1) / 2])
        count = 1 + math.ceil((length - size) / (0.75 * size))
        return np.linspace((size - 1) / 2, length - 1 - (size - 1) / 2, count)

    return [Roi(float(x), float(y), size) for y in centres(height) for x in centres(width)]


def to_picture(
    score: float, box: npt.NDArray[np.float32], points: npt.NDArray[np.float32], matrix: Matrix
) -> Detection:
    """A candidate in the network's pixels as a face in the picture's; ``matrix`` may scale and turn."""
    left, top, right, bottom = (float(value) for value in box)
    x, y = transform([(left + right) / 2, (top + bottom) / 2], matrix)
    # The upright box around the turned ellipse that fills the box: exact for a head, unlike the box around its corners.
    half_width, half_height = np.hypot(
        *(matrix[:, :2] * [(right - left) / 2, (bottom - top) / 2]).T
    )
    eyes_nose, corners = transform(points[:3], matrix), transform(points[3:], matrix)
    keypoints = np.concatenate([eyes_nose, corners.mean(axis=0, keepdims=True), corners])
    return Detection(
        box=np.array(
            [x - half_width, y - half_height, x + half_width, y + half_height], np.float32
        ),
        score=score,
        keypoints=keypoints.astype(np.float32),
    )


def merge(candidates: list[Detection]) -> list[Detection]:
    """One face for each group of overlapping candidates: their mean, weighted by score, steadier than the best one."""
    rest = sorted(candidates, key=lambda face: -face.score)
    merged = []
    while rest:
        best = rest[0]
        overlaps = overlap(best.box, np.stack([face.box for face in rest]))
        group = [face for face, value in zip(rest, overlaps, strict=True) if value >= SAME_FACE]
        rest = [face for face, value in zip(rest, overlaps, strict=True) if value < SAME_FACE]
        weights = np.array([face.score for face in group], np.float32)
        weights /= weights.sum()
        merged.append(
            Detection(
                box=np.tensordot(weights, np.stack([face.box for face in group]), 1),
                score=best.score,
                keypoints=np.tensordot(weights, np.stack([face.keypoints for face in group]), 1),
            )
        )
    return merged


def overlap(
    box: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Intersection over union of one box [4] with each of boxes [n,4]."""
    near, far = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(far - near, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - common
    return np.asarray(common / np.maximum(union, 1e-9), np.float32)
