"""Nods at what is stressed, for those who want them: people's heads go in no direction with it."""

from __future__ import annotations

from collections import deque

import numpy as np

from parlante.contract import NATIVE_FPS
from parlante.speech.emphasis import QUIET

# A stressed syllable is about as loud as the loudest of what was heard of late.
MEMORY = round(3 * NATIVE_FPS)  # frames
STRESSED = 0.9  # quantile of their loudness
APART = (1.2, 3.0)  # seconds from one nod to the next, at least
DEPTH = (0.5, 1.0)
DOWN, UP = 4, 9  # frames: down while the syllable comes, up again more slowly


class Nods:
    """How far a nod is down, frame by frame, 0 to 1; depth and time apart are by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(key=(seed, 3)))
        self._heard = deque([QUIET] * MEMORY, MEMORY)
        self._frame = DOWN + UP  # of the nod
        self._depth, self._wait = 0.0, 0

    def hear(self, loud: float) -> None:
        """How loud (`parlante.speech.emphasis.loudness`) the next frame is that is heard."""
        self._heard.append(loud)

    def next(self, spoken: bool) -> float:
        """Of the next frame; where nobody has ``spoken``, none begins."""
        self._wait -= 1
        if spoken and self._wait < 0 and self._heard[-1] > np.quantile(self._heard, STRESSED):
            self._frame, self._depth = 0, self._random.uniform(*DEPTH)
            self._wait = round(self._random.uniform(*APART) * float(NATIVE_FPS))
        self._frame += 1
        way = min(self._frame / DOWN, max(1 - (self._frame - DOWN) / UP, 0.0))
        return float(self._depth * way * way * (3 - 2 * way))
