"""Heads and brows move more where speech is louder, and less in its pauses, as people's do."""

from __future__ import annotations

from collections import deque

import numpy as np

from parlante.contract import SILENCE, Float

# How fast people's heads turn, of their mean, by how loud they speak, in dB of the loudest: means
# of 177 training people. Heads are two frames ahead of their sound.
LOUDNESS, SPEED = (-45.0, 0.0), (0.65, 1.13)
FALL = 0.04  # dB a frame by which what counts as the loudest falls
QUIET = float(10 * SILENCE / np.log(10))  # `loudness` of silence
RETURN = np.float32(0.04)  # of what is between shown and drawn, made up for in a frame


class Emphasis:
    """Follows the motion that is drawn, faster or slower by how loud the sound is."""

    def __init__(self, ahead: int) -> None:
        """``ahead``: frames that were heard after `next`'s."""
        self._heard = deque([QUIET], ahead + 1)
        self._loudest = self._heard[0]
        self._drawn: Float | None = None

    def hear(self, loud: float) -> None:
        """How loud (`loudness`) the next frame is that is heard."""
        self._heard.append(loud)

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
