"""Lips that move as people's do."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float
from parlante.face.topology import LIP_CORNERS, LIP_PAIRS, LIPS_INNER
from parlante.render.contact import as_people_move, shut_lips, sides
from tests.support.portrait_samples import expression, model

CHIN, LOWER, BELOW = 152, 14, 17  # of the lower lip: middles of its inner and outer edge


RIGHT, LEFT = LIP_CORNERS


def shut(parted: Float) -> Float:
    """Landmarks [468, 3] of lips that have been shut."""
    return np.asarray(parted + np.tensordot(shut_lips(model(), parted), model().motion, 1))


def parted(**modes: float) -> Float:
    """Landmarks [468, 3] of the neutral face with these modes."""
    return np.asarray(model().neutral + np.tensordot(expression(**modes)[0], model().motion, 1))


def line(face: Float) -> tuple[float, float, float]:
    """Of the line between lips, in widths of the mouth: how far its middle is above the corners.

    Also how far the left one is above the right, and how far lips are apart in the middle.
    """
    top, bottom = (face[points[3:6], 1].mean() for points in sides(LIPS_INNER))
    width = face[LEFT, 0] - face[RIGHT, 0]
    corners = face[[RIGHT, LEFT], 1]
    middle = (top + bottom) / 2 - corners.mean()
    return middle / width, (corners[1] - corners[0]) / width, (top - bottom) / width


def moved(**modes: float) -> tuple[Float, Float]:
    """Landmarks [468, 3] moved by modes of the lips, as they are and as people move."""
    lips = list(model().mode_groups["lip"])
    change = expression(**modes)[0, lips]
    return (
        np.tensordot(change, model().motion[lips], 1),
        np.tensordot(as_people_move(model()) @ change, model().motion[lips], 1),
    )


def gap(face: Float) -> float:
    """How far lips have parted, in the middle."""
    upper, lower = (list(side) for side in zip(*LIP_PAIRS, strict=True))
    return float((face[upper, 1] - face[lower, 1]).mean())


def corners_apart(one: Float, other: Float) -> float:
    return float(np.abs((one - other)[list(LIP_CORNERS), :2]).max())


def test_a_jaw_that_drops_behind_the_lips_comes_up() -> None:
    """Lips are as far apart, their corners where they were, and the lower one is no thicker."""
    given, likely = moved(jawOpen=0.8, mouthClose=0.4)
    assert abs(gap(given) - gap(likely)) < 1e-3 < 0.3 < gap(given)
    assert corners_apart(given, likely) < 0.1
    assert given[CHIN, 1] < -2
    assert -0.5 < likely[CHIN, 1] < -0.3
    thick = [face[LOWER, 1] - face[BELOW, 1] for face in (given, likely)]
    assert thick[1] < 0.15 < 0.4 < thick[0]


def test_what_people_do_stays_nearly_as_it_is() -> None:
    given, likely = moved(jawOpen=0.3, mouthUpperUp_L=0.2, mouthUpperUp_R=0.2, mouthSmile_L=0.1)
    assert abs(likely[CHIN, 1] - given[CHIN, 1]) < 0.5 * abs(given[CHIN, 1])
    assert abs(gap(given) - gap(likely)) < 1e-3
    assert corners_apart(given, likely) < 0.1
    still = moved()
    assert not still[1].any()


def test_corners_that_hang_rise_when_lips_shut() -> None:
    """The line between shut lips is nearly straight, and no wider mouth is made of it."""
    up, down = ("mouthUpperUp_L", "mouthUpperUp_R"), ("mouthFrown_L", "mouthFrown_R")
    before = parted(jawOpen=0.3, **dict.fromkeys(up, 0.4), **dict.fromkeys(down, 0.5))
    arch, _, gap_before = line(before)
    after, _, gap_after = line(shut(before))
    assert gap_before > 0.15 and gap_after < 0.03
    assert arch > 0.0 and abs(after) < 0.06
    raised = shut(before)[[RIGHT, LEFT], 1] - before[[RIGHT, LEFT], 1]
    assert (raised > 0.02).all()


def test_a_smile_stays_when_lips_shut() -> None:
    before = parted(jawOpen=0.25, mouthSmile_L=0.6, mouthSmile_R=0.6)
    raised = shut(before)[[RIGHT, LEFT], 1] - before[[RIGHT, LEFT], 1]
    assert np.abs(raised).max() < 0.15
    assert line(shut(before))[0] < -0.02


def test_lips_shut_less_slanted_than_they_were_parted() -> None:
    before = parted(jawOpen=0.4, mouthSmile_L=0.4)
    _, slant, _ = line(before)
    _, less, gap_after = line(shut(before))
    assert slant > 0.04 and gap_after < 0.03
    assert 0.3 * slant < less < 0.8 * slant
