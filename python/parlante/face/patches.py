"""The patches that the network draws: mouth, right eye, left eye, side by side in one atlas.

A patch is a rectangle in the head's own frontal plane. It moves with the head, not with lips and
lids, so the network always sees a mouth of about the same size in the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from parlante.contract import ATLAS, BANDS, GRID, Float, Image
from parlante.face.pose import Pose
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIPS_OUTER

# Of the distance of the outer corners of the eyes: half the mouth's patch, and how far it lies
# below the middle between the corners of the mouth, for the jaw to fall; half an eye's width.
MOUTH_HALF, MOUTH_DROP = 0.46, 0.09
EYE_HALF = 0.34
EDGE = 8  # pixels of the atlas over which what is drawn fades out towards the edge of a patch


@dataclass(frozen=True)
class Patches:
    """Of one person: centre float32 [3, 3] and pixel float32 [3], model units, of each patch."""

    centre: Float
    pixel: Float

    @classmethod
    def of(cls, measured: Float) -> Patches:
        """From the landmarks [468, 3] of a photo in the model's axes."""
        unit = np.linalg.norm(measured[EYE_RIGHT[0], :2] - measured[EYE_LEFT[8], :2])
        corners = [(loop[0], loop[len(loop) // 2]) for loop in (LIPS_OUTER, EYE_RIGHT, EYE_LEFT)]
        centre = np.stack([measured[list(pair)].mean(0) for pair in corners])
        centre[0, 1] -= MOUTH_DROP * unit
        half = np.array([MOUTH_HALF, EYE_HALF, EYE_HALF]) * unit
        return cls(np.asarray(centre, np.float32), np.asarray(2 * half / ATLAS[1], np.float32))

    def to_picture(self, pose: Pose) -> Float:
        """Affine maps [3, 2, 3] from pixels of the atlas to those of the 256-grid, for one pose."""
        steps = np.zeros((3, 3, 3), np.float32)  # of a patch: its middle, a column on, a row on
        steps[:, 1, 0], steps[:, 2, 1] = self.pixel, -self.pixel
        points = pose.apply((self.centre[:, None] + steps).reshape(-1, 3))[0, :, :2]
        middle, column, row = np.moveaxis(points.reshape(3, 3, 2), 1, 0)
        linear = np.stack([column - middle, row - middle], -1)
        at = np.array([[(ATLAS[1] - 1) / 2, (first + last - 1) / 2] for first, last in BANDS])
        shift = middle - np.einsum("pij,pj->pi", linear, at)
        return np.concatenate([linear, shift[..., None]], -1, dtype=np.float32)

    def to_atlas(self, pose: Pose) -> Float:
        """Affine maps [3, 2, 3] from pixels of the 256-grid to those of the atlas."""
        return inverse(self.to_picture(pose))

    def seen(self, pose: Pose, side: int) -> Float:
        """Where each pixel of the atlas lies in a picture of ``side``: float32 [256, 128, 2]."""
        own = own_places()
        parts = [
            through(own_map[None], own[first:last].reshape(-1, 2)).reshape(-1, ATLAS[1], 2)
            for own_map, (first, last) in zip(self.to_picture(pose), BANDS, strict=True)
        ]
        return np.asarray((np.concatenate(parts) + 0.5) * (side / GRID) - 0.5, np.float32)


def inverse(maps: Float) -> Float:
    """Inverses of affine maps [P, 2, 3]."""
    linear = np.linalg.inv(maps[..., :2].astype(np.float64))
    shift = -linear @ maps[..., 2:]
    return np.concatenate([linear, shift], -1, dtype=np.float32)


def through(maps: Float, points: Float) -> Float:
    """Points [V, 2] through each of affine maps [P, 2, 3]: [P, V, 2]."""
    return np.asarray(points @ np.swapaxes(maps[..., :2], -1, -2) + maps[:, None, :, 2], np.float32)


def own_places() -> Float:
    """X and y of each pixel of the atlas: float32 [256, 128, 2]."""
    columns, rows = np.meshgrid(np.arange(ATLAS[1]), np.arange(ATLAS[0]))
    return np.stack([columns, rows], -1).astype(np.float32)


def atlas_of(image: Image, to_atlas: Float) -> Image:
    """The patches of a picture uint8 [H, W, 3]: uint8 [256, 128, 3].

    to_atlas [3, 2, 3]: from pixels of the picture to those of the atlas.
    """
    parts = []
    for own, (first, last) in zip(to_atlas.astype(np.float64), BANDS, strict=True):
        own[1, 2] -= first
        smaller = max(1, round(np.abs(np.linalg.det(own[:, :2])) ** -0.5))
        seen = image
        if smaller > 1:  # the picture has more pixels than the atlas: none of them is left out
            size = (image.shape[1] // smaller, image.shape[0] // smaller)
            seen = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            step = np.array([image.shape[1] / size[0], image.shape[0] / size[1]])
            own[:, 2] += own[:, :2] @ (step / 2 - 0.5)
            own[:, :2] *= step
        parts.append(
            cv2.warpAffine(
                seen,
                own,
                (ATLAS[1], last - first),
                flags=cv2.INTER_LANCZOS4,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
    return np.concatenate(parts)


def edge_window() -> Float:
    """How far each pixel of the atlas may be drawn: 1, falling to 0 at the edges of patches."""

    def ramp(count: int) -> Float:
        from_edge = np.minimum(np.arange(count), np.arange(count)[::-1])
        return np.asarray(np.minimum(from_edge / EDGE, 1), np.float32)

    rows = np.concatenate([ramp(last - first) for first, last in BANDS])
    return np.asarray(rows[:, None] * ramp(ATLAS[1]))
