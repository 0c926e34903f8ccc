"""Pose, lids and brows, drawn window by window by the dynamics VAE (section 2.3 of the paper)."""

from __future__ import annotations

import numpy as np

from parlante.contract import BLINK, BROWS, EMBEDDING, LATENT, POSE, TAIL, WINDOW, Float
from parlante.runtime.bundle import Bundle

# Mean and spread [2, 32] of the latents of everybody; a person's own are their manner.
ANYBODY: Float = np.stack([np.zeros(LATENT), np.ones(LATENT)]).astype(np.float32)
LIMIT = 3.0  # standard deviations of the training people: head and brows never wander further


class Dynamics:
    """Pose, lids and brows from a seeded latent, in the manner float32 [2, 32] of a person."""

    def __init__(self, bundle: Bundle, seed: int, manner: Float, device: str) -> None:
        self._decode = bundle.session("dynamics_decode", device=device, threads=1)
        self._scale = motion_scale(bundle)
        self._manner = manner
        self._random = np.random.Generator(np.random.Philox(seed))
        self._tail = np.zeros((1, TAIL, POSE + BLINK + BROWS), np.float32)
        self._audio = np.zeros((1, TAIL + WINDOW, EMBEDDING), np.float32)
        self._drawn: list[Float] = []
        self._latent = self._draw()

    def _draw(self) -> Float:
        mean, spread = self._manner
        return np.asarray(mean + spread * self._random.standard_normal((1, LATENT), np.float32))

    def next(self, audio: Float) -> Float:
        """Motion [13] of the next frame, whose audio embedding is ``audio`` [128]."""
        position = len(self._drawn)
        self._audio[0, TAIL + position] = audio
        (motion,) = self._decode.run(
            ["motion"], {"latent": self._latent, "tail": self._tail, "audio": self._audio}
        )
        current = motion[0, position]
        np.clip(current, -LIMIT, LIMIT, out=current)
        self._drawn.append(current)
        if len(self._drawn) == WINDOW:
            self._tail[0] = self._drawn[-TAIL:]
            self._audio[0, :TAIL] = self._audio[0, -TAIL:]
            self._audio[0, TAIL:] = 0
            self._drawn = []
            self._latent = self._draw()
        return np.asarray(current * self._scale, np.float32)


def motion_scale(bundle: Bundle) -> Float:
    """What one unit of the VAE's motion stands for: float32 [13], pose, lids and brows."""
    return bundle.manifest.numbers("dynamics_decode", "motion_scale", POSE + BLINK + BROWS)
