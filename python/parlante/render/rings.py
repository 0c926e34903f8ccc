"""How the motion of a head dies away in the photo around it: in rings around the face.

Between them the background is stretched: what is straight there bends a little, and nothing is
torn, doubled or made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import GRID, Float, Image
from parlante.face.topology import FACE_OVAL
from parlante.portrait.portrait import MARGIN

RING = len(FACE_OVAL)
# Rings between the second and the last one: their shares of the way, and how far they still follow.
OUTWARDS = 1 / 3, 2 / 3
FADING = tuple(1 - t * t * (3 - 2 * t) for t in OUTWARDS)
RINGS = 3 + len(OUTWARDS)

# How far the first ring stands off the face oval (of the distance to the face's middle): hair needs
# more room above than the neck below. But no more than this share of the way to the crop's edge.
RING_SIDE, RING_TOP, RING_BOTTOM = 1.30, 1.60, 1.20
RING_SHARE = 0.7
SHOULDERS = 0.1  # how far the shoulders follow the head
# Where the photo's edge is clear of the person: with so much of its smaller side, of a matte up to
# so much. Below the middle of the face by this share the head ends.
CLEAR, SEEN = 0.01, 25
# With so much of it above a head it is free to come down; with less the strip would be drawn out.
FREE = 0.035
HEAD_ENDS = 0.3
CROWN = 0.5  # cosine of how far the crown reaches to both sides of the top
# The second ring lies so many pixels of the 256-grid around a person, but for so much of what there
# is; and at least by so much of the way to the last ring beyond the first.
SOFT, MOST = 8, 0.85
BETWEEN = 0.1
# Of the crop's side: where more is kept around it the photo does not end there, but for rounding.
GOES_ON = 0.96 * MARGIN
STEPS = 64  # from the face to the edge, at which it is looked where the person ends
# Of the face's height: how far a breath lifts the shoulders; and the neck, as a share of that.
BREATH, NECK = 0.012, 0.3


@dataclass(frozen=True)
class Rings:
    """The rings of one photo: N = RINGS · RING vertices, from the first ring to the last.

    places float32 [N, 3]; loose float32 [N, 1] and follow float32 [N, 3]: how far each follows the
    head, 0 to 1, along x and y, and less of it into the picture, and in depth; inwards float32 [N,
    2]: the signs of x and y that lead there; lift float32 [N]: by how many pixels a breath lifts
    it.
    """

    places: Float
    follow: Float
    loose: Float
    inwards: Float
    lift: Float

    @classmethod
    def of(
        cls,
        points: Float,
        size: int,
        margins: tuple[float, float, float, float],
        matte: Image | None,
    ) -> Rings:
        """Those around landmarks [468, 3] of a size² crop.

        The last ring is the edge of what is known of the photo, ``margins`` beyond the crop. Into
        the picture it does not move: nothing from beyond it is ever seen. Where the photo ends
        there, what is near may move out. Where the head ends before that edge, by the ``matte``,
        the second ring lies around it and follows: it is the background that is stretched. Of a
        head that is cut off above, what lies above the face comes down by its height alone.
        """
        oval = points[list(FACE_OVAL)]
        centre = oval.mean(0)
        direction = oval - centre
        # Outer edges of the outermost pixels.
        low = np.array([-margins[0], -margins[1]], np.float32) * size - np.float32(0.5)
        high = np.array([1 + margins[2], 1 + margins[3]], np.float32) * size - np.float32(0.5)
        edge = _edge(centre[:2], direction[:, :2], low, high)
        # A face may reach over the edge of its crop.
        reach = np.maximum(_share(edge - centre[:2], direction[:, :2]), 1.05)
        up = np.cos(2 * np.pi * np.arange(RING) / RING).astype(np.float32)[:, None]
        below = np.maximum(-up, 0)
        stand_off = RING_SIDE + (RING_TOP - RING_SIDE) * np.maximum(up, 0)
        stand_off += (RING_BOTTOM - RING_SIDE) * below
        first = centre + direction * np.minimum(stand_off, 1 + RING_SHARE * (reach - 1))
        last = np.where(reach > 1.05, np.c_[edge, oval[:, 2:]], centre + direction * reach)
        of_head = np.clip(1 - below / HEAD_ENDS, 0, 1).astype(np.float32)
        middle: Float = np.asarray((first + last) / 2, np.float32)
        clear, crown = np.zeros_like(up), 0.0
        if matte is not None:
            ways = ((np.linspace(centre[:2], edge, STEPS) - low) / (high - low)).astype(np.float32)
            clear = _clear(matte, ways[-1]) * of_head
            crown = 1 - float(min(clear[up > CROWN].min(), _room_above(matte)))
            clear *= 1 - crown  # hair that the photo cuts off is held, all of it
            middle += clear * (_outline(matte, ways, size, (centre, first, last)) - middle)
        between = [middle + t * (last - middle) for t in OUTWARDS]
        places = np.concatenate([first, middle, *between, last])
        places[:, 2] = np.tile(oval[:, 2], RINGS)
        shoulders = 0.4 * (1 - below) + SHOULDERS * below
        shoulders += clear * (1 - shoulders)
        follow = np.concatenate([1 - 0.5 * below, *(f * shoulders for f in (1, *FADING, 0))])
        lifted = np.concatenate([NECK * below, *(f * below for f in (1, *FADING, 0))])
        inwards, ends = _inwards(edge, low, high, margins)
        loose = follow + np.tile(of_head * ends, (RINGS, 1)) * (1 - follow)
        inwards = np.tile(inwards, (RINGS, 1))
        into = np.where(inwards, follow, loose)
        _come_down(places[:, 1], (low[1], oval[:, 1].min()), crown, inwards[:, 1], into[:, 1])
        return cls(
            places.astype(np.float32),
            np.concatenate([into, follow], 1, dtype=np.float32),
            loose.astype(np.float32),
            inwards,
            (BREATH * float(np.ptp(oval[:, 1])) * lifted[:, 0]).astype(np.float32),
        )

    def carried(self, to: Float) -> Float:
        """Where they are when the head carries their places to float32 [F, N, 3]."""
        change = to - self.places
        into = change[..., :2] * self.inwards > 0
        change[..., :2] *= np.where(into, self.follow[:, :2], self.loose)
        change[..., 2:] *= self.follow[:, 2:]
        return self.places + change


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


def _inwards(
    edge: Float, low: Float, high: Float, margins: tuple[float, float, float, float]
) -> tuple[Float, Float]:
    """Of places [RING, 2] on the edge, the signs that lead into the picture, 0 for both: [RING, 2].

    And 1 where the photo ends there, else 0: [RING, 1].
    """
    at = np.stack([edge < low + 0.1, edge > high - 0.1])  # of left and top, of right and bottom
    goes_on = at & (np.reshape(margins, (2, 1, 2)) > GOES_ON)
    ends = 1 - goes_on.any((0, 2)).astype(np.float32)
    return np.asarray(at[0] - at[1].astype(np.float32), np.float32), ends[:, None]


def _come_down(
    rows: Float, between: tuple[float, float], crown: float, inwards: Float, into: Float
) -> None:
    """Let what lies above a face follow it down by its height alone, if the photo cuts it off.

    rows [N] of the rings; between: the rows of the photo's upper edge and the face's top; crown:
    how far it does, 0 to 1. Changes the signs ``inwards`` [N] and, ``into`` [N], how far the rings
    follow.
    """
    edge, top = between
    height = (rows - edge) / max(top - edge, 1e-6)
    above = (height < 1) & (inwards >= 0)
    inwards[above] = 1  # down is into the picture, wherever the way to the edge ends
    most = 1 - crown * (1 - np.maximum(height[above], 0))
    into[above] = np.minimum(into[above], most)


def _clear(matte: Image, edge: Float) -> Float:
    """How far the person ends before the edge: float32 [RING, 1].

    matte uint8 [H, W]; edge [RING, 2]: places on it, in its widths and heights.
    """
    side = max(round(CLEAR * min(matte.shape)), 1)
    near = cv2.dilate(matte, np.ones((2 * side + 1, 2 * side + 1), np.uint8))
    there = (~_seen(near, edge)).astype(np.float32)
    # Neighbours go together, and what is not clear has no clear ones beside it.
    free = np.minimum.reduce([np.roll(there, k) for k in (-1, 0, 1)])
    mean = sum(np.roll(free, k) for k in (-1, 0, 1)) / 3
    return np.asarray(mean, np.float32)[:, None]


def _room_above(matte: Image) -> float:
    """How far a head is free to come down: 0 to 1; matte uint8 [H, W]."""
    rows = np.flatnonzero((matte > SEEN).any(1))
    room = rows[0] / min(matte.shape) if len(rows) else 1.0
    return float(np.clip((room - CLEAR) / (FREE - CLEAR), 0, 1))


def _outline(matte: Image, ways: Float, size: int, along: tuple[Float, Float, Float]) -> Float:
    """Around the person, on the ways from the middle past the first ring to the last: [RING, 3]."""
    centre, first, last = along
    way = last - centre
    inner, ends = _share(first - centre, way), _ends(matte, ways)
    near = SOFT * size / GRID / np.linalg.norm(way, axis=1, keepdims=True)
    at = np.maximum(ends + np.minimum(near, MOST * (1 - ends)), inner + BETWEEN * (1 - inner))
    return np.asarray(centre + at * way, np.float32)


def _ends(matte: Image, ways: Float) -> Float:
    """The share of each way [STEPS, RING, 2] after which nobody is seen: float32 [RING, 1].

    Or beside which: neighbours go together.
    """
    far = np.arange(1, len(ways) + 1)[:, None] / len(ways)
    own = (_seen(matte, ways) * far).max(0)
    most = np.maximum.reduce([np.roll(own, k) for k in (-1, 0, 1)])
    return np.asarray(most, np.float32)[:, None]


def _seen(matte: NDArray[Any], places: Float) -> NDArray[np.bool_]:
    """Whether anybody is seen at places [..., 2], in widths and heights of the matte: [...]."""
    limits = np.array(matte.shape[::-1]) - 1
    column, row = np.moveaxis(np.clip(places * (limits + 1), 0, limits).astype(int), -1, 0)
    return np.asarray(matte[row, column] > SEEN)


def _share(long: Float, short: Float) -> Float:
    """How many times as long as ``short`` [N, 2] each of ``long`` [N, 2] is: [N, 1]."""
    return np.asarray(
        np.linalg.norm(long, axis=1, keepdims=True) / np.linalg.norm(short, axis=1, keepdims=True)
    )
