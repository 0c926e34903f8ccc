"""Is somebody speaking? Lips follow speech, not music, noise or animals."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
import onnxruntime

from parlante.contract import Float

CHUNK = 512  # samples at 16 kHz that one run judges
BEFORE = 64  # samples before them that it sees, too
STATE = (2, 1, 128)
# Probabilities of speech below and above which lips do not and do follow: as low as noise and most
# music allow, so that the beginning of speech is not missed.
NOBODY, SOMEBODY = 0.06, 0.3
# How far lips would open, in widths of the mouth, that they follow though nobody was heard yet: a
# detector needs a moment, and neither noise nor music opens lips so far.
AJAR, OPEN = 0.3, 0.4
HOLD = 8000  # samples that lips still follow the sound after speech
FADE = 1 / 3  # of a frame's change


class VoiceActivity:
    """How far lips follow the sound, frame by frame, 0 to 1; by Silero VAD (Silero Team, MIT).

    A frame follows when there is speech in its own samples, in those of the look-ahead or in the
    half second before, or when lips would open wide in it or in that half second. Not safe for use
    from several threads at once.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, *, samples_per_frame: int, look_ahead: int
    ) -> None:
        """Begin a stream.

        session: the bundle's ``voice_activity``; look_ahead: samples after a frame's own that have
        been pushed when `next` is called for it.
        """
        self._run = session.run
        self._frame, self._ahead = samples_per_frame, look_ahead
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the next sample."""
        self._state = np.zeros(STATE, np.float32)
        self._samples: Float = np.zeros(BEFORE, np.float32)  # not judged yet
        self._speech: list[float] = []  # probabilities, a chunk each
        self._first = 0  # number of the first chunk still held
        self._start = 0  # first sample of the next frame
        self._follow: float | None = None
        self._openings = deque([0.0], maxlen=1 + HOLD // self._frame)

    def push(self, samples: Float) -> None:
        """Hear samples float32 [n]."""
        self._speech += self.judge(samples)

    def judge(self, samples: Float) -> list[float]:
        """Probability of speech in each 512 samples that ``samples`` float32 [n] complete."""
        judged = []
        self._samples = np.concatenate([self._samples, samples])
        while len(self._samples) >= BEFORE + CHUNK:
            seen = {"input": self._samples[None, : BEFORE + CHUNK], "state": self._state}
            probability, self._state = self._run(["output", "stateN"], seen)
            judged.append(float(probability[0, 0]))
            self._samples = self._samples[CHUNK:]
        return judged

    def next(self, opening: float) -> float:
        """Of the next frame, where following lips would open by ``opening``, mouth widths."""
        end = (self._start + self._frame + self._ahead) // CHUNK
        begin = max(0, self._start - HOLD) // CHUNK
        del self._speech[: begin - self._first]
        self._first = begin
        heard = max(self._speech[: end - begin], default=0.0)
        self._openings.append(opening)
        wanted = max(_between(heard, NOBODY, SOMEBODY), _between(max(self._openings), AJAR, OPEN))
        before = wanted if self._follow is None else self._follow
        self._follow = before + min(max(wanted - before, -FADE), FADE)
        self._start += self._frame
        return self._follow


def _between(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high`` on."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def probabilities(session: onnxruntime.InferenceSession, sound: Iterable[Float]) -> Float:
    """That somebody speaks: float32 [n], of each whole 512 samples of ``sound``, 16 kHz, in parts.

    session: the bundle's ``voice_activity``.
    """
    activity = VoiceActivity(session, samples_per_frame=CHUNK, look_ahead=0)
    return np.array([p for samples in sound for p in activity.judge(samples)], np.float32)
