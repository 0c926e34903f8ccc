"""What lips do while somebody speaks whose sounds are known: `lesson`.

A *viseme* is what can be seen of a sound: how far lips are open, how rounded they are, and whether
the lower one is under the teeth. Vowels ask for all of it; most consonants only for an opening, and
leave the rest to the vowels around them. Lips that are to meet are asked to in every frame of the
closure, at least in one; those of other consonants never.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.data.synthetic import PAUSE, Spoken, recorded, somebody
from parlante import _core
from parlante.contract import MEL_PER_FRAME, NATIVE_FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float

NOTHING = float("nan")  # asked of lips


@dataclass(frozen=True)
class Viseme:
    """opening: of the inner lips, in widths of the mouth; rounding: −1 spread … 1 rounded.

    tuck: how far the lower lip is under the teeth, 0 to 1. NaN: as the sounds around have it.
    """

    opening: float
    rounding: float = NOTHING
    tuck: float = 0.0


SHUT = Viseme(-0.02)
TEETH = Viseme(0.05, tuck=1.0)
FRONT = Viseme(0.15)
BACK = Viseme(0.18)
HUSH = Viseme(0.14, 0.5)
OPEN = Viseme(0.33, 0.0)
BACK_OPEN = Viseme(0.28, 0.25)
MID = Viseme(0.22, -0.3)
NEUTRAL = Viseme(0.19, 0.0)
SPREAD = Viseme(0.14, -0.7)
ROUND = Viseme(0.2, 0.7)
FRONT_ROUND = Viseme(0.16, 0.8)
NARROW = Viseme(0.12, 1.0)
# By the first letters of espeak-ng's names; the longest that fits. A vowel of several letters is a
# diphthong: one viseme after the other.
VOWELS: dict[str, Viseme] = {
    **dict.fromkeys("aAV&", OPEN),
    "0": BACK_OPEN,
    **dict.fromkeys("eE3", MID),
    "@": NEUTRAL,
    **dict.fromkeys("iI", SPREAD),
    **dict.fromkeys("oO", ROUND),
    **dict.fromkeys("8W2Y", FRONT_ROUND),
    **dict.fromkeys("uUy", NARROW),
}
CONSONANTS: dict[str, Viseme] = {
    **dict.fromkeys("pbmB", SHUT),
    **dict.fromkeys(("f", "v", "VU"), TEETH),
    **dict.fromkeys("tdnlszrcRTDL*", FRONT),
    **dict.fromkeys("kgxhqNQXGHjCJ", BACK),
    **dict.fromkeys(("S", "Z", "tS", "dZ", "sx"), HUSH),
    "w": NARROW,
}
UNROUNDED_Y = ("pl", "ru", "cs", "ro", "pt")  # where espeak-ng calls a vowel like /ɨ/ "y"
MARKS = ":#~-^;_'\"`%|=,"
SHORTEST_PAUSE = 0.12  # seconds, in which lips shut
PART = 0.1  # of a viseme's time, before and after which lips are on their way
CLOSURE = (0.1, 0.75)  # of a stop's time: when its lips meet
AROUND = 0.4  # seconds of silence around a text
SILENT = Viseme(-0.02, 0.0)


@dataclass(frozen=True)
class Lesson:
    """Sound of F frames, and what lips do in it.

    mel float32 [4·F, 80]; opening, rounding and tuck float32 [F]; touch and apart bool [F]: where
    lips have to meet, and where they must not.
    """

    mel: Float
    opening: Float
    rounding: Float
    tuck: Float
    touch: NDArray[np.bool_]
    apart: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.opening)


def visemes_of(name: str, language: str) -> list[Viseme]:
    """What lips do one after the other in a phoneme of espeak-ng's; nothing for what is no sound.

    A pause is `SILENT`.
    """
    if name.startswith(PAUSE):
        return [SILENT]
    for length in range(len(name), 0, -1):
        if name[:length] in CONSONANTS:
            return [CONSONANTS[name[:length]]]
    vowels = name.rstrip(MARKS)
    if len(vowels) > 1:
        vowels = vowels[0] + vowels[1:].rstrip("2")
    if language in UNROUNDED_Y:
        vowels = vowels.replace("y", "i")
    return [VOWELS[letter] for letter in vowels if letter in VOWELS]


def lesson(spoken: Spoken, language: str) -> Lesson:
    """What lips do in ``spoken``; before the first of its sounds they are shut."""
    frames = len(spoken.samples) // SAMPLES_PER_FRAME
    centres = (np.arange(frames) + 0.5) / float(NATIVE_FPS)
    starts = [at for _, at in spoken.phonemes]
    ends = [*starts[1:], len(spoken.samples) / SAMPLE_RATE]
    points = [(0.0, SILENT)]  # when, and what lips do then
    touch, apart = np.zeros(frames, bool), np.zeros(frames, bool)
    for (name, _), start, end in zip(spoken.phonemes, starts, ends, strict=True):
        shapes = visemes_of(name, language)
        if shapes == [SILENT] and end - start < SHORTEST_PAUSE:
            continue
        part = (end - start) / max(len(shapes), 1)
        for k, shape in enumerate(shapes):
            points += held(shape, start + k * part, start + (k + 1) * part)
        if shapes == [SHUT]:
            first, last = (start + share * (end - start) for share in CLOSURE)
            touch |= (centres >= first) & (centres <= last)
            touch[np.abs(centres - (first + last) / 2).argmin()] = True
        elif shapes in ([FRONT], [BACK]):
            apart |= (centres >= start) & (centres < end)
    near = touch | np.r_[touch[1:], False] | np.r_[False, touch[:-1]]
    mel = _core.log_mel(spoken.samples[: frames * SAMPLES_PER_FRAME])[: frames * MEL_PER_FRAME]
    opening, rounding, tuck = (
        track(points, centres, kind) for kind in ("opening", "rounding", "tuck")
    )
    return Lesson(mel, opening, rounding, tuck, touch, apart & ~near)


def held(viseme: Viseme, start: float, end: float) -> list[tuple[float, Viseme]]:
    """When lips get to a viseme, and when they leave it: points in time."""
    if viseme is SHUT:
        return [(start + share * (end - start), viseme) for share in CLOSURE]
    if viseme is SILENT:
        return [(start + SHORTEST_PAUSE / 2, viseme), (end - SHORTEST_PAUSE / 2, viseme)]
    middle, part = (start + end) / 2, PART * (end - start)
    return [(middle - part, viseme), (middle + part, viseme)]


def track(points: list[tuple[float, Viseme]], times: NDArray[np.float64], kind: str) -> Float:
    """One of a viseme's measures at ``times``, straight from each that asks for it to the next."""
    asked = [(at, getattr(viseme, kind)) for at, viseme in points]
    known = [(at, value) for at, value in asked if not np.isnan(value)]
    return np.interp(times, *zip(*known, strict=True)).astype(np.float32)


def lessons(seconds: float, seed: int = 0) -> list[Lesson]:
    """Lessons of ``seconds`` in all, each somebody else's, as microphones hear them."""
    rng = np.random.default_rng(seed)
    out: list[Lesson] = []
    left = seconds
    while left > 0:
        language, spoken = somebody(rng)
        spoken = spoken.within_silence(AROUND)
        out.append(lesson(replace(spoken, samples=recorded(spoken.samples, rng)), language))
        left -= len(out[-1]) / float(NATIVE_FPS)
    return out
