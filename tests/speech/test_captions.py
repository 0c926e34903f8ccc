"""Captions: at the times at which sentences are said, by sound whose sentences are known."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlante.app.viewer import speech_of
from parlante.contract import SAMPLE_RATE
from parlante.runtime.bundle import Bundle
from parlante.speech.audio import decode_audio
from parlante.speech.captions import CHUNK_S, LONGEST, captions_of, parts_of
from parlante.speech.voice_activity import probabilities

SAID = {
    "en": (
        "The harbour master looked at the sky for a while.",
        "It will rain before noon, he said, and the boats should stay where they are.",
        "Nobody answered.",
        "So he went back to his little house, and made himself a cup of tea.",
    ),
    "de": (
        "Der Zug nach München hat heute leider zwanzig Minuten Verspätung.",
        "Bitte achten Sie auf die Durchsagen am Gleis.",
        "Vielen Dank für Ihr Verständnis!",
    ),
}


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("pause", [0.35, 0.7])
def test_sentences_begin_and_end_with_their_sound(language: str, pause: float) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng on this machine")
    sound, true, at = [np.zeros(8000, np.float32)], [], 0.5
    for k, sentence in enumerate(SAID[language]):
        spoken = np.concatenate(list(decode_audio(*speech_of(sentence, language))))
        heard = np.flatnonzero(np.abs(spoken) > 0.01)
        spoken = spoken[heard[0] : heard[-1]]
        silence = np.zeros(int(pause * (1 + 0.3 * (-1) ** k) * SAMPLE_RATE), np.float32)
        sound += [spoken, silence]
        true.append((at, at + len(spoken) / SAMPLE_RATE))
        at += (len(spoken) + len(silence)) / SAMPLE_RATE
    session = Bundle.default().session("voice_activity")
    captions = captions_of(" ".join(SAID[language]), probabilities(session, sound))
    assert tuple(c.text for c in captions) == SAID[language]
    made = [(c.begin, c.end) for c in captions]
    np.testing.assert_allclose(made, true, atol=0.15)


def test_without_pauses_letters_say_when() -> None:
    captions = captions_of("One, two. Three.", np.ones(100, np.float32))
    assert [c.text for c in captions] == ["One, two.", "Three."]
    assert captions[0].begin == 0 and captions[1].end == pytest.approx(100 * CHUNK_S)
    # Six of eleven letters.
    assert captions[0].end == captions[1].begin == pytest.approx(100 * CHUNK_S * 6 / 11, abs=0.04)


def test_parts_end_where_a_reader_would_end_them() -> None:
    assert parts_of(' He said: "No!"  Then he  left… Fast. ') == [
        'He said: "No!"',
        "Then he left…",
        "Fast.",
    ]
    assert parts_of("你好。我们走吧！") == ["你好。", "我们走吧！"]
    assert parts_of("不" * 50 + "，" + "好" * 50) == ["不" * 50 + "，", "好" * 50]
    clauses = "a clause of some length, " * 5 + "and the last one."
    assert all(part.endswith((",", ".")) for part in parts_of(clauses))


@given(st.text(), st.lists(st.floats(0, 1), max_size=200))
def test_nothing_is_lost_and_time_goes_on(text: str, speech: list[float]) -> None:
    captions = captions_of(text, np.array(speech, np.float32))
    parts = parts_of(text)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part) <= LONGEST for part in parts)
    if captions:
        assert [c.text for c in captions] == parts
        times = [t for c in captions for t in (c.begin, c.end)]
        assert times == sorted(times)
        assert times[0] >= 0 and times[-1] <= len(speech) * CHUNK_S + 1e-9
    else:
        assert not parts or max(speech, default=0) < 0.5
