"""The face of a pipecat pipeline (pipecat-ai ≥ 1): between the speech service and the output."""

from __future__ import annotations

import asyncio
from collections import deque

from pipecat.frames import frames as f
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from parlante.adapters.pushed import Piece, PushedSound
from parlante.errors import ParlanteError
from parlante.session.engine import Frame
from parlante.session.live import Live

_MODES = {"rgb": "RGB", "rgba": "RGBA"}  # as Pillow calls them


class PipecatAvatar(FrameProcessor):
    """Takes spoken audio in, gives the pictures and the sound of a `Live` session out.

    In real time; the sound at its own rate, mono, of its own frame class, when it is spoken.
    ``TTSStoppedFrame`` follows the last of the sound, and so does ``EndFrame``, which ends the
    session; ``CancelFrame`` ends it at once.
    """

    def __init__(self, live: Live) -> None:
        super().__init__()
        if live.pixels not in _MODES:
            raise ParlanteError(f"pixels={live.pixels!r}; pipecat takes {', '.join(_MODES)}")
        self._live, self._sound = live, PushedSound(live)
        self._stopped: deque[f.TTSStoppedFrame] = deque()  # of utterances that are not spoken yet
        self._showing: asyncio.Task[None] | None = None

    async def process_frame(self, frame: f.Frame, direction: FrameDirection) -> None:
        """Take one frame of the pipeline; waits while two minutes of speech are queued."""
        await super().process_frame(frame, direction)
        if isinstance(frame, f.TTSAudioRawFrame | f.SpeechOutputAudioRawFrame):
            piece = Piece.of(frame.audio, frame.sample_rate, frame.num_channels, frame)
            await self._sound.push(piece)
            return
        if isinstance(frame, f.TTSStoppedFrame) and self._sound.flush():
            self._stopped.append(frame)
            return
        if isinstance(frame, f.InterruptionFrame):
            self._stopped.clear()
            self._sound.clear()
        elif isinstance(frame, f.EndFrame):
            self._live.close_input()
            await self._shown()
        elif isinstance(frame, f.CancelFrame):
            self._live.close()
            await self._shown()
        await self.push_frame(frame, direction)
        if isinstance(frame, f.StartFrame):
            self._showing = self.create_task(self._show())

    async def cleanup(self) -> None:
        """End the session with the pipeline."""
        self._live.close()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _shown(self) -> None:
        if self._showing is not None:
            await asyncio.wait([self._showing])

    async def _show(self) -> None:
        async for frame in self._live:
            size, mode = (frame.image.shape[1], frame.image.shape[0]), _MODES[self._live.pixels]
            await self.push_frame(f.OutputImageRawFrame(frame.image.tobytes(), size, mode))
            await self._speak(frame)

    async def _speak(self, frame: Frame) -> None:
        pieces, ended = self._sound.cut(frame)
        for piece in pieces:
            came = piece.origin
            # The class says to those downstream that the bot speaks.
            made = type(came)(piece.samples.tobytes(), piece.rate, 1)
            made.transport_destination = came.transport_destination
            if isinstance(came, f.TTSAudioRawFrame):
                made.context_id = came.context_id
            await self.push_frame(made)
        if ended and self._stopped:
            await self.push_frame(self._stopped.popleft())
