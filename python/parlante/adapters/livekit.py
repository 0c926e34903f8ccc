"""The face of a LiveKit agent (livekit-agents ≥ 1.8)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice import avatar as base
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    QueueAudioOutput,
    VideoGenerator,
)
from livekit.agents.voice.io import AudioOutput

from parlante.adapters.pushed import Piece, PushedSound
from parlante.avatar import Avatar
from parlante.contract import Picture
from parlante.errors import ParlanteError, SessionClosedError
from parlante.options import RenderOptions
from parlante.session.live import Live
from parlante.speech.audio import check_sample_rate

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from parlante.options import RenderKeywords

VOICE_RATE = 24_000  # Hz, of most agents' voices
TELLING_S = 1.0  # that `aclose` waits for the agent to be told how much was heard
_KINDS = {
    "rgb": rtc.VideoBufferType.RGB24,
    "rgba": rtc.VideoBufferType.RGBA,
    "nv12": rtc.VideoBufferType.NV12,
}
_PROVIDER = "parlante"
_TRACKS = ("avatar_audio", "avatar_video")  # as `AvatarRunner` names them


class LiveKitAvatar(VideoGenerator):
    """A `Live` session, in real time, as the ``video_gen`` of an ``AvatarRunner``.

    The sound comes out at the rate at which it was pushed, mono: give ``AvatarOptions`` the rate of
    the agent's voice and one channel.
    """

    def __init__(self, live: Live) -> None:
        self._live, self._sound, self._kind = live, PushedSound(live), _kind(live.pixels)
        self._due: deque[rtc.AudioFrame | AudioSegmentEnd] = deque()  # of the frame that is shown
        self._taken = asyncio.Event()  # what was yielded
        self._taken.set()

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Push speech, or the end of it; waits while two minutes are queued."""
        if isinstance(frame, AudioSegmentEnd):
            self._sound.flush()
        else:
            await self._sound.push(Piece.of(frame.data, frame.sample_rate, frame.num_channels))

    def clear_buffer(self) -> Coroutine[None, None, None] | None:
        """Drop all speech not yet delivered."""
        self._sound.clear()
        self._due.clear()
        return None

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        async for frame in self._live:
            height, width = frame.image.shape[:2]
            if self._live.pixels == "nv12":
                height = height * 2 // 3
            yield rtc.VideoFrame(width, height, self._kind, frame.image.tobytes())
            pieces, ended = self._sound.cut(frame)
            self._due.extend(
                rtc.AudioFrame(piece.samples.tobytes(), piece.rate, 1, len(piece.samples))
                for piece in pieces
            )
            if ended:
                self._due.append(AudioSegmentEnd())
            self._taken.clear()
            try:
                while self._due:
                    yield self._due.popleft()
            finally:
                self._taken.set()


class _Face(LiveKitAvatar):
    """Clears until the runner has counted the piece of sound that was under way.

    Else the runner would count it as the first of the next answer.
    """

    async def clear_buffer(self) -> None:
        super().clear_buffer()
        await self._taken.wait()


class _Voice(QueueAudioOutput):
    """What the agent speaks into: an interruption silences the room, too, at once."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate=sample_rate, wait_playback_start=True)
        self.synchronizer: rtc.AVSynchronizer | None = None  # up to a tenth of a second waits there
        self._unheard = 0.0  # seconds dropped there
        self._clearing: asyncio.Task[None] | None = None

    def clear_buffer(self) -> None:
        """Drop what the room has not heard."""
        if self.synchronizer is not None:
            # The runner pushes sound without times: that of the latest heard is 0 less the queue.
            self._unheard = -self.synchronizer.last_audio_time
            self._clearing = asyncio.create_task(self.synchronizer.clear_queue())
        super().clear_buffer()

    def notify_playback_finished(self, playback_position: float, interrupted: bool) -> None:
        """Tell the agent what was heard, of what was pushed."""
        if interrupted:
            playback_position = max(0.0, playback_position - self._unheard)
        super().notify_playback_finished(playback_position, interrupted)


class AvatarSession(base.AvatarSession[str]):
    """The face of an agent, drawn in the agent's own process.

    The agent speaks through it from `start` until `aclose`, or until the agent's session or job
    ends. The agent's own participant publishes picture and sound.

    Args:
        avatar: the face, or what `Avatar` makes one from.
        sample_rate: of the sound, Hz; the agent brings its voice to it.
        options, keywords: as in `Avatar.live`.

    Raises:
        AudioError: ``sample_rate`` is out of its range.
        ImageError: the background cannot be read.
        ParlanteError: an option is out of its range, or LiveKit does not take these ``pixels``.
    """

    def __init__(
        self,
        avatar: Avatar | Picture | Sequence[Picture],
        *,
        sample_rate: int = VOICE_RATE,
        options: RenderOptions | None = None,
        **keywords: Unpack[RenderKeywords],
    ) -> None:
        super().__init__()
        self._avatar = avatar
        self._rate = check_sample_rate(sample_rate)
        self._options = RenderOptions.of(options, **keywords)
        _kind(self._options.pixels)
        self._live: Live | None = None
        self._voice = _Voice(self._rate)
        self._runner: AvatarRunner | None = None
        self._lock = asyncio.Lock()  # of `aclose`
        self._closing: asyncio.Task[None] | None = None

    @property
    def avatar_identity(self) -> str:
        """The identity of the participant who shows the face: the agent's own."""
        return self._room.local_participant.identity if self._room else _PROVIDER

    @property
    def provider(self) -> str:
        """Who makes the face, as the agent's metrics name it."""
        return _PROVIDER

    async def start(self, agent_session: AgentSession[Any], room: rtc.Room) -> None:
        """Show the face in ``room``, and let the agent speak through it; once.

        Returns when the face is made, which takes seconds for a photo seen for the first time.

        Raises:
            SessionClosedError: it was started before.
            ImageError, FaceNotFoundError, SeveralFacesError, BundleError: as `Avatar`.
        """
        if self._live is not None:
            raise SessionClosedError("this face was started before; make a new AvatarSession")
        self._live, (width, height) = await asyncio.to_thread(self._open)
        await super().start(agent_session, room)
        self._runner = AvatarRunner(
            room,
            audio_recv=self._voice,
            video_gen=_Face(self._live),
            options=AvatarOptions(
                video_width=width,
                video_height=height,
                video_fps=float(self._options.rate),
                audio_sample_rate=self._rate,
                audio_channels=1,
            ),
        )
        self._voice.synchronizer = self._runner.av_sync
        await self._runner.start()
        agent_session.output.replace_audio_tail(self._voice)
        agent_session.on("close", self._on_close)

    async def aclose(self) -> None:
        """Take the face out of the room and end its session; a second call does nothing.

        What is being said counts as interrupted. The agent has no voice after it.
        """
        async with self._lock:
            if self._runner is not None and self._live is not None:
                await self._end(self._runner, self._live)
            await super().aclose()

    def _open(self) -> tuple[Live, tuple[int, int]]:
        """The session, and width and height of its frames."""
        if not isinstance(self._avatar, Avatar):
            self._avatar = Avatar(self._avatar)
        options = self._options
        size = self._avatar.portrait.frame_size(options.frame, options.size)
        return self._avatar.live(options=options), size

    async def _end(self, runner: AvatarRunner, live: Live) -> None:
        agent_session, room = self._agent_session, self._room
        # The base class would remove the participant who shows the face: here that is the agent.
        self._room = None
        live.close()
        self._voice.clear_buffer()
        with suppress(asyncio.TimeoutError):  # of a runner that failed
            await asyncio.wait_for(self._voice.wait_for_playout(), TELLING_S)
        self._runner = None
        if agent_session is not None:
            agent_session.off("close", self._on_close)
            if _last(agent_session.output.audio) is self._voice:
                agent_session.output.audio = None
        if room is not None:
            room.off("connection_state_changed", self._on_connection_state_changed)
        await runner.aclose()
        if room is not None and room.isconnected():
            await _unpublish(room.local_participant)

    def _on_close(self) -> None:
        self._closing = asyncio.create_task(self.aclose())


def _kind(pixels: str) -> rtc.VideoBufferType.ValueType:
    if pixels not in _KINDS:
        raise ParlanteError(f"pixels={pixels!r}; LiveKit takes {', '.join(_KINDS)}")
    return _KINDS[pixels]


def _last(output: AudioOutput | None) -> AudioOutput | None:
    """What plays the sound, at the end of a chain of outputs."""
    while output is not None and output.next_in_chain is not None:
        output = output.next_in_chain
    return output


async def _unpublish(participant: rtc.LocalParticipant) -> None:
    for publication in list(participant.track_publications.values()):
        if publication.name in _TRACKS:
            await participant.unpublish_track(publication.sid)
