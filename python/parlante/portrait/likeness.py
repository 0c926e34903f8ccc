"""Whether pictures show one person: likeness of faces by SFace (Zhong et al., TIP 2021)."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime

from parlante.contract import Float, Image
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIP_CORNERS, NOSE_TIP

SIDE = 112  # pixels of a face as the network sees it
# Where it has right and left eye, the tip of the nose, and the corners of the mouth.
PLACES = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]])
ALIKE = 0.25  # cosine above which two faces may be of one person


class Likeness:
    """What tells a face from those of other people; nothing of it is kept."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """``session``: the bundle's ``likeness``."""
        self._session = session

    def of(self, picture: Image, points: Float) -> Float:
        """Of a face: float32 [128], of length 1.

        picture uint8 [H, W, 3] RGB; points float32 [478, 3]: its landmarks, pixels.
        """
        to_face = _similarity(_five(points), PLACES)
        face = cv2.warpAffine(picture, to_face, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        planes = np.ascontiguousarray(np.moveaxis(face, 2, 0)[None], np.float32)
        (likeness,) = self._session.run(["likeness"], {"face": planes})
        return np.asarray(likeness[0] / np.linalg.norm(likeness), np.float32)


def people(faces: Float) -> list[list[int]]:
    """The faces float32 [N, 128] by whom they may be of, as they are numbered.

    Two are of one person where they are alike, or each of them and a third.
    """
    alike, left, found = faces @ faces.T > ALIKE, set(range(len(faces))), []
    while left:
        own, near = set(), {min(left)}
        while near:
            own |= near
            near = set(np.flatnonzero(alike[list(near)].any(0)).tolist()) - own
        left -= own
        found.append(sorted(own))
    return found


def _five(points: Float) -> Float:
    eyes = (points[list(eye), :2].mean(0) for eye in (EYE_RIGHT, EYE_LEFT))
    return np.stack([*eyes, points[NOSE_TIP, :2], *points[list(LIP_CORNERS), :2]])


def _similarity(points: Float, to: Float) -> Float:
    """The turn, scale and shift [2, 3] that takes points [N, 2] to others (Umeyama 1991)."""
    away, wanted = points - points.mean(0), to - to.mean(0)
    left, stretch, right = np.linalg.svd(wanted.T @ away)
    turn = left @ right * stretch.sum() / np.square(away).sum()
    return np.column_stack([turn, to.mean(0) - turn @ points.mean(0)])
