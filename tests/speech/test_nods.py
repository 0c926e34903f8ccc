"""Nods: at what is stressed, not in pauses, and never all the time."""

from __future__ import annotations

import numpy as np
import pytest

from parlante.contract import LOOK_AHEAD, NATIVE_FPS, Float
from parlante.speech.emphasis import QUIET
from parlante.speech.nods import APART, DEPTH, DOWN, UP, Nods

N = 1500
SYLLABLE = 6  # frames


def loudness(seed: int = 0) -> Float:
    """Of syllables that swell and fade, some of them 10 dB louder: dB [N]."""
    random = np.random.default_rng(seed)
    stressed = np.repeat(random.random(N // SYLLABLE) < 0.1, SYLLABLE)
    swell = 20 * np.sin(np.pi * (np.arange(N) % SYLLABLE + 0.5) / SYLLABLE)
    return np.float32(30 + swell + 10 * stressed)


def nods(loud: Float, seed: int = 0, spoken: bool = True) -> Float:
    made, out = Nods(seed), []
    for db in loud:
        made.hear(QUIET + db)
        out.append(made.next(spoken))
    return np.float32(out)


def begins(depth: Float) -> list[int]:
    return [t for t in range(1, len(depth)) if depth[t] > 0 and depth[t - 1] == 0]


def test_the_head_is_down_at_a_stressed_syllable() -> None:
    """What is heard belongs to a frame that comes so much later."""
    loud = loudness()
    down = nods(loud)
    sound = np.roll(loud, LOOK_AHEAD)
    lowest = [t + int(down[t : t + DOWN + UP].argmax()) for t in begins(down)[1:]]
    assert len(lowest) > 10
    around = [sound[t - 2 : t + SYLLABLE].max() for t in lowest]
    assert np.mean(around) > sound.mean() + 15
    assert np.median(around) > 55  # of the louder ones


@pytest.mark.parametrize("seed", range(3))
def test_nods_differ_and_are_apart(seed: int) -> None:
    down = nods(loudness(), seed)
    apart = np.diff(begins(down))
    assert apart.min() >= APART[0] * float(NATIVE_FPS) - 1
    assert apart.std() > 5
    depth = [down[t : t + DOWN + UP].max() for t in begins(down)]
    assert DEPTH[0] <= min(depth) < max(depth) <= DEPTH[1]
    assert np.abs(np.diff(down)).max() < 0.45


@pytest.mark.parametrize("loud", [np.zeros(N, np.float32), np.full(N, 60, np.float32)])
def test_what_is_equally_loud_has_no_stress(loud: Float) -> None:
    down = nods(loud)
    assert not down[100:].any()


def test_nobody_nods_where_nobody_speaks() -> None:
    assert not nods(loudness(), spoken=False).any()


def test_a_seed_decides() -> None:
    loud = loudness()
    np.testing.assert_array_equal(nods(loud, 1), nods(loud, 1))
    assert (nods(loud, 1) != nods(loud, 2)).any()
