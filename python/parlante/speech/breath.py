"""Breath: how far the chest is lifted, frame by frame."""

from __future__ import annotations

import numpy as np

from parlante.contract import NATIVE_FPS

SHORTEST, LONGEST = 3.0, 5.0  # seconds of a breath of somebody who sits and talks
INWARDS = 0.4  # share of it that is spent breathing in


class Breath:
    """One breath after another, each of its own length and depth, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(key=(seed, 1)))
        self._begin()

    def _begin(self) -> None:
        seconds = self._random.uniform(SHORTEST, LONGEST)
        self._frames = round(seconds * float(NATIVE_FPS))
        self._depth = self._random.uniform(0.7, 1.0)
        self._frame = 0

    def next(self) -> float:
        """Of the next frame, 0 (out) to 1 (in)."""
        if self._frame == self._frames:
            self._begin()
        share = self._frame / self._frames
        way = share / INWARDS if share < INWARDS else (1 - share) / (1 - INWARDS)
        self._frame += 1
        return float(self._depth * way * way * (3 - 2 * way))
