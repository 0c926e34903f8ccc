"""What a session speaks, utterance by utterance, and the text of the one that is heard."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from parlante.contract import SAMPLE_RATE, Samples
from parlante.session.engine import Frame
from parlante.session.live import Live


class Caption(NamedTuple):
    """A text that is spoken, and the voice that reads it; no text for sound without one."""

    text: str = ""
    voice: str | None = None

    def told(self) -> dict[str, str | None]:
        """As the page is told."""
        return {"caption": self.text} | ({"voice": self.voice} if self.text else {})


SILENT = Caption()


class Utterances:
    """All speech of a session goes through it. Not safe for use from several threads at once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._waiting: deque[Caption] = deque()  # of the utterances that are not over, in order
        self._open = False  # sound belongs to the last of them
        self._dropped = False  # since the latest frame

    def push_audio(self, samples: Samples, rate: int = SAMPLE_RATE) -> None:
        """As `Live.push_audio`."""
        self._live.push_audio(samples, rate)
        if len(samples) and not self._open:
            self._waiting.append(SILENT)
            self._open = True

    def flush(self) -> None:
        """As `Live.flush`."""
        self._live.flush()
        self._open = False

    def interrupt(self) -> None:
        """As `Live.interrupt`."""
        self._live.interrupt()
        self._waiting.clear()
        self._open, self._dropped = False, True

    def say(self, samples: Samples, rate: int, caption: Caption = SILENT) -> None:
        """Speak samples float32 [n], an utterance.

        Raises:
            ParlanteError: too much waits already, or the session is over.
        """
        self.push_audio(samples, rate)
        if self._open:
            self._waiting[-1] = caption
        self.flush()

    def caption(self, frame: Frame) -> Caption:
        """Of what is heard with a frame of the session, which are all to be given, in order."""
        if self._dropped:  # made before the session heard of it
            self._dropped = False
            return SILENT
        heard = self._waiting[0] if frame.spoken and self._waiting else SILENT
        if frame.utterance_end and self._waiting:
            self._waiting.popleft()
        return heard
