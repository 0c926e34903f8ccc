"""Lips that move as people's do."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float
from parlante.face.topology import LIPS_INNER, LIPS_OUTER
from parlante.render.contact import as_people_move
from tests.support.portrait_samples import expression, model

CHIN, UPPER, LOWER = 152, 13, 14


def moved(**modes: float) -> tuple[Float, Float]:
    """Landmarks [468, 3] moved by modes of the lips, as they are and as people move."""
    lips = list(model().mode_groups["lip"])
    change = expression(**modes)[0, lips]
    return (
        np.tensordot(change, model().motion[lips], 1),
        np.tensordot(as_people_move(model()) @ change, model().motion[lips], 1),
    )


def test_a_jaw_that_drops_behind_the_lips_comes_up() -> None:
    """Lips stay where they are, and as far apart."""
    given, likely = moved(jawOpen=0.8, mouthClose=0.4)
    lips = [*LIPS_INNER, *LIPS_OUTER]
    assert np.sqrt(np.square((likely - given)[lips, :2]).mean()) < 0.1
    gaps = [face[UPPER, 1] - face[LOWER, 1] for face in (given, likely)]
    assert abs(gaps[0] - gaps[1]) < 0.02 < 0.3 < gaps[0]
    assert given[CHIN, 1] < -2
    assert -0.7 < likely[CHIN, 1] / -given[CHIN, 1] < -0.3


def test_what_people_do_stays_nearly_as_it_is() -> None:
    given, likely = moved(jawOpen=0.3, mouthUpperUp_L=0.2, mouthUpperUp_R=0.2, mouthSmile_L=0.1)
    assert abs(likely[CHIN, 1] - given[CHIN, 1]) < 0.4 * abs(given[CHIN, 1])
    assert np.abs((likely - given)[list(LIPS_INNER), :2]).max() < 0.1
    still = moved()
    assert not still[1].any()
