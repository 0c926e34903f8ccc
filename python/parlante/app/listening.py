"""A microphone that is always open: only what somebody says reaches the face, and at once."""

from __future__ import annotations

from collections import deque

from parlante._core import Resampler
from parlante.app.utterances import Utterances
from parlante.contract import SAMPLE_RATE, Float
from parlante.runtime.bundle import Bundle
from parlante.session.live import Live
from parlante.speech.audio import check_sample_rate
from parlante.speech.voice_activity import CHUNK, VoiceActivity

BEGINS, GOES_ON = 0.5, 0.3  # probabilities above which somebody begins to speak, and goes on
LEAD = 0.4  # seconds of sound before speech was noticed that belong to it
PAUSE = 0.8  # seconds without speech that end an utterance


class Listening:
    """Gives a session what is said, utterance by utterance.

    Who begins to speak interrupts the face (*barge-in*). Not safe for use from several threads at
    once.
    """

    def __init__(self, live: Live | Utterances, bundle: Bundle, rate: int) -> None:
        """``rate``: of the microphone's samples, Hz.

        Raises:
            AudioError: it is out of its range.
        """
        self._live, self._rate = live, check_sample_rate(rate)
        self._to_networks = None if rate == SAMPLE_RATE else Resampler(rate, SAMPLE_RATE)
        session = bundle.session("voice_activity", threads=1)
        self._voice = VoiceActivity(session, samples_per_frame=CHUNK, look_ahead=0)
        self._kept: deque[Float] = deque()  # what was heard last and not spoken
        self._quiet = PAUSE  # seconds since somebody spoke

    def push(self, samples: Float) -> None:
        """Hear samples float32 [n].

        Raises:
            AudioError, SessionClosedError: as `Live.push_audio`.
        """
        spoken = self._somebody
        self._judge(samples)
        self._kept.append(samples)
        if self._somebody and not spoken:
            self._live.interrupt()
        if self._somebody or spoken:
            while self._kept:
                self._live.push_audio(self._kept.popleft(), self._rate)
            if not self._somebody:
                self._live.flush()
        while sum(map(len, self._kept)) > LEAD * self._rate + len(samples):
            self._kept.popleft()

    def end(self) -> None:
        """The microphone is shut: what was being said is all there is."""
        if self._somebody:
            self._live.flush()
        self._quiet = PAUSE

    @property
    def _somebody(self) -> bool:
        return self._quiet < PAUSE

    def _judge(self, samples: Float) -> None:
        heard = samples if self._to_networks is None else self._to_networks.process(samples)
        for probability in self._voice.judge(heard):
            spoken = probability > (GOES_ON if self._somebody else BEGINS)
            self._quiet = 0.0 if spoken else self._quiet + CHUNK / SAMPLE_RATE
