"""Emphasis: motion that goes with loudness, and stays near what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlante import _core
from parlante.contract import (
    LOOK_AHEAD,
    MEL_BANDS,
    MEL_PER_FRAME,
    SAMPLES_PER_FRAME,
    SILENCE,
    Float,
)
from parlante.speech.emphasis import RETURN, SPEED, Emphasis, loudness

N = 2000


def columns(db: float) -> Float:
    """Log-mel of a frame that is so much louder than silence."""
    return np.full((MEL_PER_FRAME, MEL_BANDS), SILENCE + db * np.log(10) / 10, np.float32)


def wander(seed: int) -> Float:
    """A smooth walk around 0: float32 [N, 3]."""
    noise = np.random.default_rng(seed).standard_normal((N + 50, 3))
    return np.float32([noise[k : k + 50].mean(0) for k in range(N)])


def shown(drawn: Float, heard: list[Float]) -> Float:
    emphasis = Emphasis(LOOK_AHEAD)
    out = []
    for sound, value in zip(heard, drawn, strict=True):
        emphasis.hear(loudness(sound))
        out.append(emphasis.next(value))
    return np.stack(out)


def speed(motion: Float) -> Float:
    return np.linalg.norm(np.diff(motion, axis=0, append=2 * motion[-1:] - motion[-2:-1]), axis=1)


@pytest.mark.parametrize("level", [40.0, 60.0, 80.0])
def test_pauses_are_calmer_at_any_level_of_the_sound(level: float) -> None:
    loud = np.arange(N) % 100 < 50
    drawn = wander(1)
    ratio = speed(shown(drawn, [columns(level - (0 if on else 45)) for on in loud])) / speed(drawn)
    inside = np.roll(loud, LOOK_AHEAD) & loud  # the loudness is a mean over so many frames
    pause = ~np.roll(loud, LOOK_AHEAD) & ~loud
    ratio = ratio[200:]
    quiet, spoken = np.median(ratio[pause[200:]]), np.median(ratio[inside[200:]])
    # On its way back to what was drawn it is a little faster than that.
    assert SPEED[0] <= quiet < SPEED[0] + 0.2
    assert SPEED[1] - 0.1 < spoken < SPEED[1] + 0.1


def test_after_minutes_of_silence_a_head_moves_as_ever() -> None:
    drawn = wander(2)
    sound = [columns(30)] * 10 + [columns(0)] * (N - 10)
    ratio = speed(shown(drawn, sound)) / speed(drawn)
    assert np.median(ratio[20:200]) < 0.9
    assert np.median(ratio[-200:]) == pytest.approx(SPEED[1], abs=0.05)


@settings(deadline=None)
@given(st.integers(0, 1000), st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_it_never_leaves_what_is_drawn_by_far(seed: int, levels: list[float]) -> None:
    drawn = wander(seed)[:500]
    out = shown(drawn, [columns(levels[k % len(levels)]) for k in range(len(drawn))])
    # What a frame adds, at most, decays by `RETURN` a frame.
    most = max(SPEED[1] - 1, 1 - SPEED[0]) * np.abs(np.diff(drawn, axis=0)).max() / RETURN
    assert np.abs(out - drawn).max() <= most + 1e-6


def test_what_stands_still_stays() -> None:
    drawn = np.full((100, 3), 0.25, np.float32)
    np.testing.assert_allclose(shown(drawn, [columns(k % 60) for k in range(100)]), drawn)


def test_loudness_is_that_of_the_sound() -> None:
    """The loud half of a noise, by the front end, is the one in which there is more motion."""
    noise = np.random.default_rng(0).standard_normal(N * SAMPLES_PER_FRAME).astype(np.float32)
    gain = np.where(np.arange(N) % 100 < 50, 0.2, 0.002).repeat(SAMPLES_PER_FRAME)
    mel = _core.LogMel().process(noise * gain.astype(np.float32))
    frames = [mel[k : k + MEL_PER_FRAME] for k in range(0, len(mel), MEL_PER_FRAME)]
    drawn = wander(3)[: len(frames)]
    ratio = speed(shown(drawn, frames)) / speed(drawn)
    loud = np.arange(len(frames)) % 100 < 50
    assert np.median(ratio[loud][200:]) > np.median(ratio[~loud][200:]) + 0.2
