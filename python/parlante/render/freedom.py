"""How far a head may move: no further than its photo can show.

A head that is turned away has a cheek that the photo does not show: it turns less, back least of
all, and none turns far. One that fills the photo has nothing around it to move over: it moves less.
"""

from __future__ import annotations

import numpy as np

from parlante.contract import GRID, POSE, Float
from parlante.face.topology import FACE_OVAL
from parlante.portrait.portrait import Portrait

# Radians that the head is turned in the photo: up to the first it moves freely, from the second on
# least. A level head is fitted with a pitch of `LEVEL`.
TURNED, FAR_TURNED = 0.25, 0.7
LEVEL = 0.2
# Room above the face that free motion needs, in heights of it; and beside it, in widths, for the
# head to lean and to shift: what lies between it and the photo's edge is drawn out by that.
ROOM_ABOVE, ROOM_BESIDE = 0.45, 0.7
LEAN_AND_SHIFT = [2, 3]  # of a pose change: about the axis that looks at the camera, and along x
LEAST = 0.35
# Radians of pitch and of yaw beyond which no head turns: a cheek that the photo hardly shows would
# be drawn out. One that is turned to a side turns back from there less, down to a share of that: by
# so many radians in the photo from the first on, from the second on least.
FURTHEST = 0.15
HIDDEN, LEAST_BACK = (0.05, 0.35), 0.2


def freedom(portrait: Portrait) -> Float:
    """Factors float32 [6], 0 to 1, of a pose change: rotation, shift and log scale."""
    pitch, yaw, _ = portrait.rotation[0]
    turned = 1 - (max(abs(pitch - LEVEL), abs(yaw)) - TURNED) / (FAR_TURNED - TURNED)
    oval = portrait.landmarks[list(FACE_OVAL), :2]
    (left, top), (right, bottom) = oval.min(0), oval.max(0)
    before, above, after, _ = (GRID * margin for margin in portrait.margins)
    beside = min(left + before, GRID + after - right) / (right - left)
    room = np.clip((top + above) / (bottom - top) / ROOM_ABOVE, LEAST, 1)
    out = np.full(POSE, room, np.float32)
    out[:2] *= np.clip(turned, LEAST, 1)
    out[LEAN_AND_SHIFT] = min(room, max(beside / ROOM_BESIDE, LEAST))
    return out


def limits(portrait: Portrait) -> Float:
    """How far the head may turn, radians float32 [2, 2]: pitch and yaw, to less and to more."""
    yaw = float(portrait.rotation[0, 1])
    out = np.full((2, 2), FURTHEST, np.float32)
    out[1, int(yaw < 0)] *= np.interp(abs(yaw), HIDDEN, (1, LEAST_BACK))
    return out


def within(change: Float, furthest: Float | float = FURTHEST) -> Float:
    """Pose changes float32 [..., 6] that turn the head no further than so many radians.

    furthest: one, or as of `limits`.
    """
    out: Float = change.copy()
    less, more = np.moveaxis(np.broadcast_to(np.float32(furthest), (2, 2)), -1, 0)
    turn = change[..., :2]
    out[..., :2] = turn / np.cbrt(1 + np.abs(turn / np.where(turn < 0, less, more)) ** 3)
    return out
