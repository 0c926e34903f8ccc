"""What other pictures of a person show of mouth and eyes, for the renderer to draw from.

A reference is an atlas (`parlante.face.patches`) cut from a picture, with the places of the mesh's
vertices in it.
"""

from __future__ import annotations

from collections.abc import Iterable
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
ROUNDS = 8  # of k-means
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


@dataclass(frozen=True)
class Look:
    """One picture of a person: atlas and places as in `References`, rotation [3] of the head."""

    atlas: Image
    places: Float
    rotation: Float

    @classmethod
    def of(cls, patches: Patches, picture: Image, landmarks: Float, pose: Pose) -> Look:
        """Of a picture uint8 [H, W, 3]; landmarks float32 [478, 3] and pose in its pixels."""
        maps = patches.to_atlas(pose)
        return cls(
            atlas_of(picture, maps), through(maps, landmarks[:VERTICES, :2]), pose.rotation[0]
        )


def references_of(base: Look, others: Iterable[Look]) -> References:
    """At most `LIMIT` references, of other looks of the person than the portrait's, ``base``.

    Chosen by what they add: between them they have been near to every shape of lips and lids.
    """
    usable = [o for o in others if np.abs(o.rotation - base.rotation).max() < MAX_TURN]
    sharp = [_sharpness(look.atlas) for look in (*usable, base)]
    least = BLURRED * np.median(sharp)
    usable = [look for look, own in zip(usable, sharp, strict=False) if own >= least]
    if not usable:
        return References.none()
    found = References(np.stack([o.atlas for o in usable]), np.stack([o.places for o in usable]))
    chosen = found[_spread(shapes(found.places), LIMIT)]
    return References(
        np.stack([_in_light_of(base.atlas, atlas) for atlas in chosen.atlases]), chosen.places
    )


def shapes(places: Float) -> Float:
    """Lips and lids [N, n] of places [N, 3, ≥468, 2] in the atlas."""
    parts = [places[:, patch, list(loop)].reshape(-1, 2 * len(loop)) for patch, loop in SHAPES]
    return np.concatenate(parts, 1)


def _sharpness(atlas: Image) -> float:
    grey = cv2.cvtColor(atlas, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


def _spread(points: Float, count: int) -> NDArray[np.intp]:
    """Rows of points [N, n] to which all of them are near (k-means, Lloyd 1982).

    From a start at which each is the furthest from those before it: what is rare is not lost.
    """
    chosen = [int(np.square(points - points.mean(0)).sum(1).argmin())]
    nearest = np.square(points - points[chosen[0]]).sum(1)
    while len(chosen) < min(count, len(points)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.square(points - points[chosen[-1]]).sum(1))
    centres = points[chosen]
    for _ in range(ROUNDS):
        away = np.square(points[:, None] - centres).sum(2)
        own = away.argmin(1)
        centres = np.stack([points[own == k].mean(0) for k in range(len(centres))])
    return np.unique(np.square(points[:, None] - centres).sum(2).argmin(0))


def _in_light_of(base: Image, atlas: Image) -> Image:
    """An atlas with the brightness, contrast and tint of another of the same person."""
    out = np.empty_like(atlas)
    for first, last in BANDS:
        own, wanted = (a[first:last].astype(np.float32) for a in (atlas, base))
        gain = wanted.std((0, 1)) / np.maximum(own.std((0, 1)), 1)
        moved = (own - own.mean((0, 1))) * np.clip(gain, *LIGHT_RANGE) + wanted.mean((0, 1))
        out[first:last] = np.clip(np.round(moved), 0, 255)
    return out
