"""The face of a pipecat pipeline (pipecat-ai ≥ 1): between the speech service and the output."""

from __future__ import annotations

import asyncio
from collections import deque

from pipecat.frames import frames as f
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from parlante.adapters.pushed import Piece, PushedSound
from parlante.errors import ParlanteError
from parlante.session.live import Live

_MODES = {"rgb": "RGB", "rgba": "RGBA"}  # as Pillow calls them


class PipecatAvatar(FrameProcessor):
    """Takes spoken audio in, gives the pictures and the sound of a `Live` session out.

    In real time; the sound at its own rate, mono, of its own frame class, when it is spoken. The
    face appears when the output is ready, or with the first speech. Frames stay in order: what came
    after speech follows it, unless it has a time of its own (``pts``). So does ``EndFrame``, which
    ends the session; ``CancelFrame`` ends it at once.

    A session that fails pushes an ``ErrorFrame``. Metrics: the time from ``TTSStartedFrame`` until
    the bot is heard.
    """

    def __init__(self, live: Live, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if live.pixels not in _MODES:
            raise ParlanteError(f"pixels={live.pixels!r}; pipecat takes {', '.join(_MODES)}")
        self._live, self._sound = live, PushedSound(live)
        self._due: deque[Piece] = deque()  # of the frame that is shown
        self._ends = False  # whether the end of the speech will be told: frames can wait for it
        self._showing: asyncio.Task[None] | None = None

    def can_generate_metrics(self) -> bool:
        """It can."""
        return True

    async def process_frame(self, frame: f.Frame, direction: FrameDirection) -> None:
        """Take one frame of the pipeline; waits while two minutes of speech are queued."""
        await super().process_frame(frame, direction)
        if isinstance(frame, f.TTSAudioRawFrame | f.SpeechOutputAudioRawFrame):
            await self._push(frame)
            return
        if isinstance(frame, f.TTSStartedFrame):
            await self.start_ttfb_metrics()
        elif isinstance(frame, f.BotStartedSpeakingFrame):
            await self.stop_ttfb_metrics()
        elif isinstance(frame, f.OutputTransportReadyFrame):
            self._appear()
        elif isinstance(frame, f.TTSStoppedFrame):
            self._sound.flush()
        elif isinstance(frame, f.InterruptionFrame):
            await self._interrupt(frame, direction)
            return
        elif isinstance(frame, f.EndFrame):
            self._live.close_input()
            await self._shown()
        elif isinstance(frame, f.CancelFrame):
            self._live.close()
            await self._shown()
        if not self._waits(frame, direction):
            await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """End the session with the pipeline."""
        self._live.close()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _push(self, frame: f.TTSAudioRawFrame | f.SpeechOutputAudioRawFrame) -> None:
        self._appear()
        self._ends = isinstance(frame, f.TTSAudioRawFrame)
        piece = Piece.of(frame.audio, frame.sample_rate, frame.num_channels, frame)
        await self._sound.push(piece)

    async def _interrupt(self, frame: f.InterruptionFrame, direction: FrameDirection) -> None:
        dropped = [*self._due, *self._sound.clear()]
        self._due.clear()
        await self.push_frame(frame, direction)
        for piece in dropped:
            if piece.empty and not piece.origin.interruptible:
                await self.push_frame(piece.origin)

    def _waits(self, frame: f.Frame, direction: FrameDirection) -> bool:
        """Whether a frame follows speech, after which it will be pushed."""
        ordered = direction is FrameDirection.DOWNSTREAM and not isinstance(frame, f.SystemFrame)
        return self._ends and ordered and not frame.pts and self._sound.follow(frame)

    def _appear(self) -> None:
        # Before the output is ready it would queue pictures, and show all of them late from then.
        if self._showing is None:
            self._showing = self.create_task(self._show())

    async def _shown(self) -> None:
        if self._showing is not None:
            await asyncio.wait([self._showing])

    async def _show(self) -> None:
        try:
            async for frame in self._live:
                size, mode = (frame.image.shape[1], frame.image.shape[0]), _MODES[self._live.pixels]
                await self.push_frame(f.OutputImageRawFrame(frame.image.tobytes(), size, mode))
                self._due.extend(self._sound.cut(frame)[0])
                while self._due:
                    await self._speak(self._due.popleft())
        except Exception as error:
            self._live.close()
            what = f"the face cannot be drawn: {error}"
            await self.push_error(what, exception=error, force_treat_as_permanent=True)

    async def _speak(self, piece: Piece) -> None:
        came = piece.origin
        if piece.empty:
            await self.push_frame(came)
            return
        # The class says to those downstream that the bot speaks.
        made = type(came)(piece.samples.tobytes(), piece.rate, 1)
        made.transport_destination = came.transport_destination
        if isinstance(came, f.TTSAudioRawFrame):
            made.context_id = came.context_id
        await self.push_frame(made)
