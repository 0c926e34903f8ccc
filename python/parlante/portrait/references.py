"""What other pictures of a person show of mouth and eyes, for the renderer to draw from.

A reference is an atlas (`parlante.face.patches`) cut from a picture, with the places of the mesh's
vertices in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import ATLAS, BANDS, VERTICES, Float, Image
from parlante.face.patches import Patches, atlas_of, through
from parlante.face.pose import Pose
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER

LIMIT = 32  # references of a face
MAX_TURN = 0.5  # radians between the head in a reference and in the portrait
BLURRED = 0.6  # of the median sharpness: less is not worth showing
LIGHT_RANGE = 0.7, 1.4  # by which a reference's contrast is changed to match the portrait's
# The vertices that say which reference is nearest: by patch.
SHAPES = (
    (0, (*LIPS_OUTER, *LIPS_INNER)),
    (1, EYE_RIGHT),
    (2, EYE_LEFT),
)


@dataclass(frozen=True)
class References:
    """R references.

    atlases uint8 [R, 256, 128, 3] RGB; places float32 [R, 3, 468, 2]: of the vertices in them, by
    patch.
    """

    atlases: Image
    places: Float

    @classmethod
    def none(cls) -> References:
        """Of a person known from one picture."""
        return cls(np.zeros((0, *ATLAS, 3), np.uint8), np.zeros((0, 3, VERTICES, 2), np.float32))

    def __len__(self) -> int:
        return len(self.atlases)

    def __getitem__(self, rows: NDArray[np.intp]) -> References:
        return References(self.atlases[rows], self.places[rows])


def references_of(
    patches: Patches, pictures: list[Image], landmarks: list[Float], poses: Pose, base: int
) -> References:
    """At most `LIMIT` references from pictures of a person, all but number ``base``.

    pictures uint8 [H, W, 3], landmarks float32 [478, 3] and poses in pixels of each. Chosen by what
    they add: those whose lips and lids differ most.
    """
    usable = [
        i
        for i in range(len(pictures))
        if np.abs(poses.rotation[i] - poses.rotation[base]).max() < MAX_TURN or i == base
    ]
    maps = [patches.to_atlas(poses[i : i + 1]) for i in usable]
    atlases = np.stack([atlas_of(pictures[i], m) for i, m in zip(usable, maps, strict=True)])
    places = np.stack(
        [through(m, landmarks[i][:VERTICES, :2]) for i, m in zip(usable, maps, strict=True)]
    )
    own = usable.index(base)
    sharp = np.array([_sharpness(atlas) for atlas in atlases])
    rows = np.flatnonzero((sharp >= BLURRED * np.median(sharp)) & (np.arange(len(sharp)) != own))
    found = References(atlases, places)
    chosen = rows[_most_different(shapes(places[rows]), LIMIT)] if len(rows) else rows
    lit = [_in_light_of(atlases[own], atlas) for atlas in found[chosen].atlases]
    return References(np.stack(lit), places[chosen]) if lit else References.none()


def shapes(places: Float) -> Float:
    """Lips and lids [N, n] of places [N, 3, ≥468, 2] in the atlas."""
    parts = [places[:, patch, list(loop)].reshape(-1, 2 * len(loop)) for patch, loop in SHAPES]
    return np.concatenate(parts, 1)


def _sharpness(atlas: Image) -> float:
    grey = cv2.cvtColor(atlas, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


def _most_different(points: Float, count: int) -> NDArray[np.intp]:
    """Rows of points [N, n], each the furthest from those before; the first is the middle one."""
    chosen = [int(np.square(points - points.mean(0)).sum(1).argmin())]
    nearest = np.square(points - points[chosen[0]]).sum(1)
    while len(chosen) < min(count, len(points)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.square(points - points[chosen[-1]]).sum(1))
    return np.array(chosen, np.intp)


def _in_light_of(base: Image, atlas: Image) -> Image:
    """An atlas with the brightness, contrast and tint of another of the same person."""
    out = np.empty_like(atlas)
    for first, last in BANDS:
        own, wanted = (a[first:last].astype(np.float32) for a in (atlas, base))
        gain = wanted.std((0, 1)) / np.maximum(own.std((0, 1)), 1)
        moved = (own - own.mean((0, 1))) * np.clip(gain, *LIGHT_RANGE) + wanted.mean((0, 1))
        out[first:last] = np.clip(np.round(moved), 0, 255)
    return out
