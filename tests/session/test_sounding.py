"""The sound of live frames at a rate of its own: what was pushed, where its pictures are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from benchmarks.live import LipsOnly, StillClock
from parlante import Frame
from parlante.errors import AudioError
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine
from parlante.session.live import Live
from parlante.session.timeline import Timeline
from parlante.speech.motion import MotionStream

FPS = Fraction(25)
NTSC = Fraction(30_000, 1001)


def session(rate: int | None, *, realtime: bool = False, fps: Fraction = FPS) -> Live:
    engine = Engine(MotionStream(Bundle.default(), seed=3), LipsOnly(), Timeline(fps))
    return Live(engine, realtime=realtime, clock=StillClock(), sound_rate=rate)


def noise(seconds: float, rate: int, seed: int = 0) -> NDArray[np.int16]:
    """No sample of it is 0."""
    drawn = np.random.default_rng(seed).integers(1, 8000, int(seconds * rate))
    return np.where(np.arange(len(drawn)) % 2, drawn, -drawn).astype(np.int16)


def sound_of(frames: list[Frame]) -> NDArray[np.int16]:
    return np.concatenate([frame.audio for frame in frames])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 60_000), max_size=8),
    st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]),
    st.sampled_from([FPS, NTSC, Fraction(50)]),
)
def test_what_was_pushed_comes_back_bit_for_bit(cuts: list[int], rate: int, fps: Fraction) -> None:
    samples = noise(1.1, rate)
    live = session(rate, fps=fps)
    for piece in np.split(samples, sorted(min(c, len(samples)) for c in cuts)):
        live.push_audio(piece, rate)
    live.close_input()
    frames = list(live)
    sound = sound_of(frames)
    assert np.array_equal(sound[: len(samples)], samples)
    assert not sound[len(samples) :].any()
    # As long as its frames, whose clock is that of 16 kHz.
    for k, frame in enumerate(frames):
        begin, end = (Timeline(fps).begin(n) * rate // 16_000 for n in (k, k + 1))
        assert len(frame.audio) == end - begin


@pytest.mark.parametrize("fps", [FPS, NTSC])
@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
def test_in_real_time_it_is_where_the_sound_at_16_khz_is(rate: int, fps: Fraction) -> None:
    samples = noise(0.7, rate)
    both = []
    for sound_rate in (None, rate):
        live = session(sound_rate, realtime=True, fps=fps)
        frames = [next(live) for _ in range(9)]
        live.push_audio(samples[: len(samples) // 3], rate)
        frames += [next(live) for _ in range(3)]
        live.push_audio(samples[len(samples) // 3 :], rate)
        live.close_input()
        both.append([*frames, *live])
    plain, own = both
    assert [f.pts for f in plain] == [f.pts for f in own]
    assert [f.spoken for f in plain] == [f.spoken for f in own]
    heard = np.flatnonzero(sound_of(own))
    assert np.array_equal(sound_of(own)[heard[0] : heard[-1] + 1], samples)
    # No sooner and no later: by the best of all shifts of the low half of what is heard.
    common = Fraction(16_000, rate)
    low = resample_poly(sound_of(own).astype(float), common.numerator, common.denominator)
    reference = sound_of(plain).astype(float)
    length = min(len(low), len(reference))
    shifts = range(-40, 41)
    match = [np.dot(np.roll(low[:length], s), reference[:length]) for s in shifts]
    assert abs(shifts[int(np.argmax(match))]) <= 1


def test_utterances_that_follow_each_other_and_starve() -> None:
    rate = 48_000
    first, second = noise(0.3, rate, 1), noise(0.2, rate, 2)
    live = session(rate, realtime=True)
    live.push_audio(first, rate)
    live.flush()
    live.push_audio(second[:5000], rate)  # 0.1 s, the rest comes too late
    frames = [next(live) for _ in range(25)]
    live.push_audio(second[5000:], rate)
    live.close_input()
    sound = sound_of([*frames, *live])
    pieces = np.split(sound, np.flatnonzero(np.diff((sound != 0).astype(int))) + 1)
    heard = np.concatenate([piece for piece in pieces if piece.any()])
    assert np.array_equal(heard, np.concatenate([first, second]))
    assert len([piece for piece in pieces if piece.any()]) in (2, 3)


def test_what_is_interrupted_is_not_heard() -> None:
    rate = 44_100
    live = session(rate, realtime=True)
    live.push_audio(noise(2.0, rate), rate)
    frames = [next(live) for _ in range(12)]
    assert sound_of(frames).any()
    live.interrupt()
    assert not sound_of([next(live) for _ in range(10)]).any()
    again = noise(0.5, rate, 5)
    live.push_audio(again, rate)
    live.close_input()
    sound = sound_of(list(live))
    heard = np.flatnonzero(sound)
    assert np.array_equal(sound[heard[0] : heard[-1] + 1], again)


def test_other_rates_and_channels_are_brought_to_it() -> None:
    tone = np.sin(np.arange(24_000) * 0.05)[:, None] * np.array([0.2, 0.4])
    live = session(48_000)
    live.push_audio(tone.astype(np.float32), 24_000)
    live.close_input()
    sound = sound_of(list(live))[: 2 * len(tone)] / 32768
    wanted = resample_poly(tone.mean(1), 2, 1)
    assert np.abs(sound - wanted)[200:-200].max() < 2e-3


def test_a_rate_that_is_none() -> None:
    with pytest.raises(AudioError, match="12"):
        session(12)
