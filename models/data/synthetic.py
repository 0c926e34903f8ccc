"""Synthetic speech by espeak-ng: many voices and languages, each sound known to the moment.

Nonsense of syllables, read by the rules of each language: no text of anybody's is needed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from parlante._core import Resampler
from parlante.contract import SAMPLE_RATE, Float
from parlante.errors import ParlanteError

# Latin letters tell these how to read; Russian is written in its own.
LANGUAGES = (
    *("de", "es", "it", "pl", "tr", "pt", "id", "sw", "fi"),
    *("en", "fr", "ru", "nl", "sv", "cs", "hu", "ro", "hr"),
)
CYRILLIC = str.maketrans("abdefghiklmnoprstuvz", "абдэфгхиклмнопрстувз")
# Variants of espeak-ng's voices to learn from, and those of `models.evaluate.articulation` that
# nothing is to learn from.
HELD_OUT = ("m2", "m7", "f3", "Annie")
VARIANTS = (
    *("m1", "m3", "m4", "m5", "m6", "m8", "f1", "f2", "f4", "f5"),
    *("Alex", "Alicia", "Andrea", "Andy", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo"),
    *("Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Storm", "adam", "anika"),
    *("antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward"),
    *("grandma", "grandpa", "gustave", "iven", "iven2", "john", "kaukovalta", "klatt", "klatt2"),
    *("klatt4", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro"),
    *("quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "travis", "victor", "zac"),
)
ONSETS = (*"pbmtdnkgspbmtdnkgs", *"fvlrh", "sh", "pr", "tr", "st", "pl", "")
NUCLEI = (*"aeiouaeiouaeiou", "ai", "au", "ei")
CODAS = ("", "", "", "", *"nsmrlptk")
SYLLABLES, WORDS = (1, 4), (1, 9)  # of a word, of a text: at least, and fewer than
PAUSE_SHARE = 0.15  # of the gaps between words that are pauses
PITCHES, SPEEDS = (20, 99), (100, 200)  # of espeak-ng: at least, and below
# Words that the articulation is measured on.
MEASURED = frozenset(
    {f"a{c}a" for c in "pbmtdnkgsfv"} | {f"s{v}s{v}" for v in "aeiou"},
)
PAUSE = "_"  # how names of pauses begin
HOP = 80  # samples: how finely silence is looked for
HUSHED = 0.07  # of the loud parts' level: silence
VOICELESS_STOPS = "ptkcq"
CLOSURE_SAMPLES = 1920  # of silence before a release: at most
# Of a recording: the share that has an echo, how long it lasts, by how much it falls (nepers), its
# level beside the voice; how much the tone of each octave or so differs; the share of those
# of a narrow band, its ends in Hz and its slope in dB an octave; levels of voice and hiss.
ECHO_SHARE, ECHO_S, ECHO_FALL, ECHO_LEVEL = 0.5, (0.08, 0.4), 5.0, (0.2, 0.9)
TONE_KNOTS, TONE_DB = 9, 4.0
BAND_SHARE, BAND_LOW, BAND_HIGH, BAND_SLOPE = 0.3, (60.0, 300.0), (3000.0, 7500.0), 24.0
LEVEL_DB, HISS_DB = (-34.0, -16.0), (-95.0, -55.0)


@dataclass(frozen=True)
class Spoken:
    """samples float32 [n], 16 kHz; phonemes: names of espeak-ng, and when each begins, seconds.

    A stop begins with its closure.
    """

    samples: Float
    phonemes: list[tuple[str, float]] = field(default_factory=list)

    def within_silence(self, seconds: float) -> Spoken:
        """The same with so much silence before and after it, which ends as a pause."""
        later = [(name, at + seconds) for name, at in self.phonemes]
        end = (PAUSE, seconds + len(self.samples) / SAMPLE_RATE)
        return Spoken(
            np.pad(self.samples, round(seconds * SAMPLE_RATE)), [(PAUSE, 0.0), *later, end]
        )


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
    samples = np.concatenate([resampler.process(samples), resampler.flush()])
    return Spoken(samples, with_closures(samples, phonemes))


def with_closures(samples: Float, phonemes: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Phonemes whose voiceless stops begin with their silence.

    espeak-ng counts it to the sound before, and tells of a stop when it is released.
    """
    level = np.sqrt(np.square(samples[: len(samples) // HOP * HOP].reshape(-1, HOP)).mean(1))
    if not len(level):
        return phonemes
    hushed = level < HUSHED * np.quantile(level, 0.9)
    out, before = [], 0.0
    for name, at in phonemes:
        begins = at
        if name[:1] in VOICELESS_STOPS:
            first = last = min(int(at * SAMPLE_RATE) // HOP, len(hushed))
            while first > 0 and hushed[first - 1] and (last - first) * HOP < CLOSURE_SAMPLES:
                first -= 1
            begins = max(before, min(at, first * HOP / SAMPLE_RATE)) if first < last else at
        out.append((name, begins))
        before = at
    return out


def nonsense(rng: np.random.Generator) -> str:
    """A text of made-up words, none of them `MEASURED`; here and there a pause."""
    out = ""
    for _ in range(int(rng.integers(*WORDS))):
        word = ""
        while not word or word in MEASURED:
            count = int(rng.integers(*SYLLABLES))
            word = "".join(str(rng.choice(ONSETS)) + str(rng.choice(NUCLEI)) for _ in range(count))
            word += str(rng.choice(CODAS))
        out += word + (", " if rng.random() < PAUSE_SHARE else " ")
    return out.strip(" ,") + "."


def somebody(rng: np.random.Generator) -> tuple[str, Spoken]:
    """A language of `LANGUAGES`, and what somebody says in it: any of `VARIANTS`, pitch, speed."""
    language = str(rng.choice(LANGUAGES))
    text = nonsense(rng)
    if language == "ru":
        text = text.replace("sh", "ш").translate(CYRILLIC)
    voice = f"{language}+{rng.choice(VARIANTS)}"
    pitch, speed = (int(rng.integers(*span)) for span in (PITCHES, SPEEDS))
    return language, speak(text, voice, pitch=pitch, speed=speed)


def recorded(samples: Float, rng: np.random.Generator) -> Float:
    """The samples as a microphone in a room might hear them: echo, tone, band, and hiss."""
    if rng.random() < ECHO_SHARE:
        length = int(rng.uniform(*ECHO_S) * SAMPLE_RATE)
        fall = np.exp(-ECHO_FALL * np.arange(length) / length)
        echo = rng.standard_normal(length) * fall
        echo *= rng.uniform(*ECHO_LEVEL) / np.sqrt(np.square(echo).sum())
        echo[0] = 1
        size = len(samples) + length
        heard = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size), size)
        samples = heard[: len(samples)].astype(np.float32)
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequencies, 1) / 1000)
    knots = np.linspace(-5, 3, TONE_KNOTS)
    tone = np.interp(octaves, knots, rng.normal(0, TONE_DB, TONE_KNOTS))
    if rng.random() < BAND_SHARE:
        low, high = rng.uniform(*BAND_LOW), rng.uniform(*BAND_HIGH)
        tone -= BAND_SLOPE * (
            np.maximum(np.log2(low / 1000) - octaves, 0)
            + np.maximum(octaves - np.log2(high / 1000), 0)
        )
    spectrum = np.fft.rfft(samples) * 10 ** (tone / 20)
    out = np.fft.irfft(spectrum, len(samples))
    level = rng.uniform(*LEVEL_DB) - 20 * np.log10(max(float(np.sqrt(np.square(out).mean())), 1e-6))
    hiss = 10 ** (rng.uniform(*HISS_DB) / 20) * rng.standard_normal(len(out))
    return np.asarray(out * 10 ** (level / 20) + hiss, np.float32)
