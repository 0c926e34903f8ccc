"""A LiveKit agent's face, with livekit-agents' own runner; of the server there is only the room."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.live import StillClock
from parlante.contract import Image
from parlante.errors import ParlanteError
from parlante.options import RenderOptions
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine, Renderer
from parlante.session.live import MAX_QUEUED_S, Live
from parlante.session.timeline import Timeline
from parlante.speech.motion import Motion, MotionStream

rtc = pytest.importorskip("livekit.rtc")
agents = pytest.importorskip("livekit.agents.voice.avatar")


class Grey(Renderer):
    """A renderer of small grey pictures."""

    def render(self, motion: Motion) -> Image:
        return np.full((32, 32, 3), 128, np.uint8)


def session(fps: int = 25, **options: Any) -> Live:
    """Without a clock of its own time passes only as frames are taken."""
    return Live(Engine(MotionStream(Bundle.default()), Grey(), Timeline(Fraction(fps))), **options)


def voice(seconds: float, rate: int) -> NDArray[np.int16]:
    random = np.random.default_rng(1)
    return random.integers(-9000, 9000, round(seconds * rate), np.int16)


def pushes(sound: NDArray[np.int16], rate: int) -> list[Any]:
    """The sound in frames of 20 ms, as a speech service gives it."""
    parts = np.split(sound, range(rate // 50, len(sound), rate // 50))
    return [rtc.AudioFrame(part.tobytes(), rate, 1, len(part)) for part in parts]


def samples(frames: list[Any]) -> NDArray[np.int16]:
    return np.concatenate([np.frombuffer(f.data, np.int16) for f in frames])


async def one_segment(generator: Any, frames: list[Any]) -> list[Any]:
    """Everything that comes out up to the end of the segment that goes in."""

    async def push() -> None:
        for frame in [*frames, agents.AudioSegmentEnd()]:
            await generator.push_audio(frame)

    pushing = asyncio.create_task(push())
    got: list[Any] = []
    async for frame in generator:
        got.append(frame)
        if isinstance(frame, agents.AudioSegmentEnd):
            break
    await pushing
    return got


@pytest.mark.parametrize("fps", [25, 30])
@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 44_100, 48_000])
def test_the_sound_comes_out_as_it_went_in(rate: int, fps: int) -> None:
    from parlante.adapters.livekit import LiveKitAvatar

    sound = voice(1.01, rate)

    async def run() -> list[Any]:
        with session(fps, clock=StillClock()) as live:
            generator = LiveKitAvatar(live)
            got = [await one_segment(generator, pushes(sound, rate)) for _ in range(2)]
            return got[0] + got[1]

    got = asyncio.run(asyncio.wait_for(run(), 60))
    heard = [f for f in got if isinstance(f, rtc.AudioFrame)]
    assert {(f.sample_rate, f.num_channels) for f in heard} == {(rate, 1)}
    assert np.array_equal(samples(heard), np.tile(sound, 2))
    # Each sound follows its own picture: what was heard is never ahead of what was shown.
    shown = seconds = 0.0
    for frame in got[: got.index(heard[-1]) + 1]:
        if isinstance(frame, rtc.VideoFrame):
            shown += 1 / fps
        elif isinstance(frame, rtc.AudioFrame):
            seconds += frame.duration
            assert seconds <= shown + 1e-6


def test_a_long_answer_pushed_at_once_is_spoken_whole() -> None:
    from parlante.adapters.livekit import LiveKitAvatar

    rate = 24_000
    sound = voice(MAX_QUEUED_S + 20, rate)

    async def run() -> list[Any]:
        with session(clock=StillClock()) as live:
            return await one_segment(LiveKitAvatar(live), pushes(sound, rate))

    got = asyncio.run(asyncio.wait_for(run(), 300))
    assert np.array_equal(samples([f for f in got if isinstance(f, rtc.AudioFrame)]), sound)


def test_clearing_drops_what_waits_and_the_next_answer_is_whole() -> None:
    from parlante.adapters.livekit import LiveKitAvatar

    rate = 24_000
    answer = voice(0.5, rate)

    async def run() -> list[Any]:
        clock = StillClock()
        with session(clock=clock) as live:
            generator = LiveKitAvatar(live)
            for frame in pushes(voice(MAX_QUEUED_S + 0.5, rate), rate)[: 50 * MAX_QUEUED_S + 1]:
                await generator.push_audio(frame)
            waiting = asyncio.create_task(generator.push_audio(pushes(answer, rate)[0]))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            generator.clear_buffer()
            await waiting
            assert live.status().queued_s == 0
            return await one_segment(generator, pushes(answer, rate))

    got = asyncio.run(asyncio.wait_for(run(), 60))
    assert np.array_equal(samples([f for f in got if isinstance(f, rtc.AudioFrame)]), answer)


class Room:
    """A room that is connected to nothing."""

    class Publication:
        async def wait_for_subscription(self) -> None:
            return

    def __init__(self) -> None:
        self.local_participant = self
        self.published: list[Any] = []

    def on(self, *_: Any) -> None:
        return

    off = on

    def isconnected(self) -> bool:
        return True

    async def publish_track(self, track: Any, options: Any) -> Room.Publication:
        self.published.append(track)
        return self.Publication()


def test_the_runner_forwards_at_the_rate_of_the_agent() -> None:
    from parlante.adapters.livekit import LiveKitAvatar

    rate = 24_000
    sound = voice(1.0, rate)

    async def run() -> tuple[list[Any], list[tuple[float, bool]], int]:
        finished: list[tuple[float, bool]] = []
        done = asyncio.Event()

        class Output(agents.QueueAudioOutput):  # type: ignore[misc, name-defined]
            def on_playback_finished(self, **said: Any) -> None:
                finished.append((said["playback_position"], said["interrupted"]))
                done.set()

        output, room = Output(sample_rate=rate), Room()
        options = agents.AvatarOptions(
            video_width=32,
            video_height=32,
            video_fps=25,
            audio_sample_rate=rate,
            audio_channels=1,
        )
        with session() as live:
            runner = agents.AvatarRunner(
                room, audio_recv=output, video_gen=LiveKitAvatar(live), options=options
            )
            taken: list[Any] = []
            capture = runner._audio_source.capture_frame

            async def record(frame: Any) -> None:
                await capture(frame)  # refuses another rate than the track's
                taken.append(frame)

            runner._audio_source.capture_frame = record
            await runner.start()
            for frame in pushes(sound, rate):
                await output.capture_frame(frame)
            output.flush()
            await asyncio.wait_for(done.wait(), 20)
            await asyncio.sleep(0.2)
            await runner.aclose()
            return taken, finished, len(room.published)

    taken, finished, tracks = asyncio.run(asyncio.wait_for(run(), 60))
    assert tracks == 2
    assert np.array_equal(samples(taken), sound)
    assert finished == [(pytest.approx(1.0), False)]


@pytest.mark.parametrize(("pixels", "kind"), [("rgba", "RGBA"), ("nv12", "NV12")])
def test_other_pixels(pixels: Any, kind: str) -> None:
    from parlante.adapters.livekit import LiveKitAvatar

    class Other(Renderer):
        def render(self, motion: Motion) -> Image:
            return np.zeros((32, 32, 4) if pixels == "rgba" else (48, 32), np.uint8)

    async def run() -> Any:
        live = Live(
            Engine(MotionStream(Bundle.default()), Other()), options=RenderOptions(pixels=pixels)
        )
        with live:
            async for frame in LiveKitAvatar(live):
                return frame

    picture = asyncio.run(run())
    assert (picture.width, picture.height) == (32, 32)
    assert picture.type == getattr(rtc.VideoBufferType, kind)
    with (
        pytest.raises(ParlanteError, match="bgr"),
        session(options=RenderOptions(pixels="bgr")) as live,
    ):
        LiveKitAvatar(live)
