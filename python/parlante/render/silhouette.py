"""The outline of a turned face: in the photo, and where a frame has one that the photo has not.

The landmarks of a face that is turned away go around its far cheek. A mesh of them is folded there:
where the head turns back it would show the cheek twice, once as in a mirror, with the photo's
outline in between. Unfolded, it draws out the skin that is seen. For that its outline has to lie on
skin: beside it, it would draw out hair or background. Where the head turns further away the mesh
folds, and a pixel shows either what is before or what is behind: a row of steps, which
`_core.soften` makes smooth. So it is along the lids, which slide over the eyes and one another.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import VERTICES, Float, Image
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, FACE_OVAL, LIPS_INNER, LIPS_OUTER

MARGIN = 0.003  # widths of the face by which its oval lies around all else
LOOPS = 3  # of vertices, from the oval on, that may be moved
THIN = 0.02  # share of a common triangle's area under which one counts as folded
ROUNDS = 60
# Widths of the face: steps in which skin is looked for, from outside of the oval into the face;
# how far in it may begin, and how far into it the oval then goes; skin that begins further in is
# none that the oval missed.
STEPS = np.arange(-0.03, 0.1, 0.004)
DEEPEST, INTO = 0.04, 0.006
OUTER, INNER = STEPS < -0.018, STEPS > 0.06  # of these: what is beside the face, and what is skin
APART = 30.0  # levels: colours that differ by less are not told apart
SKIN = 0.75  # of the way from the colour outside to that of skin: from there on it is skin


def unfolded(points: Float, triangles: NDArray[np.int32]) -> Float:
    """Landmarks float32 [468, 3] of a photo, of which none near the outline lie behind others.

    triangles int32 [T, 3] of the face. Depths, lips and lids stay as they are.
    """
    out = points.astype(np.float64)
    oval = list(FACE_OVAL)
    out[oval, :2] = _around(out[:, :2], oval)
    beside = np.zeros((VERTICES, VERTICES), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        beside[triangles[:, a], triangles[:, b]] = beside[triangles[:, b], triangles[:, a]] = True
    near = np.isin(np.arange(VERTICES), oval)
    for _ in range(LOOPS):
        near |= beside[near].any(0)
    near[[*oval, *EYE_LEFT, *EYE_RIGHT, *LIPS_OUTER]] = False
    middle = beside / beside.sum(1, keepdims=True)
    for _ in range(ROUNDS):
        area = _area(out, triangles)
        folded = np.zeros(VERTICES, bool)
        folded[triangles[area * np.sign(np.median(area)) < THIN * abs(np.median(area))]] = True
        folded &= near
        if not folded.any():
            break
        out[folded, :2] = (out[folded, :2] + middle[folded] @ out[:, :2]) / 2
    return out.astype(np.float32)


def on_skin(points: Float, photo: Image) -> Float:
    """Landmarks float32 [468, 3] of which the oval lies on skin; those near it go along.

    photo uint8 [H, W, ≥3], in whose pixels they are. Depths, lips and lids stay as they are.
    """
    out, oval = points.astype(np.float64), list(FACE_OVAL)
    outline, width = out[oval, :2], float(np.ptp(out[oval, 0]))
    along = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    inwards = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1)[:, None]
    inwards *= np.sign(((outline.mean(0) - outline) * inwards).sum(1, keepdims=True))
    ways = outline[:, None] + STEPS[:, None] * width * inwards[:, None]
    missed = _before_skin(photo, ways.astype(np.float32))
    missed = np.median([np.roll(missed, k) for k in (-1, 0, 1)], axis=0)
    missed = (np.roll(missed, 1) + 2 * missed + np.roll(missed, -1)) / 4
    share = np.clip(1 - _distance(out[:, :2], outline) / (STEPS[-1] * width), 0, 1)
    share[[*LIPS_OUTER, *LIPS_INNER, *EYE_LEFT, *EYE_RIGHT]] = 0
    nearest = np.linalg.norm(out[:, None, :2] - outline, axis=2).argmin(1)
    out[:, :2] += (share * width)[:, None] * (missed[:, None] * inwards)[nearest]
    return out.astype(np.float32)


class Outlines:
    """Where a mesh of triangles int32 [T, 3] is folded in a frame; and its ``loops``, always."""

    def __init__(self, triangles: NDArray[np.int32], *loops: Sequence[int]) -> None:
        self._triangles = triangles
        self._loops = np.array(
            [pair for loop in loops for pair in zip(loop, np.roll(loop, -1), strict=True)], np.int64
        ).reshape(-1, 2)
        edges: dict[tuple[int, int], list[int]] = {}
        for number, (a, b, c) in enumerate(triangles.tolist()):
            for edge in ((a, b), (b, c), (c, a)):
                edges.setdefault((min(edge), max(edge)), []).append(number)
        inner = [(*edge, *both) for edge, both in edges.items() if len(both) == 2]
        self._edges = np.array(inner, np.int64)

    def of(self, vertices: Float) -> Float:
        """Ends of the lines: float32 [N, 2, 2] of vertices [V, 2]."""
        front = _area(vertices, self._triangles) > 0
        first, second = front[self._edges[:, 2:]].T
        ends = np.concatenate([self._edges[first != second, :2], self._loops])
        return np.asarray(vertices[ends], np.float32)


def _around(points: NDArray[np.float64], oval: list[int]) -> NDArray[np.float64]:
    """The oval's points [RING, 2], as far from its middle as all that lies in their direction."""
    away = points - points[oval].mean(0)
    angle, radius = np.arctan2(away[:, 1], away[:, 0]), np.hypot(*away.T)
    between = np.abs(_turn(angle[oval], angle[np.roll(oval, 1)]))
    reach = np.maximum(between, np.roll(between, -1))[:, None]
    inner = np.delete(np.arange(len(points)), oval)
    seen = np.abs(_turn(angle[inner], angle[oval][:, None])) <= reach
    furthest = np.where(seen, radius[inner], 0).max(1) + MARGIN * np.ptp(points[:, 0])
    factor = np.maximum(furthest / radius[oval], 1)[:, None]
    return np.asarray(points[oval] + (factor - 1) * away[oval])


def _before_skin(photo: Image, ways: Float) -> NDArray[np.float64]:
    """How far in on each way [N, STEPS, 2] skin begins, in widths of the face; 0: at its place."""
    soft = np.asarray(cv2.GaussianBlur(photo[..., :3], (0, 0), 1), np.float32)
    colours = cv2.remap(
        soft, ways[..., 0], ways[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    outside = np.median(colours[:, OUTER], axis=1)
    way = np.median(colours[:, INNER], axis=1) - outside
    apart = np.square(way).sum(1)
    like = ((colours - outside[:, None]) * way[:, None]).sum(2) > SKIN * apart[:, None]
    from_here_on = np.logical_and.accumulate(like[:, ::-1], axis=1)[:, ::-1]
    first = STEPS[from_here_on.argmax(1)]
    told = from_here_on.any(1) & (apart > APART**2) & (first <= DEEPEST)
    return np.where(told, np.maximum(first + INTO, 0), 0)


def _distance(points: NDArray[np.float64], outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of points [V, 2] from a closed outline [N, 2]: [V]."""
    along = np.roll(outline, -1, 0) - outline
    from_start = points[:, None] - outline
    share = np.clip((from_start * along).sum(2) / np.square(along).sum(1), 0, 1)
    return np.asarray(np.linalg.norm(from_start - share[..., None] * along, axis=2).min(1))


def _turn(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles from b to a, in [−π, π]."""
    return np.asarray((a - b + np.pi) % (2 * np.pi) - np.pi)


def _area(points: NDArray[np.floating], triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    """Twice the signed area of each triangle."""
    corners = points[:, :2][triangles]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1])
