"""A live session as WebRTC tracks (aiortc ≥ 1.9)."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from parlante.contract import SAMPLE_RATE
from parlante.session.engine import Frame
from parlante.session.live import Live

_FORMATS = {"rgb": "rgb24", "bgr": "bgr24", "rgba": "rgba", "nv12": "nv12"}  # as FFmpeg calls them
QUEUE = 8  # frames of a track that nobody fetches; the oldest goes first


class LiveTrack(MediaStreamTrack):
    """Picture or sound of a session; see `tracks`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__()
        self._queue: asyncio.Queue[av.VideoFrame | av.AudioFrame | None] = asyncio.Queue(QUEUE)
        self.feeder: asyncio.Task[None] | None = None

    async def recv(self) -> av.VideoFrame | av.AudioFrame:
        """The next frame, at the session's pace; MediaStreamError after its end."""
        made = await self._queue.get() if self.readyState == "live" else None
        if made is None:
            self.stop()
            raise MediaStreamError
        return made

    def put(self, made: av.VideoFrame | av.AudioFrame | None) -> None:
        """Queue what `recv` gives next, in the place of the oldest where the queue is full."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(made)


def tracks(live: Live) -> tuple[LiveTrack, LiveTrack]:
    """Video and audio track of a session, for ``RTCPeerConnection.addTrack``.

    To be called in a running event loop.
    """
    video, audio = LiveTrack("video"), LiveTrack("audio")
    video.feeder = audio.feeder = asyncio.create_task(_feed(live, video, audio))
    return video, audio


async def _feed(live: Live, video: LiveTrack, audio: LiveTrack) -> None:
    try:
        async for frame in live:
            give(frame, live, video, audio)
    finally:
        video.put(None)
        audio.put(None)


def give(frame: Frame, live: Live, video: LiveTrack, audio: LiveTrack) -> None:
    """Queue a frame of ``live`` on both tracks."""
    picture = av.VideoFrame.from_ndarray(frame.image, _FORMATS[live.pixels])
    sound = av.AudioFrame.from_ndarray(frame.audio[None], "s16", "mono")
    sound.sample_rate = live.sound_rate
    for track, made in ((video, picture), (audio, sound)):
        made.pts, made.time_base = frame.pts, Fraction(1, SAMPLE_RATE)
        track.put(made)
