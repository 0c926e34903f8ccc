"""A face in a real pipecat pipeline, in front of a transport that records what is played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from parlante.speech.motion import Motion, MotionStream

f = pytest.importorskip("pipecat.frames.frames")
processor = pytest.importorskip("pipecat.processors.frame_processor")
utils = pytest.importorskip("pipecat.tests.utils")
base_output = pytest.importorskip("pipecat.transports.base_output")
base_transport = pytest.importorskip("pipecat.transports.base_transport")
pipeline = pytest.importorskip("pipecat.pipeline.pipeline")


class Grey(Renderer):
    """A renderer of small grey pictures."""

    def render(self, motion: Motion) -> Image:
        return np.full((32, 32, 3), 128, np.uint8)


def session(**options: Any) -> Live:
    return Live(Engine(MotionStream(Bundle.default()), Grey()), **options)


class Transport(base_output.BaseOutputTransport):  # type: ignore[misc, name-defined]
    """Plays everything at once, and keeps it."""

    def __init__(self, rate: int) -> None:
        params = base_transport.TransportParams(
            audio_out_enabled=True,
            audio_out_sample_rate=rate,
            audio_out_end_silence_secs=0,
            video_out_enabled=True,
            video_out_is_live=True,
            video_out_width=32,
            video_out_height=32,
        )
        super().__init__(params)
        self.played: list[Any] = []
        self.pictures = 0

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: Any) -> bool:
        self.played.append(frame)
        return True

    async def write_video_frame(self, frame: Any) -> bool:
        assert (frame.size, frame.format) == ((32, 32), "RGB")
        self.pictures += 1
        return True

    def heard(self) -> NDArray[np.int16]:
        return np.frombuffer(b"".join(x.audio for x in self.played), np.int16)


def voice(seconds: float, rate: int) -> NDArray[np.int16]:
    random = np.random.default_rng(1)
    return random.integers(1, 9000, round(seconds * rate), np.int16)


def pushes(sound: NDArray[np.int16], rate: int, kind: Any = None) -> list[Any]:
    parts = np.split(sound, range(rate // 50, len(sound), rate // 50))
    return [(kind or f.TTSAudioRawFrame)(part.tobytes(), rate, 1) for part in parts]


def until(condition: Callable[[], bool]) -> Iterator[Any]:
    """Frames that wait."""
    for _ in range(3000):
        if condition():
            return
        yield utils.SleepFrame(sleep=0.01)
    raise AssertionError("nothing came for half a minute")


def played(
    live: Live, rate: int, frames: list[Any] | Callable[[Transport], Iterator[Any]], **options: Any
) -> tuple[Transport, list[Any], list[Any]]:
    """The transport, and what came out of it downstream and upstream."""
    from parlante.adapters.pipecat import PipecatAvatar

    async def run() -> tuple[Transport, list[Any], list[Any]]:
        with live:
            transport = Transport(rate)
            down, up = await utils.run_test(
                pipeline.Pipeline([PipecatAvatar(live), transport]),
                frames_to_send=frames(transport) if callable(frames) else frames,
                start_timeout=20,
                **options,
            )
            return transport, list(down), list(up)

    return asyncio.run(asyncio.wait_for(run(), 200))


def speaking(frames: list[Any]) -> list[type]:
    kinds = (f.BotStartedSpeakingFrame, f.BotStoppedSpeakingFrame, f.TTSStoppedFrame)
    return [type(frame) for frame in frames if isinstance(frame, kinds)]


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 48_000])
def test_speech_is_played_to_its_end_and_the_bot_is_seen_to_speak(rate: int) -> None:
    sound = voice(1.01, rate)
    frames = [f.TTSStartedFrame(), *pushes(sound, rate), f.TTSStoppedFrame()]
    # EndFrame follows at once.
    transport, down, up = played(session(clock=StillClock()), rate, frames)
    heard = transport.heard()
    assert np.array_equal(heard[: len(sound)], sound) and not heard[len(sound) :].any()
    expected = [f.BotStartedSpeakingFrame, f.BotStoppedSpeakingFrame]
    assert speaking(up) == expected
    assert [kind for kind in speaking(down) if kind in expected] == expected


def test_two_answers_start_and_stop_twice_and_keep_their_context() -> None:
    rate = 24_000
    answers = []
    for context in ("a", "b"):
        for frame in pushes(voice(0.5, rate), rate):
            frame.context_id = context
            answers.append(frame)
        answers.append(f.TTSStoppedFrame(context_id=context))
    from parlante.adapters.pipecat import PipecatAvatar

    async def run() -> list[Any]:
        with session(clock=StillClock()) as live:
            down, _ = await utils.run_test(
                PipecatAvatar(live), frames_to_send=answers, start_timeout=20
            )
            return list(down)

    down = asyncio.run(asyncio.wait_for(run(), 60))
    order = [
        (type(x), x.context_id)
        for x in down
        if isinstance(x, f.TTSAudioRawFrame | f.TTSStoppedFrame)
    ]
    changes = [one for one, before in zip(order, [None, *order], strict=False) if one != before]
    assert changes == [
        (f.TTSAudioRawFrame, "a"),
        (f.TTSStoppedFrame, "a"),
        (f.TTSAudioRawFrame, "b"),
        (f.TTSStoppedFrame, "b"),
    ]
    _, _, up = played(session(), rate, [*answers[:-1], utils.SleepFrame(sleep=1.6), answers[-1]])
    assert speaking(up) == [f.BotStartedSpeakingFrame, f.BotStoppedSpeakingFrame] * 2


def test_a_speech_stream_is_a_speech_stream() -> None:
    rate = 16_000
    frames = pushes(voice(0.4, rate), rate, f.SpeechOutputAudioRawFrame)
    transport, _, up = played(session(clock=StillClock()), rate, frames)
    assert {type(x) for x in transport.played} == {f.SpeechOutputAudioRawFrame}
    assert speaking(up)[0] is f.BotStartedSpeakingFrame


def test_a_long_answer_pushed_at_once_is_played_whole() -> None:
    rate = 16_000
    sound = voice(MAX_QUEUED_S + 20, rate)
    frames = [*pushes(sound, rate), f.TTSStoppedFrame()]
    transport, _, _ = played(session(clock=StillClock()), rate, frames)
    assert np.array_equal(transport.heard()[: len(sound)], sound)


def test_an_interruption_stops_and_the_next_answer_is_whole() -> None:
    rate = 24_000
    first, second = voice(30, rate), voice(0.5, rate) * -1

    def frames(transport: Transport) -> Iterator[Any]:
        yield from [*pushes(first, rate), f.TTSStoppedFrame()]
        yield from until(lambda: transport.pictures > 25 and len(transport.played) > 5)
        yield from [f.InterruptionFrame(), utils.SleepFrame(sleep=0.3)]
        yield from [*pushes(second, rate), f.TTSStoppedFrame()]

    transport, _, up = played(session(), rate, frames)
    heard = transport.heard()
    assert transport.pictures > 25
    begin = int(np.flatnonzero(heard < 0)[0])
    assert begin < 3 * rate
    assert np.array_equal(heard[begin : begin + len(second)], second)
    assert speaking(up) == [f.BotStartedSpeakingFrame, f.BotStoppedSpeakingFrame] * 2


def test_cancel_ends_at_once() -> None:
    rate = 16_000
    frames = [*pushes(voice(60, rate), rate), utils.SleepFrame(sleep=0.5), f.CancelFrame()]
    live = session()
    transport, _, _ = played(live, rate, frames, send_end_frame=False)
    assert len(transport.heard()) < 5 * rate
    assert next(live, None) is None


def test_pixels_that_pipecat_does_not_know() -> None:
    from parlante.adapters.pipecat import PipecatAvatar

    with (
        pytest.raises(ParlanteError, match="bgr"),
        session(options=RenderOptions(pixels="bgr")) as live,
    ):
        PipecatAvatar(live)


def test_frames_keep_their_place_among_the_speech() -> None:
    """What is written into the bot's memory is what was heard before the interruption."""
    aggregators = pytest.importorskip("pipecat.processors.aggregators.llm_response_universal")
    contexts = pytest.importorskip("pipecat.processors.aggregators.llm_context")
    from parlante.adapters.pipecat import PipecatAvatar

    @dataclass
    class Kept(f.DataFrame):  # type: ignore[misc, name-defined]
        interruptible: bool = field(default=False, init=False)

    rate = 16_000

    def frames(transport: Transport) -> Iterator[Any]:
        yield from [f.TTSStartedFrame(), *pushes(voice(0.5, rate), rate)]
        yield from [f.TTSTextFrame("Yes.", "sentence"), *pushes(voice(20, rate), rate)]
        yield from [f.TTSTextFrame("No.", "sentence"), Kept(), f.TTSStoppedFrame()]
        yield from until(lambda: len(transport.heard()) > rate)
        yield f.InterruptionFrame()

    async def run() -> tuple[list[Any], list[Any]]:
        context = contexts.LLMContext()
        with session() as live:
            face, transport = PipecatAvatar(live, name="face"), Transport(rate)
            memory = aggregators.LLMContextAggregatorPair(context).assistant()
            down, _ = await utils.run_test(
                pipeline.Pipeline([face, transport, memory]),
                frames_to_send=frames(transport),
                start_timeout=20,
            )
            assert face.name == "face"
            return context.messages, list(down)

    said, down = asyncio.run(asyncio.wait_for(run(), 60))
    assert said == [{"role": "assistant", "content": "Yes."}]
    assert [type(x) for x in down if isinstance(x, Kept)] == [Kept]


def test_the_face_waits_for_the_room() -> None:
    """Pictures made while the transport joins would be shown late from then on."""
    made: list[int] = []
    live = session()

    class Joining(Transport):
        async def set_transport_ready(self, frame: Any) -> None:
            await asyncio.sleep(0.5)
            made.append(live.status().frames)
            await super().set_transport_ready(frame)

    from parlante.adapters.pipecat import PipecatAvatar

    async def run() -> int:
        with live:
            transport = Joining(16_000)
            await utils.run_test(
                pipeline.Pipeline([PipecatAvatar(live), transport]),
                frames_to_send=until(lambda: transport.pictures > 5),
                start_timeout=20,
            )
            return transport.pictures

    assert asyncio.run(asyncio.wait_for(run(), 60)) > 5
    assert made == [0]


def test_a_face_that_fails_is_an_error_of_the_pipeline() -> None:
    class Failing(Grey):
        def render(self, motion: Motion) -> Image:
            raise ParlanteError("no memory")

    live = Live(Engine(MotionStream(Bundle.default()), Failing()))
    _, _, up = played(live, 16_000, [utils.SleepFrame(sleep=0.5)])
    errors = [frame.error for frame in up if isinstance(frame, f.ErrorFrame)]
    assert errors == ["the face cannot be drawn: no memory"]


def test_the_time_until_the_bot_is_heard_is_measured() -> None:
    worker = pytest.importorskip("pipecat.pipeline.worker")
    metrics = pytest.importorskip("pipecat.metrics.metrics")
    rate = 16_000
    frames = [f.TTSStartedFrame(), *pushes(voice(0.5, rate), rate), f.TTSStoppedFrame()]
    frames += [utils.SleepFrame(sleep=1.5)]
    measuring = worker.PipelineParams(enable_metrics=True)
    _, down, _ = played(session(), rate, frames, pipeline_params=measuring)
    measured = [
        data
        for frame in down
        if isinstance(frame, f.MetricsFrame)
        for data in frame.data
        if isinstance(data, metrics.TTFBMetricsData) and "PipecatAvatar" in data.processor
    ]
    # Lips wait for their sound; nothing is heard at once.
    assert any(0.05 < data.value < 10 for data in measured)
