"""The face of a LiveKit agent (livekit-agents ≥ 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, VideoGenerator

from parlante.session.live import Live


class LiveKitAvatar(VideoGenerator):
    """A `Live` session as the ``video_gen`` of an ``AvatarRunner``."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        if isinstance(frame, AudioSegmentEnd):
            self._live.flush()
        else:
            samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
            self._live.push_audio(samples, frame.sample_rate)

    def clear_buffer(self) -> None:
        self._live.interrupt()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        async for frame in self._live:
            height, width, _ = frame.image.shape
            yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.image.tobytes())
            if frame.spoken:
                yield rtc.AudioFrame(frame.audio.tobytes(), 16_000, 1, len(frame.audio))
            if frame.utterance_end:
                yield AudioSegmentEnd()
