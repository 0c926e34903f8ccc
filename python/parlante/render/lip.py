"""The inner edge of the lower lip, which the network draws pale.

Lips shine there, and lower teeth are near: the mean of all that people have is a rim of grey, which
is bluish beside warm skin.
"""

from __future__ import annotations

import cv2
import numpy as np

from parlante.contract import TILE, UNSHUFFLE, Float
from parlante.render.ramp import ramp
from parlante.render.scene import in_rows
from parlante.render.tone import LUMA

# Pixels of the tile: how far lips are parted where there is such an edge, and in how many columns.
PARTED, LEAST = 2.0, 6
# How far it reaches into the mouth, and of the opening there at most; and how far onto the lip.
ABOVE, OF_OPENING, BELOW = 8.0, 0.4, 4.0
SOFT = 1.0
# Where lips are parted by less than the first of these shares of the most they are by it is left
# alone: corners are dark and narrow.
MIDDLE = 0.4, 0.65
LIP = 3, 10  # the colour of the lip is that of the warp so many pixels below the edge
TINTED = 0.6  # how far it is given the hue of the lip
DARKEST = 0.05  # of what a hue is taken of


def tint_edge(drawn: Float, warp: Float, opening: Float, gate: Float) -> None:
    """Give the edge the hue of the lip below it; its light stays.

    drawn, warp float32 [3, 16, 32, 32]: of the mouth's tile, the change of the warp and the warp,
    in [−1, 1]; opening and gate float32 [128, 128]: what lies between the lips, and what is drawn.
    """
    tall, inside = opening.sum(0), opening > 0.5
    parted = (tall > PARTED) & inside.any(0)
    columns = np.flatnonzero(parted)
    if len(columns) < LEAST:
        return
    bottom = TILE - 1 - inside[::-1].argmax(0)
    rows = bottom[columns].min() - ABOVE, bottom[columns].max() + LIP[1] + 1
    cells = [
        slice(max(0, int(first) // UNSHUFFLE), min(TILE, int(last)) // UNSHUFFLE + 1)
        for first, last in (rows, (columns[0], columns[-1]))
    ]
    box = tuple(slice(UNSHUFFLE * c.start, min(TILE, UNSHUFFLE * c.stop)) for c in cells)
    below = np.arange(TILE)[box[0], None] - bottom[box[1]].astype(np.float32)
    of_lip = parted[box[1]] & (below >= LIP[0]) & (below <= LIP[1])
    if not of_lip.any():  # it lies beyond the tile
        return
    reach = np.minimum(ABOVE, OF_OPENING * tall[box[1]])
    share = ramp((below + reach) / np.maximum(reach / 2, 1), 0, 1)
    share *= ramp(-below, -2 * BELOW, -BELOW)
    share *= parted[box[1]] * ramp(tall[box[1]] / tall.max(), *MIDDLE)
    share = TINTED * cv2.GaussianBlur(share, (0, 0), SOFT) * gate[box]
    own = _pixels(warp, cells) + 1
    lip = np.median(own[:, of_lip], 1).astype(np.float32)
    hue = lip / max(float(lip @ LUMA), DARKEST)
    whole = own + _pixels(drawn, cells)
    change = share * (np.multiply.outer(hue, np.tensordot(LUMA, whole, 1)) - whole)
    view = _view(drawn, cells)
    view += change.reshape(view.shape)


def _view(planes: Float, cells: list[slice]) -> Float:
    """Part of planes [3, 16, 32, 32], by its cells: a view [3, h, 4, w, 4]."""
    return in_rows(planes[..., cells[0], cells[1]])


def _pixels(planes: Float, cells: list[slice]) -> Float:
    """The same as an image [3, 4 h, 4 w], a copy."""
    view = _view(planes, cells)
    return view.reshape(3, UNSHUFFLE * view.shape[1], -1)
