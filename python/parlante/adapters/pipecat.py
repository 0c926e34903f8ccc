"""The face of a pipecat pipeline (pipecat-ai ≥ 1): between the speech service and the output."""

from __future__ import annotations

import numpy as np
from pipecat.frames import frames as f
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from parlante.session.live import Live


class PipecatAvatar(FrameProcessor):
    """Takes spoken audio in, gives the pictures and sound of a `Live` session out."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live

    async def process_frame(self, frame: f.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, f.TTSAudioRawFrame):
            samples = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
            self._live.push_audio(samples, frame.sample_rate)
            return
        if isinstance(frame, f.TTSStoppedFrame):
            self._live.flush()
        elif isinstance(frame, f.InterruptionFrame):
            self._live.interrupt()
        elif isinstance(frame, f.EndFrame | f.CancelFrame):
            self._live.close()
        await self.push_frame(frame, direction)
        if isinstance(frame, f.StartFrame):
            self.create_task(self._show())

    async def _show(self) -> None:
        async for frame in self._live:
            size = frame.image.shape[1], frame.image.shape[0]
            await self.push_frame(f.OutputImageRawFrame(frame.image.tobytes(), size, "RGB"))
            if frame.spoken:
                await self.push_frame(f.OutputAudioRawFrame(frame.audio.tobytes(), 16_000, 1))
