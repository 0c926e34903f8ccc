"""Where lips and lids meet: they neither pass through each other nor leave slivers."""

from __future__ import annotations

import numpy as np

from parlante.contract import VERTICES, Float
from parlante.face.model import BLINK_MODES, FaceModel
from parlante.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    LIP_CORNERS,
    LIP_PAIRS,
    LIPS_INNER,
    LIPS_OUTER,
    eye_aperture,
)

EYES = (EYE_RIGHT, EYE_LEFT)
# Model units (about a pixel of the crop): lids nearer than that are shut, lest slivers of the eye
# shine through.
LID_GAP = 0.12
LIP_GAP = 0.2  # model units: up to which lips come to one depth
# Of lips that come together: the share of the gap that the upper one bridges, and how far it comes
# down at most (model units); and how far the outer edges of upper and lower lip go with the inner
# ones. Medians of the training people.
UPPER_SHARE, UPPER_MOST = 0.3, 0.5
OUTER = 0.6, 0.9
# The line between shut lips: how far its middle is above the corners (widths of the mouth); and the
# shares that are left, when they shut, of what it would be higher in parted lips, and of what one
# corner is above the other. Least squares on the training people.
ARCH, ARCH_KEPT, SLANT_KEPT = 0.02, 0.3, 0.53
RIDGE = 0.3
CORNER_ERROR, GAP_ERROR = 0.15, 0.005  # model units: see `as_people_move`


def sides(ring: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Upper and lower points of a ring of lips or lids, those opposite each other in pairs."""
    half = len(ring) // 2
    return list(ring[1:half]), list(ring[:half:-1])


def eye_openings(measured: Float) -> list[float]:
    """How wide right and left eye are open in landmarks [≥468, 3] of the model's axes."""
    gaps = ((measured[top, 1] - measured[bottom, 1]).max() for top, bottom in map(sides, EYES))
    return [max(float(gap), LID_GAP) for gap in gaps]


def part_lips(face: Float, measured: Float) -> None:
    """Let inner lips that have passed through each other touch.

    Landmarks [N, ≥468, 3] in model axes. Lips that have come together since the photo, ``measured``
    [≥468, 3], do so at one depth: a head that nods would show a slit.
    """
    top, bottom = sides(LIPS_INNER)
    gap = face[:, top, 1] - face[:, bottom, 1]
    overlap = np.minimum(gap, 0) / 2
    face[:, top, 1] -= overlap
    face[:, bottom, 1] += overlap
    nearer = np.clip((measured[top, 1] - measured[bottom, 1] - gap) / LIP_GAP, 0, 1)
    share = nearer * np.clip(1 - gap / LIP_GAP, 0, 1)
    apart = share * (face[:, top, 2] - face[:, bottom, 2]) / 2
    face[:, top, 2] -= apart
    face[:, bottom, 2] += apart


def shut_lids(face: Float, measured: Float, eye: tuple[int, ...]) -> None:
    """Let lids that have passed through each other meet.

    Those of an eye of face [N, ≥468, 3] (model axes), also where they are less than `LID_GAP`
    apart; up to twice that they come nearer. What is that narrow in the photo, ``measured`` [≥468,
    3], stays as it is.
    """
    top, bottom = sides(eye)
    least = np.clip((measured[top, 1] - measured[bottom, 1]) / 4, 1e-3, LID_GAP)
    gap = face[:, top, 1] - face[:, bottom, 1]
    share = np.clip(2 * least / np.maximum(gap, least) - 1, 0, 1)[..., None]
    nearer = share * (face[:, top] - face[:, bottom]) / 2
    face[:, top] -= nearer
    face[:, bottom] += nearer


def shut_lips(model: FaceModel, shown: Float, photo: Float | None = None) -> Float:
    """Change of the lip modes that brings lips together as people's: float32 [53].

    Landmarks [≥468, 3] in model axes: as ``shown``, in a mood, and of the ``photo`` without it. The
    upper lip comes down by its share, the lower one with the jaw comes up, and the corners rise
    until the line between the photo's lips is no more bent or slanted than people's: least squares
    over the modes.
    """
    wanted = np.zeros((VERTICES, 2), np.float32)
    wanted[:, 1] = _to_meet(shown, *_straightened(shown if photo is None else photo))
    lips, modes = [*LIPS_INNER, *LIPS_OUTER], list(model.mode_groups["lip"])
    moved = model.motion[modes][:, lips, :2].reshape(len(modes), -1)
    system = moved @ moved.T + RIDGE * np.eye(len(modes), dtype=np.float32)
    out = np.zeros(len(model.expression_names), np.float32)
    out[modes] = np.linalg.solve(system, moved @ wanted[lips].ravel())
    upper, lower = (list(side) for side in zip(*LIP_PAIRS, strict=True))
    change = np.tensordot(out, model.motion[..., 1], 1)
    left = shown[upper, 1] - shown[lower, 1] + change[upper] - change[lower]
    jaw = model.expression_names.index("jawOpen")
    rate = model.motion[jaw, upper, 1] - model.motion[jaw, lower, 1]
    out[jaw] -= left.max() / rate.mean()  # until the last of them has met
    return out


def _to_meet(shown: Float, rise: float, turn: float) -> Float:
    """How far up the landmarks of the lips go when these shut: float32 [468].

    Corners rise, and turn: the left one goes down and the right one up.
    """
    up = np.zeros(VERTICES, np.float32)
    (top, bottom), height = sides(LIPS_INNER), shown[:, 1]
    right, left = shown[list(LIP_CORNERS), 0]
    along = 2 * (shown[top, 0] - right) / (left - right) - 1  # from corner to corner, −1 to 1
    meet = _meeting(shown) + along**2 * rise - along * turn
    up[top], up[bottom] = meet - height[top], meet - height[bottom]
    for outer, inner, share in zip(sides(LIPS_OUTER), (top, bottom), OUTER, strict=True):
        up[outer] = share * up[inner]
    for ring in (LIPS_INNER, LIPS_OUTER):
        up[[ring[0], ring[len(ring) // 2]]] = rise + turn, rise - turn
    return up


def _straightened(parted: Float) -> tuple[float, float]:
    """How far the corners of ``parted`` lips rise, and turn, when these shut; model units."""
    right, left = parted[list(LIP_CORNERS)]
    top, bottom = sides(LIPS_INNER)
    middle = slice(len(top) // 2 - 1, len(top) // 2 + 2)
    most = max(float((parted[top, 1] - parted[bottom, 1])[middle].mean()), 0.0) / 2
    arch = _meeting(parted)[middle].mean() - (right[1] + left[1]) / 2
    rise = (1 - ARCH_KEPT) * (arch - ARCH * (left[0] - right[0]))
    turn = (1 - SLANT_KEPT) * (left[1] - right[1]) / 2
    return float(np.clip(rise, 0, most)), float(np.clip(turn, -most, most))


def _meeting(shown: Float) -> Float:
    """The heights [9] at which opposite points of the inner lips meet, by the upper one's share."""
    top, bottom = (shown[side, 1] for side in sides(LIPS_INNER))
    return np.asarray(top - np.minimum(UPPER_SHARE * np.maximum(top - bottom, 0), UPPER_MOST))


def as_people_move(model: FaceModel) -> Float:
    """Map float32 [27, 27] of changes of the lips' modes to likely ones that speak alike.

    A mouth can be opened by many modes; one that is asked for lips alone may drop the jaw too far,
    and draws thick lips over it. Of all changes the map takes the most probable under people's
    spread, given how far lips are apart in the middle and, with some error, where their corners
    come to be.
    """
    upper, lower = (list(side) for side in zip(*LIP_PAIRS, strict=True))
    motion = model.motion[list(model.mode_groups["lip"])].astype(np.float64)
    gap = (motion[:, upper, 1] - motion[:, lower, 1]).mean(1, keepdims=True) / GAP_ERROR
    corners = motion[:, list(LIP_CORNERS), :2].reshape(len(motion), -1) / CORNER_ERROR
    seen = np.concatenate([gap, corners], 1).T
    gain = model.lip_spread @ seen.T
    return np.asarray(gain @ np.linalg.solve(seen @ gain + np.eye(len(seen)), seen), np.float32)


def closed_blink(model: FaceModel, measured: Float, expression: Float) -> Float:
    """The eyeBlink coefficients (right, left; float32 [2]) that shut this photo's lids."""
    modes = [model.expression_names.index(name) for name in BLINK_MODES]
    grid = np.linspace(0, 2.0, 41, dtype=np.float32)
    out = np.empty(2, np.float32)
    for eye, mode in enumerate(modes):
        step = (grid - expression[mode])[:, None, None] * model.motion[mode]
        out[eye] = grid[eye_aperture(measured + step)[:, eye].argmin()]
    return out
