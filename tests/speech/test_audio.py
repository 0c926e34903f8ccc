"""Samples of any type, rate and layout become 16 kHz mono."""

import math
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE
from parlante.errors import AudioError
from parlante.speech.audio import check_sample_rate, decode_audio, expected_samples, to_mono
from tests.support.media_samples import chirp
from tests.support.sound_checks import assert_same_signal, joined


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = chirp(1.0, SAMPLE_RATE), 0.5 * chirp(1.0, SAMPLE_RATE, top_hz=700.0)
    stereo = np.stack([left, right], axis=1)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, stereo, SAMPLE_RATE, subtype="FLOAT")
    expected = (stereo.astype(np.float32).astype(np.float64).mean(axis=1)).astype(np.float32)
    np.testing.assert_array_equal(joined(decode_audio(path)), expected)
    surround = np.tile(left[:, None], (1, 6))
    np.testing.assert_allclose(to_mono(surround), left, atol=1e-7)


def test_wav_and_array_give_the_same_bits(tmp_path: Path) -> None:
    pcm = np.round(chirp(1.0, 44100) * 32767).astype(np.int16)
    path = tmp_path / "speech.wav"
    soundfile.write(path, pcm, 44100, subtype="PCM_16")
    np.testing.assert_array_equal(joined(decode_audio(path)), joined(decode_audio(pcm, 44100)))


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 96000, 192000, 768000])
def test_array_rates(rate: int) -> None:
    signal = chirp(0.5, rate, top_hz=1000.0)
    decoded = joined(decode_audio(signal, rate))
    assert len(decoded) == math.ceil(len(signal) * SAMPLE_RATE / rate)
    assert expected_samples(signal, rate) == len(decoded)
    assert_same_signal(decoded, chirp(0.5, SAMPLE_RATE, top_hz=1000.0))


@pytest.mark.parametrize("dtype", ["int16", ">i2", "float32", "float64", ">f4"])
def test_array_types(dtype: str) -> None:
    signal = chirp(0.3, SAMPLE_RATE)
    integer = np.dtype(dtype).kind == "i"
    samples = (signal * 32768).astype(dtype) if integer else signal.astype(dtype)
    before = samples.copy()
    decoded = joined(decode_audio(samples, SAMPLE_RATE))
    np.testing.assert_allclose(decoded, signal, atol=1 / 32768 if integer else 1e-7)
    np.testing.assert_array_equal(samples, before)


@settings(max_examples=40, deadline=None)
@given(
    samples=hnp.arrays(
        np.int16,
        hnp.array_shapes(min_dims=1, max_dims=2, max_side=40),
        elements=st.integers(-32768, 32767),
    ),
    rate=st.sampled_from([8000, 16000, 44100]),
    data=st.data(),
)
def test_strides_and_blocks_do_not_matter(
    samples: NDArray[np.int16], rate: int, data: st.DataObject
) -> None:
    """Whatever the memory layout; and `to_mono` piece by piece is `to_mono` of the whole."""
    mixed = samples.reshape(len(samples), -1).astype(np.float64).mean(axis=1)
    expected = (mixed / 32768).astype(np.float32)
    np.testing.assert_array_equal(to_mono(samples), expected)
    cut = data.draw(st.integers(0, len(samples)))
    pieces = np.concatenate([to_mono(samples[:cut]), to_mono(samples[cut:])])
    np.testing.assert_array_equal(pieces, expected)
    spread = np.repeat(samples, 2, axis=0)[::2]
    backwards = np.ascontiguousarray(samples[::-1])[::-1]
    whole = joined(decode_audio(samples, rate))
    np.testing.assert_array_equal(joined(decode_audio(spread, rate)), whole)
    np.testing.assert_array_equal(joined(decode_audio(np.asfortranarray(backwards), rate)), whole)


def test_long_array_crosses_block_borders_without_a_seam() -> None:
    signal = chirp(3.3, 22050)
    assert_same_signal(joined(decode_audio(signal, 22050)), chirp(3.3, SAMPLE_RATE))


def test_silence_is_allowed(tmp_path: Path) -> None:
    assert not joined(decode_audio(np.zeros(16000, np.int16), 16000)).any()
    path = tmp_path / "silence.flac"
    soundfile.write(path, np.zeros(8000), 8000)
    assert len(joined(decode_audio(path))) == 16000


def test_overshoot_is_clipped_not_refused() -> None:
    assert joined(decode_audio(np.array([1.5, -2.0, 0.25]), 16000)).tolist() == [1.0, -1.0, 0.25]


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        (np.zeros(10, np.int8), 16000, "int8"),
        (np.zeros(10, np.uint8), 16000, "uint8"),
        (np.zeros(10, np.int32), 16000, "int32"),
        (np.zeros(10, np.float16), 16000, "float16"),
        (np.zeros(10, np.complex64), 16000, "complex64"),
        (np.array(["a"], dtype=object), 16000, "object"),
        (np.zeros(10, bool), 16000, "bool"),
        (np.zeros((), np.float32), 16000, r"shape \[\]"),
        (np.zeros((4, 2, 2), np.float32), 16000, r"shape \[4, 2, 2\]"),
        (np.zeros((2, 16000), np.float32), 16000, "transposed"),
        (np.zeros((10, 0), np.float32), 16000, "channels"),
        (np.zeros(0, np.float32), 16000, "0 samples"),
        (np.array([0.0, np.nan]), 16000, "NaN"),
        (np.array([0.0, np.inf], np.float32), 16000, "NaN or infinity"),
        (np.array([0.0, -12000.0], np.float32), 16000, "32768"),
        (np.zeros(10, np.float32), None, "sample_rate"),
        (np.zeros(10, np.float32), 3999, "4000 to 768000"),
        (np.zeros(10, np.float32), 768001, "4000 to 768000"),
        (np.zeros(10, np.float32), -16000, "4000 to 768000"),
        (np.zeros(10, np.float32), 16000.5, "whole number"),
        (np.zeros(10, np.float32), "16000", "whole number"),
        ([0.0, 0.1], 16000, "numpy array"),
        (b"RIFF", None, "bytes"),
        (None, None, "NoneType"),
    ],
)
def test_bad_arrays(samples: Any, rate: Any, says: str) -> None:
    with pytest.raises(AudioError, match=says):
        decode_audio(samples, rate)  # at once, not at the first chunk


def test_numpy_integers_are_rates() -> None:
    assert check_sample_rate(np.int64(44100)) == 44100  # type: ignore[arg-type]
