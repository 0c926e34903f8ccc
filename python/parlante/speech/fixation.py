"""Where eyes rest: they hold a point, jump to another, and hold that."""

from __future__ import annotations

import numpy as np

from parlante.contract import NATIVE_FPS, Float

SHORTEST, LONGEST = 0.4, 3.0  # seconds that a point is held, of somebody who looks at a listener
SPREAD = np.array([0.04, 0.025], np.float32)  # radians to the side and up, standard deviation
FURTHEST = 2.0  # standard deviations


class Fixation:
    """One point after another, each held for its own time, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(key=(seed, 2)))
        self._frames = 0

    def next(self) -> Float:
        """Of the next frame: how far to the side and up of the middle, float32 [2] radians."""
        if self._frames == 0:
            seconds = np.exp(self._random.uniform(np.log(SHORTEST), np.log(LONGEST)))
            self._frames = max(1, round(float(seconds) * float(NATIVE_FPS)))
            drawn = self._random.standard_normal(2, np.float32)
            self._point = SPREAD * np.clip(drawn, -FURTHEST, FURTHEST)
        self._frames -= 1
        return np.asarray(self._point, np.float32)
