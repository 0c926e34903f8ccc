"""Speech to motion, streaming: audio samples in, one `Motion` a video frame out.

log-mel → audio encoder → lip decoder (deterministic) and dynamics VAE (drawn); where nobody speaks,
lips stay shut (`Voice`). A frame needs 160 ms of audio beyond its own end (80 ms in the encoder, 80
ms in the decoder). Every network sees a fixed window whose content depends on the sample count
alone, so any chunking of the audio gives the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parlante import _core
from parlante.bundle import Bundle
from parlante.face_model import Float
from parlante.voice import Voice

SAMPLES_PER_FRAME = 640
MEL_PER_FRAME = 4
MELS = 80
SILENCE = float(np.log(np.float32(1e-10)))
# Mel columns that the encoder sees before and from a frame's first column.
MEL_BEFORE, MEL_AFTER = 9, 8
EMBEDDING = 128
# Embeddings that the lip decoder sees before and after a frame's own.
CONTEXT_BEFORE, CONTEXT_AFTER = 12, 3
POSE, BLINK = 6, 2
TAIL, WINDOW, LATENT = 10, 25, 32
# Drawn closures of resting lids and of lids that have met: people's open eyes are never quite as
# wide as the widest that training measures them against.
LIDS_OPEN, LIDS_SHUT = 0.25, 0.75
# Mean and spread [2, 32] of the latents of everybody; a person's own are their manner.
ANYBODY: Float = np.stack([np.zeros(LATENT), np.ones(LATENT)]).astype(np.float32)
POSE_LIMIT = 3.0  # standard deviations of the training people: a head never wanders further
# Frames of audio that have to follow a frame before it can be drawn.
LOOK_AHEAD = CONTEXT_AFTER + (MEL_AFTER - MEL_PER_FRAME) // MEL_PER_FRAME


@dataclass(frozen=True)
class Motion:
    """What one frame does: lip code float32 [16]; pose change float32 [6] from rest (rotation
    vector, translation in model units, log scale); closure float32 [2] of right and left eye, 1
    shut."""

    lip: Float
    pose: Float
    closure: Float


class _Dynamics:
    """Pose and blink, window by window, from a seeded latent."""

    def __init__(self, bundle: Bundle, seed: int, manner: Float, device: str) -> None:
        self._decode = bundle.session("dynamics_decode", device=device, threads=1)
        self._scale = np.array(
            bundle.manifest.networks["dynamics_decode"]["motion_scale"], np.float32
        )
        self._manner = manner
        self._random = np.random.Generator(np.random.Philox(seed))
        self._tail = np.zeros((1, TAIL, POSE + BLINK), np.float32)
        self._audio = np.zeros((1, TAIL + WINDOW, EMBEDDING), np.float32)
        self._drawn: list[Float] = []
        self._latent = self._draw()

    def _draw(self) -> Float:
        mean, spread = self._manner
        return np.asarray(mean + spread * self._random.standard_normal((1, LATENT), np.float32))

    def next(self, audio: Float) -> Float:
        """Motion [8] of the next frame, whose audio embedding is ``audio`` [128]."""
        position = len(self._drawn)
        self._audio[0, TAIL + position] = audio
        (motion,) = self._decode.run(
            ["motion"], {"latent": self._latent, "tail": self._tail, "audio": self._audio}
        )
        current = motion[0, position]
        current[:POSE] = np.clip(current[:POSE], -POSE_LIMIT, POSE_LIMIT)
        self._drawn.append(current)
        if len(self._drawn) == WINDOW:
            self._tail[0] = self._drawn[-TAIL:]
            self._audio[0, :TAIL] = self._audio[0, -TAIL:]
            self._audio[0, TAIL:] = 0
            self._drawn = []
            self._latent = self._draw()
        return np.asarray(current * self._scale, np.float32)


class MotionStream:
    """Turns 16 kHz samples into `Motion`s as they come.

    Not safe for use from several threads at once. ``seed`` decides pose and blinks, in the
    ``manner`` float32 [2, 32] of a person (`parlante.manner`).
    """

    def __init__(
        self, bundle: Bundle, *, seed: int = 0, manner: Float = ANYBODY, device: str = "cpu"
    ) -> None:
        self._encode = bundle.session("audio_encode", device=device, threads=1)
        self._decode = bundle.session("lip_decode", device=device, threads=1)
        self._dynamics = _Dynamics(bundle, seed, manner, device)
        self._voice = Voice(
            bundle.session("voice_activity", device=device, threads=1),
            samples_per_frame=SAMPLES_PER_FRAME,
            look_ahead=LOOK_AHEAD * SAMPLES_PER_FRAME,
        )
        context = CONTEXT_BEFORE + 1 + CONTEXT_AFTER
        self._embeddings: deque[Float] = deque(maxlen=context)
        silence = self._embed(np.full((MEL_BEFORE + MEL_AFTER, MELS), SILENCE, np.float32))
        self._rest = self._lip([silence] * context)
        self.hush()

    def hush(self) -> Float:
        """Forget all sound, as if the frame of the next motion began with the next sample after a
        long silence; head and lids go on. Returns the lip code [16] of silence."""
        self._mel = _core.LogMel()
        self._voice.reset()
        before = MEL_BEFORE + CONTEXT_BEFORE * MEL_PER_FRAME
        self._columns: NDArray[np.float32] = np.full((before, MELS), SILENCE, np.float32)
        self._embeddings.clear()
        return self._rest

    def _embed(self, columns: Float) -> Float:
        (embedding,) = self._encode.run(["embedding"], {"mel": columns[None]})
        return np.asarray(embedding[0, 0])

    def _lip(self, embeddings: Iterable[Float]) -> Float:
        (lip,) = self._decode.run(["lip"], {"embeddings": np.stack(list(embeddings))[None]})
        return np.asarray(lip[0, 0])

    def push(self, samples: Float) -> list[Motion]:
        """Motions of the frames that ``samples`` float32 [n] complete, in order."""
        samples = np.ascontiguousarray(samples, np.float32)
        self._voice.push(samples)
        columns = self._mel.process(samples)
        self._columns = np.concatenate([self._columns, columns])
        motions = []
        while len(self._columns) >= MEL_BEFORE + MEL_AFTER:
            self._embeddings.append(self._embed(self._columns[: MEL_BEFORE + MEL_AFTER]))
            self._columns = self._columns[MEL_PER_FRAME:]
            if len(self._embeddings) == self._embeddings.maxlen:
                motions.append(self._next())
        return motions

    def _next(self) -> Motion:
        follow = np.float32(self._voice.next())
        lip = self._rest + follow * (self._lip(self._embeddings) - self._rest)
        drawn = self._dynamics.next(self._embeddings[CONTEXT_BEFORE])
        closure = np.clip((drawn[POSE:] - LIDS_OPEN) / (LIDS_SHUT - LIDS_OPEN), 0, 1)
        return Motion(lip, drawn[:POSE], closure)
