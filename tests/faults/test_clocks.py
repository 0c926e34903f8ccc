"""Clocks that jump: a session goes on, its sound is whole, and frames come at their rate again."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live import LipsOnly, StillClock
from parlante import Frame
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine
from parlante.session.live import Live
from parlante.speech.motion import MotionStream
from tests.support.portrait_samples import demo_speech

SPEECH = np.asarray(np.round(demo_speech()[:32_000] * 32767), np.int16)
HOUR = 3600.0


def session(clock: StillClock) -> Live:
    live = Live(Engine(MotionStream(Bundle.default(), seed=3), LipsOnly()), clock=clock)
    live.push_audio(SPEECH)
    live.close_input()
    return live


def whole(frames: list[Frame]) -> None:
    """Nothing is lost, nothing twice, and picture and sound count the same samples."""
    heard = np.concatenate([frame.audio for frame in frames])
    assert np.array_equal(np.trim_zeros(heard), np.trim_zeros(SPEECH))
    assert [frame.pts for frame in frames] == list(range(0, 640 * len(frames), 640))


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 1.5, -1.5, 0.3, -0.3])
def test_a_clock_that_jumps(jump: float) -> None:
    clock = StillClock()
    live = session(clock)
    frames = [next(live) for _ in range(12)]
    clock.time += jump
    after = clock.time
    frames += [next(live) for _ in range(26)]
    # A second of frames took a second, and no more than a short jump back besides.
    assert -1 <= clock.time - after - 1 <= 1
    whole(frames + list(live))
    # A long jump forward costs one repeated picture, not one for each frame of it.
    assert live.status().repeated <= 40 * abs(jump) and live.status().repeated <= 40


def test_a_clock_that_jumps_again_and_again() -> None:
    clock, live_frames = StillClock(), []
    live = session(clock)
    for number, frame in enumerate(live):
        live_frames.append(frame)
        clock.time += (-1) ** number * HOUR
    whole(live_frames)


class Stalled(StillClock):
    """Stands still, however long somebody sleeps, from some moment on."""

    stalled = False
    slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept = max(self.slept, seconds)
        if not self.stalled:
            super().sleep(seconds)


def test_a_clock_that_stands_still() -> None:
    """Nobody waits for it, nor longer than for a frame or two; then it goes on."""
    clock = Stalled()
    live = session(clock)
    frames = [next(live) for _ in range(5)]
    clock.stalled = True
    frames += [next(live) for _ in range(30)]
    assert clock.slept < 1.1
    clock.stalled = False
    clock.time += 30 / 25
    whole(frames + list(live))
