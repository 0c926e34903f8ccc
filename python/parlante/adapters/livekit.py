"""The face of a LiveKit agent (livekit-agents ≥ 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, VideoGenerator

from parlante.adapters.pushed import Piece, PushedSound
from parlante.errors import ParlanteError
from parlante.session.live import Live

_KINDS = {
    "rgb": rtc.VideoBufferType.RGB24,
    "rgba": rtc.VideoBufferType.RGBA,
    "nv12": rtc.VideoBufferType.NV12,
}


class LiveKitAvatar(VideoGenerator):
    """A `Live` session, in real time, as the ``video_gen`` of an ``AvatarRunner``.

    The sound comes out at the rate at which it was pushed, mono: give ``AvatarOptions`` the rate of
    the agent's voice and one channel.
    """

    def __init__(self, live: Live) -> None:
        if live.pixels not in _KINDS:
            raise ParlanteError(f"pixels={live.pixels!r}; LiveKit takes {', '.join(_KINDS)}")
        self._live, self._sound = live, PushedSound(live)

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Push speech, or the end of it; waits while two minutes are queued."""
        if isinstance(frame, AudioSegmentEnd):
            self._sound.flush()
        else:
            await self._sound.push(Piece.of(frame.data, frame.sample_rate, frame.num_channels))

    def clear_buffer(self) -> None:
        """Drop all speech not yet delivered."""
        self._sound.clear()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        async for frame in self._live:
            height, width = frame.image.shape[:2]
            if self._live.pixels == "nv12":
                height = height * 2 // 3
            yield rtc.VideoFrame(width, height, _KINDS[self._live.pixels], frame.image.tobytes())
            pieces, ended = self._sound.cut(frame)
            for piece in pieces:
                yield rtc.AudioFrame(piece.samples.tobytes(), piece.rate, 1, len(piece.samples))
            if ended:
                yield AudioSegmentEnd()
