"""Live sessions: sound arrives in pieces, a face that idles, speaks, and can be interrupted."""

from __future__ import annotations

import asyncio
import atexit
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from threading import Condition, Thread, current_thread
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

import numpy as np

from parlante.contract import SAMPLE_RATE, SAMPLES_PER_FRAME, Samples
from parlante.errors import AudioError, ParlanteError, SessionClosedError, shown
from parlante.options import RenderKeywords, RenderOptions
from parlante.session.engine import Engine, Frame
from parlante.session.intake import NOTHING, Block, Intake
from parlante.session.sounding import Sounding
from parlante.session.taking import Taker
from parlante.speech.audio import check_sample_rate, to_mono

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAX_QUEUED_S = 120  # of speech that waits; a producer that is further ahead gets an AudioError
EXIT_S = 5.0  # that an end waits for a frame or a callback under way
ROOM_S = 0.02  # from one look for room in the queue to the next
LATE = 0.5  # frames: one that is begun so late repeats the picture before
MAX_LATE_S = 1.0  # a session further behind or before its clock than this starts the clock anew

# A thread that still draws when the interpreter ends brings the process down.
_delivering: Final[WeakSet[Live]] = WeakSet()


@atexit.register
def _end_all() -> None:
    for live in list(_delivering):
        live._end()


class Clock(Protocol):
    """What paces a session; `SystemClock`, or a test's own."""

    def now(self) -> float:
        """Seconds from any start. It should not jump; a session goes on where it does."""

    def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed."""


class SystemClock:
    """The machine's monotonic clock."""

    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


@dataclass(frozen=True)
class LiveStatus:
    """How a session is doing.

    frames delivered, of them repeated because time was short; how late the latest frame was begun,
    seconds; speech queued, seconds.
    """

    frames: int
    repeated: int
    late_s: float
    queued_s: float


class Live:
    """A session made by `Avatar.live`: iterate it (``for`` or ``async for``) for `Frame`s.

    With ``realtime`` a frame is due every 1/fps seconds, whether or not there is speech: without,
    the face idles. A frame for which the machine or the consumer is half a frame late, or later,
    repeats the picture before, with its own sound, so picture and sound never part; one more than a
    second late moves the clock, and so does a clock that is put back by more than that. What comes
    out is, bit for bit, `Avatar.speak` of the sound that came out.

    Without ``realtime`` frames are made as soon as there is sound for them, none while there is
    none, and the frames are those of `Avatar.speak`.

    With a ``sound_rate`` frames carry the sound at that rate, not at 16 kHz: bit for bit what was
    pushed, where that was int16, mono, and of that rate.

    Its other methods may be called from any thread; one thread or task at a time may iterate. A
    frame that a cancelled task waited for is the next one's. A context manager, which closes the
    session.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        realtime: bool = True,
        clock: Clock | None = None,
        on_frame: Callable[[Frame], object] | None = None,
        options: RenderOptions | None = None,
        sound_rate: int | None = None,
    ) -> None:
        self._engine, self._options = engine, options or RenderOptions()
        self.pixels = self._options.pixels  # how the frames lie in memory
        self._clock = clock or SystemClock()
        self._changed = Condition()
        rate = None if sound_rate is None else check_sample_rate(sound_rate)
        self.sound_rate = rate or SAMPLE_RATE  # of the frames' sound
        self._intake = Intake(rate)
        self._sounding = None if rate is None else Sounding(rate)
        self._interrupted = self._input_closed = self._closed = False
        self._frames = self._repeated = 0
        self._late = 0.0
        self._taker = Taker(self._paced() if realtime else self._unpaced())
        self._thread: Thread | None = None
        if on_frame is not None:
            if not callable(on_frame):
                raise ParlanteError(
                    f"on_frame={shown(on_frame)}; give a function that takes a Frame"
                )
            self._thread = Thread(target=self._deliver, args=(on_frame,), daemon=True)
            _delivering.add(self)
            self._thread.start()

    def push_audio(self, samples: Samples, sample_rate: int = SAMPLE_RATE) -> None:
        """Queue speech: int16, float32 or float64 [n] or [n, channels], any n and rate.

        Raises:
            AudioError: the samples cannot be used, are longer than two minutes, or two minutes are
                queued already.
            SessionClosedError: after `close` or `close_input`.
        """
        rate = check_sample_rate(sample_rate)
        if np.ndim(samples) and len(samples) > MAX_QUEUED_S * rate:
            raise AudioError(
                f"{len(samples) / rate:.0f} s of speech at once; push pieces of {MAX_QUEUED_S} s "
                "at most, no faster than frames are taken"
            )
        mono = to_mono(samples)
        with self._changed:
            self._check_open()
            if self._full():
                raise AudioError(
                    f"{MAX_QUEUED_S} s of speech are queued already; push no faster than frames "
                    "are taken, or interrupt() first"
                )
            self._intake.push(mono, rate)
            self._changed.notify_all()

    async def room(self) -> None:
        """Wait until `push_audio` takes more, or the session is over."""
        while self._full() and not self._closed:
            await asyncio.sleep(ROOM_S)

    def flush(self) -> None:
        """The utterance is over: what is queued is spoken to its last sample."""
        with self._changed:
            self._check_open()
            self._intake.end_utterance()
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Drop all speech not yet delivered: the next frame has its mouth shut."""
        with self._changed:
            if not self._closed:
                self._intake.clear()
                self._interrupted = True
                self._changed.notify_all()

    def close_input(self) -> None:
        """No more audio will come: the iterator ends after the last frame of what is queued."""
        with self._changed:
            if not (self._closed or self._input_closed):
                self._intake.end_utterance()
                self._input_closed = True
                self._changed.notify_all()

    def close(self) -> None:
        """End the session at once; a second call does nothing.

        Waits for an ``on_frame`` that is under way, at most five seconds; it may return later.
        """
        self._end()

    def change(self, /, **keywords: Unpack[RenderKeywords]) -> None:
        """Change how frames look from now on: gaze, mood, neutral, and the strengths.

        Raises:
            ParlanteError: a value is out of its range, or the option cannot change.
        """
        with self._changed:
            self._options = self._options.changed(**keywords)
            self._engine.change(self._options)

    def status(self) -> LiveStatus:
        """How the session is doing."""
        with self._changed:
            return LiveStatus(
                self._frames, self._repeated, self._late, self._intake.queued / SAMPLE_RATE
            )

    def __iter__(self) -> Iterator[Frame]:
        if self._thread is not None:
            raise SessionClosedError("on_frame gets the frames of this session; leave it out")
        return self

    def __next__(self) -> Frame:
        frame = self._taker.take()
        if frame is None:
            raise StopIteration
        return frame

    def __aiter__(self) -> AsyncIterator[Frame]:
        iter(self)
        return self

    async def __anext__(self) -> Frame:
        frame = await self._taker.wait()
        if frame is None:
            raise StopAsyncIteration
        return frame

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        with self._changed:
            self._closed = True
            self._intake.clear()
            self._changed.notify_all()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(EXIT_S)

    def _check_open(self) -> None:
        if self._closed or self._input_closed:
            raise SessionClosedError("the session takes no more audio; make a new one with live()")

    def _full(self) -> bool:
        return self._intake.queued > MAX_QUEUED_S * SAMPLE_RATE

    # --- frames -----------------------------------------------------------------------------------

    def _paced(self) -> Iterator[Frame]:
        engine, clock = self._engine, self._clock
        timeline = engine.timeline
        ahead = timeline.look_ahead
        engine.take(np.zeros(ahead, np.float32))
        start = clock.now()
        spans: deque[tuple[int, int, bool]] = deque()  # of speech: its samples, and does it end?
        for number in count():
            due = start + timeline.due(number)
            early = due - clock.now()
            if early > timeline.due(1) + MAX_LATE_S:  # the clock was put back
                start -= early
                due -= early
            elif early > 0:
                clock.sleep(early)
            late = max(0.0, clock.now() - due)
            if late > MAX_LATE_S:
                start += late
            begin, end = timeline.begin(number), timeline.begin(number + 1)
            block = NOTHING
            with self._changed:
                interrupted = self._interrupted
                if interrupted:
                    self._drop()
                    engine.take(np.zeros(begin + ahead - engine.received, np.float32))
                    spans.clear()
                # The beginning of a block waits for the rest, unless there will be none.
                if self._intake.queued >= end - begin or self._intake.ends:
                    block = self._intake.take(end - begin)
                if self._closed or (self._input_closed and not (block or spans or self._intake)):
                    return
            if block:
                spans.append((begin + ahead, begin + ahead + len(block.samples), block.over))
            self._begin(block)
            engine.take(np.pad(block.samples, (0, end - begin - len(block.samples))))
            # However late it is, a mouth that is to be shut is not left open.
            repeats = late * timeline.fps >= LATE and not interrupted
            frame = engine.next(engine.received, draw=not repeats)
            assert frame is not None
            spoken, ended = bool(spans) and spans[0][0] < end, False
            while spans and spans[0][1] <= end:
                ended |= spans.popleft()[2]
            yield self._count(replace(frame, spoken=spoken, utterance_end=ended), late, repeats)

    def _unpaced(self) -> Iterator[Frame]:
        engine = self._engine
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._intake or self._interrupted or self._input_closed or self._closed
                )
                if self._closed or (self._input_closed and not self._intake):
                    return
                if self._interrupted:
                    self._drop()
                block = self._intake.take(SAMPLES_PER_FRAME)
            self._begin(block)
            for frame in engine.push(block.samples):
                yield self._count(frame)
                if self._interrupted or self._closed:
                    break
            if block.over and not self._interrupted:
                for frame in engine.flush():
                    yield self._count(frame)
                    if self._interrupted or self._closed:
                        break
                engine.interrupt()  # no silence of the look-ahead before the next utterance

    def _drop(self) -> None:
        """All that was taken before `interrupt`; the lock is held."""
        self._interrupted = False
        self._engine.interrupt()
        if self._sounding is not None:
            self._sounding.drop()

    def _begin(self, block: Block) -> None:
        """A block is given to the engine next."""
        if self._sounding is not None:
            self._sounding.put(self._engine.received, block)

    def _count(self, frame: Frame, late: float = 0.0, repeats: bool = False) -> Frame:
        if self._sounding is not None:
            sound = self._sounding.take(frame.pts + len(frame.audio))
            frame = replace(frame, audio=sound)
        with self._changed:
            self._frames += 1
            self._repeated += repeats
            self._late = late
        return frame

    def _deliver(self, on_frame: Callable[[Frame], object]) -> None:
        try:
            while (frame := self._taker.take()) is not None:
                on_frame(frame)
        finally:
            self.close()
