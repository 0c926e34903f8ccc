"""Synthetic speech by espeak-ng: many voices and languages, each sound known to the moment."""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from parlante._core import Resampler
from parlante.contract import SAMPLE_RATE, Float
from parlante.errors import ParlanteError


@dataclass(frozen=True)
class Spoken:
    """samples float32 [n], 16 kHz; phonemes: names of espeak-ng, and when each begins, seconds."""

    samples: Float
    phonemes: list[tuple[str, float]] = field(default_factory=list)


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8 = 2, 1, 1
_END, _PHONEME = 0, 7
_RATE, _PITCH = 1, 3


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """espeak-ng and its rate, Hz."""
    name = ctypes.util.find_library("espeak-ng")
    if name is None:
        raise ParlanteError("espeak-ng is not installed; it is a package of most systems")
    library = ctypes.CDLL(name)
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
    return library, int(rate)


def speak(text: str, voice: str, *, pitch: int = 50, speed: int = 150) -> Spoken:
    """A text in one of espeak-ng's voices, such as ``de+f2``; speed in words a minute."""
    library, rate = _library()
    sound: list[Float] = []
    phonemes: list[tuple[str, float]] = []

    def take(
        wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]
    ) -> int:
        if wave and count > 0:
            sound.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / 32768)
        at = 0
        while events[at].type != _END:
            if events[at].type == _PHONEME:
                phonemes.append(
                    (events[at].id.decode("utf-8", "ignore"), events[at].audio_position / 1e3)
                )
            at += 1
        return 0

    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ParlanteError(f"espeak-ng has no voice {voice}")
    library.espeak_SetParameter(_RATE, speed, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    given = text.encode()
    library.espeak_Synth(given, len(given) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    samples = np.concatenate(sound) if sound else np.zeros(0, np.float32)
    resampler = Resampler(rate, SAMPLE_RATE)
    return Spoken(np.concatenate([resampler.process(samples), resampler.flush()]), phonemes)
