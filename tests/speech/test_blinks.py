"""Blinks: whole ones, as long as people's, wherever one is drawn."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from parlante.speech.blinks import BEGIN, LONGEST, OVER, RISING, SHORTEST, blinks


def shown(drawn: Iterable[float]) -> list[float]:
    lids = blinks()
    next(lids)
    return [lids.send(closure) for closure in drawn]


def runs_of(closures: list[float], least: float) -> list[int]:
    """Lengths of the stretches in which lids are shut at least so far."""
    text = "".join("#" if closure >= least else "." for closure in closures)
    return [len(run) for run in text.split(".") if run]


def test_lids_that_stay_half_shut_blink_once() -> None:
    half = (BEGIN + OVER) / 2
    out = shown([0.1] * 5 + [BEGIN + 0.01] + [half] * 40 + [0.1] * 5)
    assert runs_of(out, 1.0) == [LONGEST]
    assert out[:5] == [0.0] * 5
    assert out[-20:] == [0.0] * 20


def test_a_short_one_is_whole() -> None:
    out = shown([0.1, BEGIN + 0.01, 0.1, *[0.1] * 20])
    assert max(out) == 1.0
    assert runs_of(out, 1.0) == [SHORTEST]


def test_what_does_not_reach_a_blink_leaves_eyes_open() -> None:
    assert not any(shown([0.0, BEGIN - 0.01, 0.2, BEGIN] * 10))


def test_a_film_does_not_begin_in_a_blink() -> None:
    assert not any(shown([0.9] * 10 + [0.1] * 10))


@given(st.lists(st.floats(0, 1), min_size=20, max_size=200))
def test_every_blink_is_whole(drawn: list[float]) -> None:
    """People's last 3 to 5 frames of 40 ms at more than half a closure."""
    out = shown([*drawn, *[0.0] * (LONGEST + len(RISING) + 1)])
    assert out[-1] == 0.0
    shut = runs_of(out, 1.0)
    assert all(SHORTEST <= length <= LONGEST for length in shut)
    assert runs_of(out, 0.5) == [length + 1 for length in shut]
