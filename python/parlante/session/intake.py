"""Speech on its way into a live session: at 16 kHz for the networks, and as it came for the ear."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parlante._core import Resampler
from parlante.contract import SAMPLE_RATE, Float

NONE: NDArray[np.int16] = np.zeros(0, np.int16)


@dataclass(frozen=True)
class Block:
    """Consecutive speech of one utterance, which begins (``first``) or ends (``over``) with it.

    samples float32 [n] at 16 kHz; sound int16 [m]: the same at the rate asked for.
    """

    samples: Float
    sound: NDArray[np.int16]
    first: bool = False
    over: bool = False

    def __bool__(self) -> bool:
        return self.over or len(self.samples) > 0


NOTHING = Block(np.zeros(0, np.float32), NONE)


class _Converter:
    """Mono sound of one rate after the other, to one."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler: tuple[int, Resampler] | None = None

    def process(self, samples: Float, rate: int) -> Float:
        """What can be told of ``samples`` at ``rate``, after the rest of those of another rate."""
        rest = self.end() if self._resampler is not None and self._resampler[0] != rate else None
        if rate != self._rate:
            if self._resampler is None:
                self._resampler = rate, Resampler(rate, self._rate)
            samples = self._resampler[1].process(samples)
        samples = samples if rest is None else np.concatenate([rest, samples])
        return np.clip(samples, -1, 1)

    def end(self) -> Float:
        """What was still held back; the next sound has nothing to do with it."""
        resampler, self._resampler = self._resampler, None
        return np.clip(NOTHING.samples if resampler is None else resampler[1].flush(), -1, 1)


@dataclass
class _Utterance:
    """One that waits, or the rest of it; ``taken`` and ``sounded`` count what is gone of both."""

    samples: deque[Float] = field(default_factory=deque)
    sound: deque[NDArray[np.int16]] = field(default_factory=deque)
    taken: int = 0
    sounded: int = 0
    over: bool = False


class Intake:
    """What was pushed and not taken yet. Not safe for use from several threads at once."""

    def __init__(self, sound_rate: int | None) -> None:
        """``sound_rate``: of `Block.sound`, Hz; None where nobody wants it."""
        self._sound_rate = sound_rate
        rates = [SAMPLE_RATE] if sound_rate is None else [SAMPLE_RATE, sound_rate]
        self._converters = [_Converter(rate) for rate in rates]
        self.clear()

    @property
    def ends(self) -> bool:
        """Whether an utterance that has not been taken whole ends in it."""
        return bool(self._utterances) and self._utterances[0].over

    def __bool__(self) -> bool:
        return self.queued > 0 or self.ends

    def push(self, mono: Float, rate: int) -> None:
        """Add speech float32 [n] of a rate to the last utterance, or begin one."""
        self._add(*(converter.process(mono, rate) for converter in self._converters))

    def end_utterance(self) -> None:
        """The last utterance is whole; nothing where it is already."""
        self._add(*(converter.end() for converter in self._converters))
        if self._utterances:
            self._utterances[-1].over = True

    def clear(self) -> None:
        """Drop all of it."""
        for converter in self._converters:
            converter.end()
        self._utterances: deque[_Utterance] = deque()
        self.queued = 0  # samples at 16 kHz

    def take(self, most: int) -> Block:
        """At most ``most`` samples of the first utterance."""
        if not self._utterances:
            return NOTHING
        one = self._utterances[0]
        first = not one.taken
        samples = _first_of(one.samples, most, NOTHING.samples)
        self.queued -= len(samples)
        one.taken += len(samples)
        over = one.over and not one.samples
        due = one.taken * (self._sound_rate or 0) // SAMPLE_RATE - one.sounded
        sound = _first_of(one.sound, sum(map(len, one.sound)) if over else due, NONE)
        one.sounded += len(sound)
        if over:
            self._utterances.popleft()
        return Block(samples, sound, first, over)

    def _add(self, samples: Float, sound: Float = NOTHING.samples) -> None:
        if not len(samples) + len(sound):
            return
        if not self._utterances or self._utterances[-1].over:
            self._utterances.append(_Utterance())
        self._utterances[-1].samples.append(samples)
        self.queued += len(samples)
        if len(sound):
            pcm = np.clip(np.round(sound * np.float32(32768)), -32768, 32767)
            self._utterances[-1].sound.append(pcm.astype(np.int16))


def _first_of(pieces: deque[NDArray[Any]], most: int, nothing: NDArray[Any]) -> NDArray[Any]:
    taken = [nothing]
    while most > 0 and pieces:
        piece = pieces.popleft()
        if len(piece) > most:
            pieces.appendleft(piece[most:])
            piece = piece[:most]
        taken.append(piece)
        most -= len(piece)
    return np.concatenate(taken)
