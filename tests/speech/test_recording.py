"""The sound as it came: rate, channels and samples, in one piece however it is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from parlante.errors import AudioError
from parlante.speech.recording import Recording


def noise(shape: tuple[int, ...]) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-20_000, 20_000, shape).astype(np.int16)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_bit_for_bit(tmp_path: Path, rate: int, channels: int) -> None:
    given = noise((rate // 3, channels))
    path = tmp_path / "a.wav"
    soundfile.write(path, given, rate)
    for recording in (Recording(given, rate), Recording(path, None)):
        assert (recording.rate, recording.channels) == (rate, channels)
        taken = [recording.take(n) for n in (1, 0, 700, 1999)]
        taken.append(recording.take(len(given) - 2700 + 50))
        joined = np.concatenate(taken)
        np.testing.assert_array_equal(joined[: len(given)], given)
        assert len(joined) == len(given) + 50 and not joined[len(given) :].any()


def test_floats_and_many_channels(caplog: pytest.LogCaptureFixture) -> None:
    given = noise((1000, 4))
    recording = Recording(given.astype(np.float32) / 32768, 48_000)
    assert recording.channels == 1
    assert "channels are saved as one" in caplog.text
    np.testing.assert_allclose(recording.take(1000)[:, 0], given.mean(1), atol=1)
    mono = Recording(given[:, 0], 48_000)
    np.testing.assert_array_equal(mono.take(1000)[:, 0], given[:, 0])


def test_rates_that_aac_does_not_know() -> None:
    """96 kHz become 48: each channel the tone that it was, at the time that it was."""
    seconds = np.arange(96_000) / 96_000
    tones = np.stack([np.sin(2 * np.pi * hz * seconds) for hz in (440, 1000)], 1) / 2
    recording = Recording(tones, 96_000)
    assert (recording.rate, recording.channels) == (48_000, 2)
    taken = recording.take(48_000) / 32768
    np.testing.assert_allclose(taken[500:-500], tones[::2][500:-500], atol=2e-3)


def test_nothing_to_take(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no samples"):
        Recording(np.zeros(0, np.int16), 16_000)
    with pytest.raises(AudioError):
        Recording(tmp_path / "none.wav", None)
