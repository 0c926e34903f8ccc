"""Lips that move as people's do."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float
from parlante.face.topology import LIP_CORNERS, LIP_PAIRS
from parlante.render.contact import as_people_move
from tests.support.portrait_samples import expression, model

CHIN, LOWER, BELOW = 152, 14, 17  # of the lower lip: middles of its inner and outer edge


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
