"""The sound of a session as it was pushed, beside the frames that speak it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE
from parlante.session.engine import Frame
from parlante.session.live import Live


@dataclass(frozen=True)
class Piece:
    """Mono sound int16 [n] at ``rate`` Hz; origin: what it came with.

    Without samples, something that follows sound.
    """

    samples: NDArray[np.int16]
    rate: int
    origin: Any = None

    @classmethod
    def of(cls, pcm: bytes | memoryview, rate: int, channels: int, origin: Any = None) -> Piece:
        """Of interleaved int16; channels are averaged."""
        samples = np.frombuffer(pcm, np.int16)
        if channels != 1:
            samples = np.round(samples.reshape(-1, channels).mean(axis=1)).astype(np.int16)
        return cls(samples, rate, origin)

    @property
    def empty(self) -> bool:
        """Whether it has no samples."""
        return not len(self.samples)


class PushedSound:
    """Pushes sound into a `Live` session in real time, and cuts what was pushed to its frames.

    What `cut` gives has the rate of what was pushed.
    At 25 frames a second the cuts are exact; at other rates, whose frames may begin before the
    speech that they begin with, the sound is early by less than a frame. For one event loop.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._pieces: deque[Piece | None] = deque()  # None: an utterance ends here
        self._open = False  # an utterance
        self._owed = Fraction(0)  # seconds spoken and not cut yet: less than a sample
        self._clears = 0
        self._seen = self._stale = 0  # frames cut, and those made before the latest `clear`

    async def push(self, piece: Piece) -> None:
        """Push a piece, as soon as there is room for it; `clear` drops one that waits.

        Raises:
            AudioError, SessionClosedError: as `Live.push_audio`.
        """
        clears = self._clears
        await self._live.room()
        if clears == self._clears:
            self._live.push_audio(piece.samples, piece.rate)
            if len(piece.samples):
                self._pieces.append(piece)
                self._open = True

    def flush(self) -> None:
        """End the utterance; `cut` will tell its end."""
        self._live.flush()
        if self._open:
            self._pieces.append(None)
        self._open = False

    def follow(self, origin: Any) -> bool:
        """Whether there is sound that is not cut yet, after which `cut` will give ``origin``."""
        if self._pieces:
            self._pieces.append(Piece(np.zeros(0, np.int16), SAMPLE_RATE, origin))
        return bool(self._pieces)

    def clear(self) -> list[Piece]:
        """Drop all speech not yet delivered; returns what was to `follow` it."""
        self._live.interrupt()
        self._clears += 1
        following = [piece for piece in self._pieces if piece is not None and piece.empty]
        self._pieces.clear()
        self._open, self._owed = False, Fraction(0)
        # One frame may be under way.
        self._stale = self._live.status().frames + 1
        return following

    def cut(self, frame: Frame) -> tuple[list[Piece], bool]:
        """What was pushed of the next frame's sound, and whether an utterance ends with it.

        Between the pieces are those of what follows them. To be called for every frame, in order.
        """
        self._seen += 1
        if self._seen <= self._stale:
            return [], False
        out: list[Piece] = []
        if frame.spoken:
            self._owed += Fraction(len(frame.audio), SAMPLE_RATE)
        while self._pieces and (piece := self._pieces[0]) is not None:
            length = len(piece.samples)
            count = length if frame.utterance_end else min(length, int(self._owed * piece.rate))
            if count or piece.empty:
                out.append(replace(piece, samples=piece.samples[:count]))
                self._owed -= Fraction(count, piece.rate)
            if count < length:
                self._pieces[0] = replace(piece, samples=piece.samples[count:])
                return out, False
            self._pieces.popleft()
        self._owed = Fraction(0)  # what is pushed later is spoken later
        if frame.utterance_end and self._pieces:
            self._pieces.popleft()
            while self._pieces and (piece := self._pieces[0]) is not None and piece.empty:
                out.append(piece)
                self._pieces.popleft()
        return out, frame.utterance_end
