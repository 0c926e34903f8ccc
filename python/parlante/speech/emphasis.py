"""Heads and brows move more where speech is louder, and less in its pauses, as people's do."""

from __future__ import annotations

from collections import deque

import numpy as np

from parlante.contract import LOOK_AHEAD, MEL_PER_FRAME, SILENCE, Float

# How fast people's heads turn, of their mean, by how loud they speak, in dB of the loudest: means
# of 177 training people. Heads are two frames ahead of their sound.
LOUDNESS, SPEED = (-45.0, 0.0), (0.65, 1.13)
FALL = 0.04  # dB a frame by which what counts as the loudest falls
RETURN = np.float32(0.04)  # of what is between shown and drawn, made up for in a frame


class Emphasis:
    """Follows the motion that is drawn, faster or slower by how loud the sound is."""

    def __init__(self) -> None:
        silence = np.full((MEL_PER_FRAME, 1), SILENCE, np.float32)
        self._heard = deque([loudness(silence)], LOOK_AHEAD + 1)
        self._loudest = self._heard[0]
        self._drawn: Float | None = None

    def hear(self, columns: Float) -> None:
        """Log-mel float32 [4, 80] of a frame, `LOOK_AHEAD` frames before it is `next`'s."""
        self._heard.append(loudness(columns))

    def next(self, drawn: Float) -> Float:
        """Of the next frame, where ``drawn`` float32 [n] is what was drawn for it."""
        if self._drawn is None:
            self._shown = self._drawn = drawn
        loud = sum(self._heard) / len(self._heard)
        self._loudest = max(loud, self._loudest - FALL)
        speed = np.float32(np.interp(loud - self._loudest, LOUDNESS, SPEED))
        shown = self._shown + speed * (drawn - self._drawn)
        self._shown, self._drawn = shown + RETURN * (drawn - shown), drawn
        return self._shown


def loudness(columns: Float) -> float:
    """Of log-mel columns, in dB."""
    return float(10 * np.log10(np.exp(columns.astype(np.float64)).mean()))
