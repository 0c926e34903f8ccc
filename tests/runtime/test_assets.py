"""The photo and the voice that ship with the package."""

import numpy as np
import soundfile

from parlante.media.photo import load_image
from parlante.runtime.assets import asset
from parlante.speech.audio import decode_audio

DEMO = asset("demo")


def test_portrait() -> None:
    photo = load_image((DEMO / "portrait.jpg").read_bytes())
    assert photo.rgb.shape == (352, 352, 3)
    assert photo.alpha is None
    assert 60 < photo.rgb.mean() < 200


def test_speech() -> None:
    path = str(DEMO / "speech.flac")
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    samples = np.concatenate(list(decode_audio(path)))
    assert 5 * 16000 <= len(samples) <= 8 * 16000
    assert abs(20 * np.log10(np.abs(samples).max()) + 3) < 0.01
    loudness = np.sqrt((samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1))
    assert np.percentile(loudness, 95) / np.percentile(loudness, 10) > 10  # speech, with pauses
