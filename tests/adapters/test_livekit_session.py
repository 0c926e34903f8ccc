"""A LiveKit agent that speaks through a face, as its room hears and sees it.

The agent's session, the runner, the tracks, and the streams that read these are livekit's own; only
the server is left out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.errors import AudioError, ImageError, ParlanteError, SessionClosedError
from tests.support.portrait_samples import PHOTO, avatar

rtc = pytest.importorskip("livekit.rtc")
agents = pytest.importorskip("livekit.agents")
base = pytest.importorskip("livekit.agents.voice.avatar")

RATE = 24_000
FRAME_S = 0.04


def voice(seconds: float, sign: int = 1) -> NDArray[np.int16]:
    """Sound without a zero, so that what was heard of it can be told from silence."""
    random = np.random.default_rng(1)
    return sign * random.integers(4000, 9000, round(seconds * RATE), np.int16)


async def pieces(sound: NDArray[np.int16], rate: int = RATE) -> AsyncIterator[Any]:
    for part in np.split(sound, range(rate // 50, len(sound), rate // 50)):
        yield rtc.AudioFrame(part.tobytes(), rate, 1, len(part))


class Stage:
    """An agent without models, a face, and somebody in the room who hears and sees it."""

    def __init__(self) -> None:
        from examples.livekit_agent import StandIn
        from parlante.adapters.livekit import AvatarSession

        self.room = StandIn()
        self.room.on("local_track_published", self._attend)
        interruption = {"resume_false_interruption": False}
        self.agent: Any = agents.AgentSession(
            vad=None, turn_handling={"turn_detection": None, "interruption": interruption}
        )
        self.face = AvatarSession(avatar(), size=128, steps=1)
        self.pictures: list[Any] = []
        self.told: list[tuple[float, bool]] = []
        self.started = 0
        self.metrics: list[Any] = []
        self._sound: list[NDArray[np.int16]] = []
        self._attending: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        self.agent.on("metrics_collected", lambda event: self.metrics.append(event.metrics))
        await self.face.start(self.agent, room=self.room)
        output = self.agent.output.audio
        output.on("playback_finished", self._finished)
        output.on("playback_started", self._started)
        await self.agent.start(agents.Agent(instructions=""))

    async def end(self) -> None:
        await self.face.aclose()
        await self.agent.aclose()
        for task in self._attending:
            task.cancel()

    def heard(self) -> NDArray[np.int16]:
        """All the sound of the room, without its silence."""
        sound = np.concatenate([np.zeros(0, np.int16), *self._sound])
        return sound[np.abs(sound) > 1000]

    async def when(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.01)

    def _finished(self, event: Any) -> None:
        self.told.append((event.playback_position, event.interrupted))

    def _started(self, _: Any) -> None:
        self.started += 1

    def _attend(self, publication: Any, track: Any) -> None:
        sound = publication.kind == rtc.TrackKind.KIND_AUDIO
        self._attending.append(asyncio.create_task((self._listen if sound else self._look)(track)))

    async def _listen(self, track: Any) -> None:
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            self._sound.append(np.frombuffer(event.frame.data, np.int16).copy())

    async def _look(self, track: Any) -> None:
        async for event in rtc.VideoStream(track):
            self.pictures.append(event.frame)


def play(scene: Callable[[Stage], Awaitable[None]]) -> Stage:
    async def run() -> Stage:
        stage = Stage()
        await stage.begin()
        try:
            await scene(stage)
        finally:
            await stage.end()
        return stage

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_the_room_hears_and_sees_what_the_agent_says() -> None:
    sound = voice(1.5)

    async def scene(stage: Stage) -> None:
        assert isinstance(stage.face, base.AvatarSession)
        await stage.face.wait_for_join()
        assert stage.face.avatar_identity == stage.room.identity
        await stage.agent.say("…", audio=pieces(sound))
        await stage.when(lambda: len(stage.heard()) >= len(sound))
        assert len(stage.room.track_publications) == 2

    stage = play(scene)
    assert np.array_equal(stage.heard(), sound)
    assert stage.told == [(pytest.approx(1.5), False)] and stage.started == 1
    assert (stage.pictures[0].width, stage.pictures[0].height) == (128, 128)
    assert len(stage.pictures) > 25
    assert {m.metadata.model_provider for m in stage.metrics} == {"parlante"}
    assert any(m.avatar_joined_time for m in stage.metrics)


def test_the_agents_voice_comes_in_any_rate() -> None:
    async def scene(stage: Stage) -> None:
        low = np.round(9000 * np.sin(np.arange(16_000) / 5)).astype(np.int16)
        await stage.agent.say("…", audio=pieces(low, 16_000))

    assert play(scene).told == [(pytest.approx(1, abs=FRAME_S), False)]


def test_an_interruption_silences_the_room_at_once_and_tells_how_much_was_heard() -> None:
    answer = voice(0.5, -1)
    late: list[int] = []

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0.2)
        handle = stage.agent.say("…", audio=pieces(voice(20)))
        await stage.when(lambda: len(stage.heard()) > RATE)
        time.sleep(0.2)  # a busy agent: what is late comes at once, and waits in the room's queue
        await asyncio.sleep(0.3)
        stage.agent.output.audio.clear_buffer()
        await stage.when(lambda: bool(stage.told))
        late.append(len(stage.heard()))
        handle.interrupt()
        await handle
        await asyncio.sleep(0.2)
        late.append(len(stage.heard()))
        await stage.agent.say("…", audio=pieces(answer))
        await stage.when(lambda: len(stage.heard()) >= late[1] + len(answer))

    stage = play(scene)
    heard = stage.heard()
    assert np.array_equal(heard[: late[1]], voice(20)[: late[1]])
    assert (late[1] - late[0]) / RATE <= FRAME_S
    assert stage.told[0] == (pytest.approx(late[1] / RATE, abs=FRAME_S), True)
    assert np.array_equal(heard[late[1] :], answer)
    assert stage.told[1:] == [(pytest.approx(0.5), False)] and stage.started == 2


def test_a_face_that_is_closed_leaves_the_room_and_ends_its_threads() -> None:
    before = set(threading.enumerate())

    async def scene(stage: Stage) -> None:
        handle = stage.agent.say("…", audio=pieces(voice(20)))
        await stage.when(lambda: len(stage.heard()) > RATE // 2)
        await stage.face.aclose()
        await stage.face.aclose()
        await asyncio.wait_for(handle, 5)  # the agent does not wait for a voice that is gone
        assert stage.told[0][1]
        assert stage.room.track_publications == {} and stage.agent.output.audio is None
        await asyncio.sleep(0.1)
        shown = len(stage.pictures)
        await asyncio.sleep(0.2)
        assert len(stage.pictures) == shown

    stage = play(scene)
    with pytest.raises(SessionClosedError, match="make a new AvatarSession"):
        asyncio.run(stage.face.start(stage.agent, room=stage.room))
    left = set(threading.enumerate()) - before
    assert not [t for t in left if not t.name.startswith("Dummy")]  # livekit's callbacks


def test_the_face_closes_with_the_session_and_with_the_job(monkeypatch: Any) -> None:
    removed: list[Any] = []
    callbacks: list[Any] = []

    class Job:
        """Of a job, what a face asks for; the server behind it removes participants."""

        def __init__(self) -> None:
            self.api = self.room = self

        def add_shutdown_callback(self, callback: Any) -> None:
            callbacks.append(callback)

        async def remove_participant(self, who: Any) -> None:
            removed.append(who.identity)

    async def closed_session(stage: Stage) -> None:
        await stage.agent.say("…", audio=pieces(voice(0.2)))
        await stage.agent.aclose()
        await stage.when(lambda: not stage.room.track_publications)

    play(closed_session)

    async def ended_job(stage: Stage) -> None:
        await stage.agent.say("…", audio=pieces(voice(0.2)))
        await callbacks[0]()
        assert not stage.room.track_publications

    monkeypatch.setattr(base._types, "get_job_context", lambda required: Job())
    play(ended_job)
    assert removed == []  # the agent shows the face: it stays in the room


def test_what_cannot_be_is_said_at_once() -> None:
    from parlante.adapters.livekit import AvatarSession

    with pytest.raises(ParlanteError, match="bgr"):
        AvatarSession(PHOTO, pixels="bgr")
    with pytest.raises(ParlanteError, match="size=127"):
        AvatarSession(PHOTO, size=127)
    with pytest.raises(AudioError, match="sample_rate"):
        AvatarSession(PHOTO, sample_rate=10)

    async def run() -> None:
        stage = Stage()
        with pytest.raises(ImageError, match=r"nobody\.jpg does not exist"):
            await AvatarSession("nobody.jpg").start(stage.agent, room=stage.room)
        assert stage.agent.output.audio is None and not stage.room.published

    asyncio.run(run())
