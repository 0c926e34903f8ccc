"""How far a head may move in its photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parlante.contract import Float
from parlante.portrait.portrait import Portrait
from parlante.render.freedom import FURTHEST, LEAST, LEAST_BACK, LEVEL, freedom, limits, within
from tests.support.portrait_samples import blank, expression, frontal, model


def portrait(rotation: tuple[float, float, float], scale: float = 7.0, margin: int = 0) -> Portrait:
    """A head in the middle of a crop of 256 pixels, with so many of the photo around it."""
    pose = frontal(scale=scale)
    points = pose.apply(model().shape(np.zeros(100, np.float32), expression())[:, :468])[0]
    side = 256 + 2 * margin
    return replace(
        blank(),
        canvas=np.zeros((side, side, 4), np.uint8),
        crop=np.array([margin, margin, 256]),
        landmarks=points,
        rotation=np.float32([rotation]),
    )


def of(*arguments: object, **keywords: object) -> Float:
    return freedom(portrait(*arguments, **keywords))  # type: ignore[arg-type]


def test_a_head_with_room_that_looks_ahead_is_free() -> None:
    np.testing.assert_array_equal(of((LEVEL, 0, 0), margin=60), np.ones(6))


def test_a_turned_head_turns_less() -> None:
    free, turned, profile = (of((LEVEL, yaw, 0), margin=60) for yaw in (0.1, -0.45, 0.9))
    assert (free == 1).all()
    assert LEAST < turned[1] < 1 and profile[1] == np.float32(LEAST)
    # It may still lean and shift.
    assert (turned[2:] == 1).all()


def test_a_head_that_fills_the_photo_moves_less() -> None:
    factors = [of((LEVEL, 0, 0), scale=12.0, margin=margin)[3] for margin in (0, 20, 40, 120)]
    assert factors == sorted(factors) and factors[0] < factors[-1] == 1


def test_a_head_near_the_edge_leans_and_shifts_less() -> None:
    """It is free to turn and to nod: that does not draw out what lies beside it."""
    roomy = portrait((LEVEL, 0, 0), scale=9.0, margin=60)
    cut = replace(roomy, canvas=roomy.canvas[:, 60:], crop=np.array([0, 60, 256]))
    assert (freedom(roomy) == 1).all()
    factors = freedom(cut)
    assert LEAST < factors[2] == factors[3] < 0.9
    assert (factors[[0, 1, 4, 5]] == 1).all()


def test_a_turned_head_turns_back_least() -> None:
    """There is a cheek that the photo does not show: the further, the less; away as any."""
    for side in (-1, 1):
        back = int(side < 0)  # a yaw that is more than that of the photo
        found = [limits(portrait((LEVEL, side * yaw, 0)))[1] for yaw in (0, 0.1, 0.2, 0.5)]
        assert (np.diff([own[back] for own in found]) < 0).all()
        assert found[0][back] == np.float32(FURTHEST)
        assert found[-1][back] == pytest.approx(LEAST_BACK * FURTHEST)
        assert all(own[1 - back] == np.float32(FURTHEST) for own in found)
        turns = np.zeros((2, 6), np.float32)
        turns[:, 1] = -side, side
        limited = np.abs(within(turns, limits(portrait((LEVEL, side * 0.5, 0))))[:, 1])
        np.testing.assert_allclose(limited, [LEAST_BACK * FURTHEST, FURTHEST], rtol=0.01)


def test_no_head_turns_far() -> None:
    """Small turns stay as they are, large ones end; leaning and shifting is not a turn."""
    change = np.float32([0.05, -0.05, 0.6, 2.0, -2.0, 0.3])
    np.testing.assert_allclose(within(change), change, atol=1e-3)
    turns = [within(np.float32([yaw, yaw, 0, 0, 0, 0]))[:2] for yaw in np.linspace(-3, 3, 21)]
    assert (np.diff(turns, axis=0) >= 0).all()
    assert np.abs(turns).max() <= FURTHEST
    assert change[0] == np.float32(0.05)  # not changed in place
