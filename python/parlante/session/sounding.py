"""Sound beside the frames of a session, at a rate of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE
from parlante.session.intake import NONE, Block


class Sounding:
    """Speech where it is spoken on the session's clock, which counts at 16 kHz, else silence."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._held = NONE
        self._first = 0  # number of the first sample held
        self._end = self._next = 0  # of what was put: on the clock, and number of the next sample

    def put(self, begin: int, block: Block) -> None:
        """Sound a block from sample ``begin`` of the clock on; what follows another has no seam."""
        follows = begin == self._end and not block.first
        at = self._next if follows else begin * self._rate // SAMPLE_RATE
        self._end, self._next = begin + len(block.samples), at + len(block.sound)
        missing = self._next - self._first - len(self._held)
        self._held = np.pad(self._held, (0, max(0, missing)))
        self._held[at - self._first : self._next - self._first] = block.sound

    def take(self, end: int) -> NDArray[np.int16]:
        """What sounds up to sample ``end`` of the clock, from the end of what was taken before."""
        count = end * self._rate // SAMPLE_RATE - self._first
        taken, self._held = self._held[:count], self._held[count:]
        self._first += count
        return np.pad(taken, (0, count - len(taken)))

    def drop(self) -> None:
        """Nothing of what was put sounds any more."""
        self._held = NONE
