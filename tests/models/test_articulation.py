"""Synthetic speech with known sounds, and what the lips of the built-in networks make of it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from models.data.synthetic import speak
from models.evaluate.articulation import Voice, articulation, shares, words
from parlante.errors import ParlanteError
from parlante.runtime.bundle import Bundle

pytestmark = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng")


def test_sounds_are_where_they_are_said_to_be() -> None:
    """The hiss of "asa" has its power high up, its vowels low down."""
    spoken = speak("asa", "es+m1")
    names = [name for name, _ in spoken.phonemes]
    starts = [at for _, at in spoken.phonemes] + [len(spoken.samples) / 16_000]
    assert len(names) >= 3 and sorted(starts) == starts

    def brightness(k: int) -> float:
        first, last = (round(at * 16_000) for at in starts[k : k + 2])
        power = np.abs(np.fft.rfft(spoken.samples[first:last])) ** 2
        frequencies = np.fft.rfftfreq(last - first, 1 / 16_000)
        return float((power * frequencies).sum() / max(power.sum(), 1e-9))

    hiss = max(range(len(names)), key=brightness)
    assert names[hiss] == "s" and brightness(hiss) > 3 * brightness(names.index("a"))
    with pytest.raises(ParlanteError, match="no voice"):
        speak("a", "nowhere+m1")


def test_lips_follow_a_voice() -> None:
    voice, bundle = Voice("de", "m4", 45), Bundle.default()
    (mama,) = words(voice, bundle, ["mama"])
    opening = {sound.name[0]: sound.opening.mean() for sound in mama}
    assert opening["a" if "a" in opening else "A"] > opening["m"]
    right = articulation(voice, bundle)
    assert len(right["meet"]) == 3 and len(right["apart"]) == 6
    assert shares([(voice, right)])["meet"] >= 2 / 3
