"""Live sessions against the same sound spoken offline, under a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.live import LipsOnly, StillClock
from parlante import Avatar, Frame
from parlante.contract import FUTURES, LOOK_AHEAD
from parlante.errors import AudioError, SessionClosedError
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine
from parlante.session.live import MAX_QUEUED_S, Live
from parlante.session.timeline import Timeline
from parlante.speech.motion import MotionStream
from tests.support.portrait_samples import PHOTO, demo_speech

FPS = Fraction(25)


def engine(fps: Fraction = FPS, ahead: int = LOOK_AHEAD) -> Engine:
    motion = MotionStream(Bundle.default(), seed=3, ahead=ahead)
    return Engine(motion, LipsOnly(), Timeline(fps, ahead))


def session(*, realtime: bool = True, fps: Fraction = FPS, clock: StillClock | None = None) -> Live:
    return Live(engine(fps), realtime=realtime, clock=clock or StillClock())


def spoken(samples: NDArray[np.float32], fps: Fraction = FPS) -> list[Frame]:
    offline = engine(fps)
    return [*offline.push(samples), *offline.flush()]


def speech(seconds: float) -> NDArray[np.int16]:
    """Of the demo voice, as a microphone gives it."""
    samples = demo_speech()[: int(seconds * 16_000)]
    return np.asarray(np.round(samples * 32767), np.int16)


def same(a: list[Frame], b: list[Frame]) -> bool:
    return len(a) == len(b) and all(
        x.pts == y.pts and np.array_equal(x.audio, y.audio) and np.array_equal(x.image, y.image)
        for x, y in zip(a, b, strict=True)
    )


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 24_000), max_size=10), st.sampled_from([25, 24, 50]))
def test_unpaced_session_is_speak_whatever_the_chunks(cuts: list[int], fps: int) -> None:
    samples = speech(1.5)
    live = session(realtime=False, fps=Fraction(fps))
    for piece in np.split(samples, sorted(min(c, len(samples)) for c in cuts)):
        live.push_audio(piece)
    live.close_input()
    assert same(list(live), spoken(samples / np.float32(32768), Fraction(fps)))


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1001), Fraction(50)])
def test_paced_session_is_speak_of_the_sound_that_came_out(fps: Fraction) -> None:
    live = session(fps=fps)
    samples = speech(1.3)
    frames = [next(live) for _ in range(20)]  # idle
    live.push_audio(samples[:5000])
    frames += [next(live) for _ in range(7)]
    live.push_audio(samples[5000:])
    live.close_input()
    frames += list(live)
    sound = np.concatenate([f.audio for f in frames])
    assert same(spoken(sound / np.float32(32768), fps), frames)
    loud = np.flatnonzero(sound)
    assert np.array_equal(sound[loud[0] : loud[-1] + 1], np.trim_zeros(samples))


def test_other_rates_are_resampled_without_seams() -> None:
    tone = np.sin(np.arange(44_100) * 0.05).astype(np.float32) * np.float32(0.3)
    whole, pieces = session(realtime=False), session(realtime=False)
    whole.push_audio(tone, 44_100)
    for piece in np.array_split(tone, 37):
        pieces.push_audio(piece, 44_100)
    for live in (whole, pieces):
        live.close_input()
    one, other = list(whole), list(pieces)
    assert same(one, other)
    assert sum(len(f.audio) for f in one) == 25 * 640


def test_loud_floats_are_clipped_as_in_speak() -> None:
    loud = speech(0.8) * np.float32(3 / 32768)
    assert np.abs(loud).max() > 1.5
    live = session(realtime=False)
    live.push_audio(loud)
    live.close_input()
    assert same(list(live), spoken(np.clip(loud, -1, 1)))


@pytest.mark.parametrize("rate", [44_100, 16_000])
def test_nothing_of_an_interrupted_utterance_is_heard_in_the_next(rate: int) -> None:
    tone = np.sin(np.arange(rate) * 0.05).astype(np.float32) * np.float32(0.3)
    heard = []
    for interrupted in (False, True):
        live = session(realtime=False)
        if interrupted:
            live.push_audio(-tone[: rate // 3], rate)
            live.interrupt()
        live.push_audio(tone, rate)
        live.close_input()
        heard.append(np.concatenate([f.audio for f in live]))
    fresh, after = heard
    assert np.array_equal(after, fresh)


def test_frames_are_due_at_the_frame_rate() -> None:
    clock = StillClock()
    live = session(clock=clock)
    for k in range(30):
        next(live)
        assert clock.time == pytest.approx(100 + k / 25)


@pytest.mark.parametrize("ahead", FUTURES)
def test_speech_is_seen_after_the_look_ahead(ahead: int) -> None:
    live = Live(engine(ahead=ahead), clock=StillClock())
    for _ in range(10):
        next(live)
    samples = speech(1.5)[8000:]
    live.push_audio(samples)
    coming = [next(live) for _ in range(20)]
    heard = [bool(f.audio.any()) for f in coming]
    assert heard == [False] * ahead + [True] * (20 - ahead)
    offline = engine(ahead=ahead)
    before = 10 + ahead  # frames of silence that have come out
    made = list(offline.push(np.pad(samples / np.float32(32768), (before * 640, 0))))[before:]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(coming[ahead:], made, strict=False))


def test_interrupt_shuts_the_mouth_in_the_next_frame_and_goes_on() -> None:
    live = session()
    shut = next(live).image
    live.push_audio(speech(4.0))
    speaking = [next(live) for _ in range(50)]
    assert any(not np.array_equal(f.image, shut) for f in speaking[10:])
    live.interrupt()
    after = [next(live) for _ in range(30)]
    assert all(np.array_equal(f.image, shut) and not f.audio.any() for f in after)
    assert [f.pts for f in after] == [640 * (51 + k) for k in range(30)]
    live.push_audio(speech(1.0))
    assert any(next(live).audio.any() for _ in range(LOOK_AHEAD + 10))


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_interrupt_at_other_rates(fps: int) -> None:
    live = session(fps=Fraction(fps))
    shut = next(live).image
    live.push_audio(speech(3.0))
    for _ in range(fps):
        next(live)
    live.interrupt()
    after = [next(live) for _ in range(fps)]
    assert all(np.array_equal(f.image, shut) and not f.audio.any() for f in after)


def test_a_late_consumer_gets_repeated_pictures_and_all_the_sound() -> None:
    clock = StillClock()
    live = session(clock=clock)
    samples = speech(2.0)
    live.push_audio(samples)
    live.close_input()
    frames = []
    for frame in live:
        frames.append(frame)
        if len(frames) == 12:
            clock.time += 0.3
    status = live.status()
    assert 6 <= status.repeated <= 7 and status.frames == len(frames)
    sound = np.concatenate([f.audio for f in frames])
    assert np.array_equal(np.trim_zeros(sound), np.trim_zeros(samples))
    assert [f.pts for f in frames] == [640 * k for k in range(len(frames))]


@pytest.mark.parametrize(("late", "repeated"), [(0.019, 0), (0.021, 1)])
def test_a_frame_that_is_half_a_frame_late_repeats(late: float, repeated: int) -> None:
    clock = StillClock()
    live = session(clock=clock)
    next(live)
    clock.time += 1 / 25 + late
    next(live)
    assert live.status().repeated == repeated


def test_a_mouth_shuts_however_late_its_frames_are() -> None:
    clock = StillClock()
    live = session(clock=clock)
    live.push_audio(speech(2.0))
    last = [next(live) for _ in range(20)][-1]
    clock.time += 0.5
    np.testing.assert_array_equal(next(live).image, last.image)  # it is repeated
    live.interrupt()
    shut = next(session()).image
    assert (last.image != shut).any()
    for _ in range(3):
        np.testing.assert_array_equal(next(live).image, shut)


def test_a_consumer_that_slept_long_is_not_flooded() -> None:
    clock = StillClock()
    live = session(clock=clock)
    next(live)
    clock.time += 3600
    before = clock.time
    for _ in range(25):
        next(live)
    assert clock.time == pytest.approx(before + 24 / 25, abs=0.05)


def test_a_pause_within_an_utterance_is_silence() -> None:
    live = session()
    live.push_audio(speech(0.5))
    frames = [next(live) for _ in range(40)]
    assert not any(f.audio.any() for f in frames[-20:])
    live.push_audio(speech(0.5))
    assert any(next(live).audio.any() for _ in range(20))


def test_utterances_follow_one_another() -> None:
    live = session(realtime=False)
    live.push_audio(speech(0.5))
    live.flush()
    live.push_audio(speech(0.7))
    live.close_input()
    frames = list(live)
    assert len(frames) in (13 + 18, 13 + 18 + 1)
    assert [f.pts for f in frames] == [640 * k for k in range(len(frames))]


def test_every_utterance_has_an_end_and_only_speech_is_spoken() -> None:
    for realtime in (True, False):
        live = session(realtime=realtime)
        live.push_audio(speech(0.5))
        live.flush()
        live.push_audio(speech(0.3))
        frames = [next(live) for _ in range(7)]  # the first utterance is still under way
        live.close_input()
        frames += list(live)
        assert sum(f.utterance_end for f in frames) == 2 and frames[-1].utterance_end
        assert sum(f.spoken for f in frames) in (13 + 8, 13 + 8 + 1)
        assert not any(f.audio.any() for f in frames if not f.spoken)


def test_interrupt_of_an_unpaced_session_drops_what_was_not_delivered() -> None:
    live = session(realtime=False)
    live.push_audio(speech(1.0))
    live.flush()
    frames = [next(live) for _ in range(22)]  # of 25: the rest is being flushed
    live.interrupt()
    live.push_audio(speech(0.4))
    live.close_input()
    after = list(live)
    # Frames whose head motion was drawn already stay, silent.
    silent = [not f.audio.any() for f in after].index(False)
    assert silent <= LOOK_AHEAD and len(after) - silent in (10, 11)
    assert [f.pts for f in frames + after] == [640 * k for k in range(22 + len(after))]


def test_no_audio_after_the_end() -> None:
    live = session()
    live.close_input()
    assert list(live) == []
    with pytest.raises(SessionClosedError):
        live.push_audio(speech(0.1))
    live.close()
    live.close()
    with pytest.raises(SessionClosedError):
        live.flush()
    live.interrupt()


def test_what_is_pushed_is_checked_and_bounded() -> None:
    live = session()
    for bad in (np.zeros(4, np.uint8), np.full(4, np.nan, np.float32), np.zeros((2, 2, 2))):
        with pytest.raises(AudioError):
            live.push_audio(bad)
    with pytest.raises(AudioError):
        live.push_audio(np.zeros(4, np.int16), 0)
    for _ in range(MAX_QUEUED_S + 1):
        live.push_audio(np.zeros(16_000, np.int16))
    with pytest.raises(AudioError, match="queued"):
        live.push_audio(np.zeros(16_000, np.int16))
    live.interrupt()
    live.push_audio(np.zeros(16_000, np.int16))
    live.interrupt()
    hour = np.broadcast_to(np.int16(0), (3600 * 16_000,))
    with pytest.raises(AudioError, match="3600 s of speech at once"):
        live.push_audio(hour)
    with pytest.raises(AudioError, match="at once"):
        live.push_audio(np.broadcast_to(np.float32(0), (10**10,)))  # takes no memory, nor time
    assert live.status().queued_s == 0


def test_async_iteration_and_close_from_another_thread() -> None:
    live = session(realtime=False)

    async def watch() -> list[Frame]:
        return [frame async for frame in live]

    def close_after_some() -> None:
        while live.status().frames < 5:
            time.sleep(0.01)
        live.close()

    live.push_audio(speech(0.5))
    threading.Thread(target=close_after_some).start()
    assert 0 < len(asyncio.run(watch())) < 13  # the look-ahead was never flushed


def test_callback_gets_the_frames_and_an_error_in_it_closes() -> None:
    got: list[Frame] = []
    done = threading.Event()

    def on_frame(frame: Frame) -> None:
        got.append(frame)
        if len(got) == 5:
            done.set()

    with Live(engine(), clock=StillClock(), on_frame=on_frame) as live:
        assert done.wait(10)
        with pytest.raises(SessionClosedError):
            iter(live)
    count = len(got)
    assert count >= 5 and live.status().frames in (count, count + 1)


def test_avatar_live_draws_what_speak_draws() -> None:
    avatar = Avatar(PHOTO, cache=False)
    samples = speech(0.6)
    with avatar.live(realtime=False, size=128, seed=5) as live:
        live.push_audio(samples)
        live.close_input()
        frames = list(live)
    assert same(frames, list(avatar.speak(samples, sample_rate=16_000, size=128, seed=5)))
