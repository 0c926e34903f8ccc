"""Speech to motion, streaming: audio samples in, one `Motion` a video frame out.

log-mel → audio encoder → lip decoder (deterministic) and dynamics VAE (drawn), whose head and brows
move more where it is loud (`Emphasis`); where nobody speaks, lips stay shut (`VoiceActivity`). A
frame needs the look-ahead, 160 ms of audio or less, beyond its own end, all of it in the encoder.
Every network is run once a frame, on what depends on the samples alone, so any chunking of the
audio gives the same bits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from parlante import _core
from parlante.contract import (
    BLINK,
    BROWS,
    CONTEXT,
    LIP,
    LOOK_AHEAD,
    MEL_BANDS,
    MEL_PER_FRAME,
    MEL_WINDOW,
    POSE,
    SAMPLES_PER_FRAME,
    SILENCE,
    Float,
)
from parlante.runtime.bundle import Bundle
from parlante.speech.blinks import blinks
from parlante.speech.breath import Breath
from parlante.speech.dynamics import ANYBODY, Dynamics
from parlante.speech.emphasis import Emphasis, loudness
from parlante.speech.fixation import Fixation
from parlante.speech.hearing import Hearing
from parlante.speech.nods import Nods
from parlante.speech.voice_activity import VoiceActivity


@dataclass(frozen=True)
class Motion:
    """What one frame does.

    lip code float32 [16]; pose change float32 [6] from rest (rotation vector, translation in model
    units, log scale); closure float32 [2] of right and left eye, 1 shut; breath: how far the chest
    is lifted, 0 to 1; nod: how far the head is down in a nod, 0 to 1; brows float32 [5]: change of
    `parlante.face.model.BROW_MODES` from rest; gaze float32 [2]: how far the eyes look to the side
    and up of what they look at, radians.
    """

    lip: Float
    pose: Float
    closure: Float
    breath: float = 0.0
    nod: float = 0.0
    brows: Float = field(default_factory=lambda: np.zeros(BROWS, np.float32))
    gaze: Float = field(default_factory=lambda: np.zeros(2, np.float32))


class MotionStream:
    """Turns 16 kHz samples into `Motion`s as they come.

    Not safe for use from several threads at once. ``seed`` decides breath, gaze, pose, blinks and
    brows, the last three in a person's ``manner`` float32 [2, 32] (`parlante.portrait.manner`).
    ``ahead``: frames of sound that have to follow a frame, 1, 2 or 4.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        seed: int = 0,
        manner: Float = ANYBODY,
        device: str = "cpu",
        ahead: int = LOOK_AHEAD,
    ) -> None:
        self._look_ahead = ahead
        self._hearing = Hearing(bundle, device, ahead)
        self._decode = bundle.session("lip_decode", device=device, threads=1)
        # Of a code's change from shut.
        self._opening = bundle.manifest.numbers("lip_decode", "opening", LIP)
        self._shut = bundle.manifest.numbers("lip_decode", "shut", LIP)
        self._dynamics = Dynamics(bundle, seed, manner, device)
        self._breath, self._fixation = Breath(seed), Fixation(seed)
        self._emphasis, self._nods = Emphasis(ahead), Nods(seed)
        self._blinks = blinks()
        next(self._blinks)
        self._voice = VoiceActivity(
            bundle.session("voice_activity", device=device, threads=1),
            samples_per_frame=SAMPLES_PER_FRAME,
            look_ahead=ahead * SAMPLES_PER_FRAME,
        )
        self._embeddings: deque[Float] = deque(maxlen=CONTEXT)
        self._rest = self.hush()

    def hush(self) -> Float:
        """Forget all sound; returns the lip code [16] of silence.

        As if the frame of the next motion began with the next sample after a long silence; head and
        lids go on.
        """
        self._mel = _core.LogMel()
        self._voice.reset()
        self._hearing.reset()
        self._columns: Float = np.full((MEL_WINDOW - MEL_PER_FRAME, MEL_BANDS), SILENCE, np.float32)
        self._embeddings.extend([self._hearing.silence] * CONTEXT)
        self._ahead = 0  # frames of sound beyond the next motion's
        return self._lip()

    def _lip(self) -> Float:
        (lip,) = self._decode.run(["lip"], {"embeddings": np.stack(self._embeddings)[None]})
        return np.asarray(lip[0, 0])

    def push(self, samples: Float) -> list[Motion]:
        """Motions of the frames that ``samples`` float32 [n] complete, in order."""
        samples = np.ascontiguousarray(samples, np.float32)
        self._voice.push(samples)
        columns = self._mel.process(samples)
        self._columns = np.concatenate([self._columns, columns])
        motions = []
        while len(self._columns) >= MEL_WINDOW:
            window = self._columns[:MEL_WINDOW]
            self._embeddings.append(self._hearing.next(window))
            loud = loudness(window[-MEL_PER_FRAME:])
            self._emphasis.hear(loud)
            self._nods.hear(loud)
            self._columns = self._columns[MEL_PER_FRAME:]
            if self._ahead == self._look_ahead:
                motions.append(self._next())
            else:
                self._ahead += 1
        return motions

    def _next(self) -> Motion:
        heard = self._lip()
        opening = float((heard - self._shut) @ self._opening)
        follow = np.float32(self._voice.next(opening))
        lip = self._rest + follow * (heard - self._rest)
        drawn = self._dynamics.next(self._embeddings[-1])
        pose, lids, brows = np.split(drawn, [POSE, POSE + BLINK])
        pose, brows = np.split(self._emphasis.next(np.concatenate([pose, brows])), [POSE])
        # Both eyes are shut by one will (Hering's law); that a fit lost one of them is noise.
        closure = self._blinks.send(float(lids.max()))
        return Motion(
            lip,
            pose,
            np.full(BLINK, closure, np.float32),
            self._breath.next(),
            self._nods.next(follow > 0),
            brows,
            self._fixation.next(),
        )
