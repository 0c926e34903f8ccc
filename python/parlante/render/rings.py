"""The three rings around a face: how the motion of a head dies away in the photo around it."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np

from parlante.contract import Float, Image
from parlante.face.topology import FACE_OVAL

RING = len(FACE_OVAL)

# How far the first ring stands off the face oval (of the distance to the face's middle): hair needs
# more room above than the neck below. But no more than this share of the way to the crop's edge.
RING_SIDE, RING_TOP, RING_BOTTOM = 1.30, 1.60, 1.20
RING_SHARE = 0.7
SHOULDERS = 0.1  # how far the shoulders follow the head
# Where the photo's edge is clear of the person: with so much of its smaller side, of a matte up to
# so much. Below the middle of the face by this share the head ends.
CLEAR, SEEN = 0.01, 25
HEAD_ENDS = 0.3
CROWN = 0.5  # cosine of how far the crown reaches to both sides of the top
BEYOND = 0.5  # of the way from the face: how far behind a clear edge the motion dies away
# Of the face's height: how far a breath lifts the shoulders; and the neck, as a share of that.
BREATH, NECK = 0.012, 0.3


def rings_around(
    points: Float,
    size: int,
    margins: tuple[float, float, float, float],
    matte: Image | None,
) -> tuple[Float, Float, Float]:
    """The three rings around landmarks [468, 3] of a size² crop.

    Places [3 · RING, 3], how far each vertex follows the head, 0 to 1 [3 · RING, 1], and by how
    many pixels a breath lifts it [3 · RING]. The last ring is the edge of what is known of the
    photo, ``margins`` beyond the crop. It stands still: nothing from beyond it is ever seen. Where
    the head ends before that edge, by the ``matte``, the second ring is the edge, which follows,
    and the last one lies beyond: there nobody is seen, wherever it is.
    """
    oval = points[list(FACE_OVAL)]
    centre = oval.mean(0)
    direction = oval - centre
    left, top, right, bottom = (size * margin for margin in margins)
    # Outer edges of the outermost pixels.
    low = np.array([-left - 0.5, -top - 0.5], np.float32)
    high = np.array([size + right - 0.5, size + bottom - 0.5], np.float32)
    edge = _edge(centre[:2], direction[:, :2], low, high)
    # A face may reach over the edge of its crop.
    reach = np.maximum(_share(edge - centre[:2], direction[:, :2]), 1.05)
    up = np.cos(2 * np.pi * np.arange(RING) / RING).astype(np.float32)[:, None]
    below = np.maximum(-up, 0)
    stand_off = (
        RING_SIDE + (RING_TOP - RING_SIDE) * np.maximum(up, 0) + (RING_BOTTOM - RING_SIDE) * below
    )
    first = centre + direction * np.minimum(stand_off, 1 + RING_SHARE * (reach - 1))
    last = np.where(reach > 1.05, np.c_[edge, oval[:, 2:]], centre + direction * reach)
    clear = np.zeros_like(up)
    if matte is not None:
        clear = _clear(matte, (edge - low) / (high - low)) * np.clip(1 - below / HEAD_ENDS, 0, 1)
        clear *= clear[up > CROWN].min()  # hair that the photo cuts off is held, all of it
    middle = (first + last) / 2
    middle += clear * (last - middle)
    last += clear * BEYOND * (last - centre)
    rings = np.concatenate([first, middle, last])
    rings[:, 2] = np.tile(oval[:, 2], 3)
    shoulders = 0.4 * (1 - below) + SHOULDERS * below
    shoulders += clear * (1 - shoulders)
    follow = np.concatenate([1 - 0.5 * below, shoulders, np.zeros_like(up)])
    lifted = np.concatenate([NECK * below, below, np.zeros_like(up)])
    height = float(np.ptp(oval[:, 1]))
    lift = BREATH * height * lifted[:, 0]
    return rings.astype(np.float32), follow.astype(np.float32), lift.astype(np.float32)


def _edge(centre: Float, direction: Float, low: Float, high: Float) -> Float:
    """Where rays [RING, 2] from ``centre`` [2] leave the rectangle from ``low`` to ``high`` [2].

    The four that come nearest to its corners end there: the points go all the way round.
    """
    with np.errstate(divide="ignore"):
        to = np.where(direction > 0, high - centre, low - centre) / direction
    edge = centre + direction * np.nan_to_num(to, nan=np.inf, posinf=np.inf).min(1, keepdims=True)
    for corner in product((low[0], high[0]), (low[1], high[1])):
        edge[np.linalg.norm(edge - corner, axis=1).argmin()] = corner
    return np.asarray(edge, np.float32)


def _clear(matte: Image, edge: Float) -> Float:
    """How far the person ends before the edge: float32 [RING, 1].

    matte uint8 [H, W]; edge [RING, 2]: places on it, in its widths and heights.
    """
    side = max(round(CLEAR * min(matte.shape)), 1)
    near = cv2.dilate(matte, np.ones((2 * side + 1, 2 * side + 1), np.uint8))
    limits = np.array(matte.shape[::-1]) - 1
    column, row = np.clip(edge * (limits + 1), 0, limits).astype(int).T
    there = (near[row, column] <= SEEN).astype(np.float32)
    # Neighbours go together, and what is not clear has no clear ones beside it.
    free = np.minimum.reduce([np.roll(there, k) for k in (-1, 0, 1)])
    mean = sum(np.roll(free, k) for k in (-1, 0, 1)) / 3
    return np.asarray(mean, np.float32)[:, None]


def _share(long: Float, short: Float) -> Float:
    """How many times as long as ``short`` [N, 2] each of ``long`` [N, 2] is: [N, 1]."""
    return np.asarray(
        np.linalg.norm(long, axis=1, keepdims=True) / np.linalg.norm(short, axis=1, keepdims=True)
    )
