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
UPPER_SHARE, UPPER_MOST = 0.4, 0.5
OUTER = 0.6, 0.9
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


def shut_lips(model: FaceModel, measured: Float) -> Float:
    """Change of the lip modes that brings this photo's lips together as people's: float32 [53].

    Landmarks [≥468, 3] in model axes. The upper lip comes down by its share, the lower one with the
    jaw comes up, the corners stay: least squares over the modes.
    """
    wanted = np.zeros((VERTICES, 2), np.float32)
    for loop, shares in ((LIPS_INNER, (1.0, 1.0)), (LIPS_OUTER, OUTER)):
        (top, bottom), (above, below) = sides(loop), sides(LIPS_INNER)
        gap = np.maximum(measured[above, 1] - measured[below, 1], 0)
        down = np.minimum(UPPER_SHARE * gap, UPPER_MOST)
        wanted[top, 1], wanted[bottom, 1] = -shares[0] * down, shares[1] * (gap - down)
    lips, modes = [*LIPS_INNER, *LIPS_OUTER], list(model.mode_groups["lip"])
    moved = model.motion[modes][:, lips, :2].reshape(len(modes), -1)
    system = moved @ moved.T + RIDGE * np.eye(len(modes), dtype=np.float32)
    out = np.zeros(len(model.expression_names), np.float32)
    out[modes] = np.linalg.solve(system, moved @ wanted[lips].ravel())
    upper, lower = (list(side) for side in zip(*LIP_PAIRS, strict=True))
    change = np.tensordot(out, model.motion[..., 1], 1)
    left = measured[upper, 1] - measured[lower, 1] + change[upper] - change[lower]
    jaw = model.expression_names.index("jawOpen")
    rate = model.motion[jaw, upper, 1] - model.motion[jaw, lower, 1]
    out[jaw] -= left.max() / rate.mean()  # until the last of them has met
    return out


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
