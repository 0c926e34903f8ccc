"""A microphone that is always open: utterances are found whole, and who speaks interrupts."""

from __future__ import annotations

import io
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parlante.app.listening import LEAD, PAUSE, Listening
from parlante.app.serve import SOUND_RATE
from parlante.contract import Float
from parlante.errors import AudioError
from parlante.runtime.bundle import Bundle
from tests.app.test_serve import Client, frames, served
from tests.support.portrait_samples import demo_speech

QUIET = 2.0  # seconds around each utterance


class Session:
    """What a session was asked for: an interruption, sound, the end of an utterance, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Float]] = []

    def interrupt(self) -> None:
        self.asked.append(("interrupt", np.zeros(0, np.float32)))

    def push_audio(self, samples: Float, rate: int) -> None:
        self.asked.append(("sound", samples))

    def flush(self) -> None:
        self.asked.append(("flush", np.zeros(0, np.float32)))


def heard(session: Session) -> list[Float]:
    """The utterances, each after an interruption and up to its flush."""
    out: list[list[Float]] = []
    for what, samples in session.asked:
        if what == "interrupt":
            out.append([])
        if what == "sound":
            out[-1].append(samples)
    kinds = [what for what, _ in session.asked if what != "sound"]
    assert kinds == ["interrupt", "flush"] * len(out)
    return [np.concatenate(pieces) for pieces in out]


def scene(rate: int) -> tuple[Float, int, int]:
    """Noise, in which somebody speaks twice: samples, where speech begins, and how long it is."""
    voice = demo_speech()[8_000 : 8_000 + 24_000]
    if rate != 16_000:
        voice = librosa.resample(voice, orig_sr=16_000, target_sr=rate)
    quiet = np.zeros(int(QUIET * rate), np.float32)
    sound = np.concatenate([quiet, voice, quiet, voice, quiet])
    sound += 1e-3 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    return sound, len(quiet), len(voice)


def listen(sound: Float, rate: int, pieces: list[Float]) -> Session:
    session = Session()
    listening = Listening(session, Bundle.default(), rate)  # type: ignore[arg-type]
    for piece in pieces:
        listening.push(piece)
    return session


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([16_000, 48_000, 44_100]), st.integers(100, 5000))
def test_utterances_are_heard_whole(rate: int, length: int) -> None:
    sound, begin, count = scene(rate)
    pieces = [sound[k : k + length] for k in range(0, len(sound), length)]
    utterances = heard(listen(sound, rate, pieces))
    assert len(utterances) == 2
    for number, utterance in enumerate(utterances):
        start = begin + number * (begin + count)
        # Where in the scene it lies: it is a part of it, sample by sample.
        at = next(
            k for k in range(0, len(sound), 1) if np.array_equal(sound[k : k + 50], utterance[:50])
        )
        assert np.array_equal(sound[at : at + len(utterance)], utterance)
        assert start - (LEAD + 0.1) * rate - length <= at <= start
        end = start + count
        assert end <= at + len(utterance) <= end + (PAUSE + 0.3) * rate + length


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.03])
def test_nobody_is_interrupted_by_noise(level: float) -> None:
    noise = np.random.default_rng(1).standard_normal(160_000).astype(np.float32)
    assert not listen(noise, 16_000, np.array_split(level * noise, 100)).asked


def test_a_microphone_that_is_shut_ends_the_utterance() -> None:
    session = Session()
    listening = Listening(session, Bundle.default(), 16_000)  # type: ignore[arg-type]
    listening.end()
    assert not session.asked
    listening.push(demo_speech()[8_000:24_000])
    listening.end()
    assert len(heard(session)) == 1
    listening.end()
    assert session.asked[-1][0] == "flush" and session.asked[-2][0] == "sound"


@pytest.mark.parametrize("rate", [0, 16_000.0, "fast", 10**7])
def test_a_rate_that_is_none(rate: Any) -> None:
    with pytest.raises(AudioError):
        Listening(Session(), Bundle.default(), rate)  # type: ignore[arg-type]


def test_who_speaks_interrupts_the_face() -> None:
    """Through a real socket: the face says a tone until somebody speaks, not while it is noisy."""
    seconds = np.arange(20 * SOUND_RATE) / SOUND_RATE
    tone = 0.25 * np.sin(2 * np.pi * 11_000 * seconds).astype(np.float32)
    soundfile.write(file := io.BytesIO(), tone, SOUND_RATE, format="WAV")
    file.seek(0)
    noise = 1e-3 * np.random.default_rng(2).standard_normal(16_000)
    voice = np.round(demo_speech()[8_000:40_000] * 32767).astype("<i2")

    def tones(got: list[Any]) -> NDArray[np.bool_]:
        """Whether the tone is in a frame's sound."""
        spectrum = np.abs(np.fft.rfft(np.stack([samples for *_, samples in got]) / 32768.0))
        return np.asarray(spectrum[:, 11_000 // 25] > 10)

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            name = (await socket.receive_json())["session"]
            await client.post(f"/speak?session={name}", data=file)
            await socket.send_json({"rate": 16_000, "listen": "speech"})
            for _ in range(200):  # those before it are still to be read
                if tones(await frames(socket, 1)).all():
                    break
            assert tones(await frames(socket, 20)).all()
            for piece in np.array_split(np.round(noise * 32767).astype("<i2"), 20):
                await socket.send_bytes(piece.tobytes())
            assert tones(await frames(socket, 20)).all()
            for piece in np.array_split(voice, 20):
                await socket.send_bytes(piece.tobytes())
            after = await frames(socket, 40)
            assert not tones(after)[20:].any()
            assert any(samples.any() for *_, samples in after[20:])  # what was said is spoken

    served(check)
