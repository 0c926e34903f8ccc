"""Log-mel side by side with its peers, in one process.

    pytest benchmarks/bench_log_mel.py --benchmark-columns=median,iqr,ops

Every peer computes log-mel columns of the same signal from the same float32 samples, with its own
defaults for threads. Results are checked before they are timed: the op against librosa in float64,
librosa, scipy and torch against the op. kaldi-native-fbank has no Slaney filters, so only its shape
is checked.
"""

from collections.abc import Callable

import kaldi_native_fbank
import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.counted import count
from parlante._core import LogMel, log_mel

Float32 = NDArray[np.float32]
Peer = Callable[[Float32], Float32]

MEL = librosa.filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=20, fmax=7600)
WINDOW = scipy.signal.get_window("hann", 512).astype(np.float32)
# A column: window, real transform of 512 points, powers, both sides of 80 triangles, logarithms.
COLUMN_FLOP = 512 + 5 * 512 * 9 // 2 + 3 * 257 + 4 * 240 + 25 * 80
TORCH_MEL, TORCH_WINDOW = torch.from_numpy(MEL), torch.from_numpy(WINDOW)


def by_parlante(x: Float32) -> Float32:
    return log_mel(x)


def by_parlante_in_frames(x: Float32) -> Float32:
    """As a live session does it: 640 samples at a time."""
    extractor = LogMel()
    frames = range(0, len(x), 640)
    return np.concatenate([extractor.process(x[i : i + 640]) for i in frames])


def by_librosa(x: Float32) -> Float32:
    padded = np.pad(x, (352, 0))
    power = librosa.feature.melspectrogram(
        y=padded, sr=16000, n_fft=512, hop_length=160, center=False, n_mels=80, fmin=20, fmax=7600
    )
    return np.log(np.maximum(power, 1e-10)).T


def by_scipy(x: Float32) -> Float32:
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, (352, 0)), 512)[::160]
    spectrum = scipy.fft.rfft(frames * WINDOW, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(np.maximum(power @ MEL.T, 1e-10))


def by_torch(x: Float32) -> Float32:
    padded = torch.nn.functional.pad(torch.from_numpy(x), (352, 0))
    spectrum = torch.stft(padded, 512, 160, window=TORCH_WINDOW, center=False, return_complex=True)
    power = spectrum.real**2 + spectrum.imag**2
    return torch.log(torch.clamp(TORCH_MEL @ power, min=1e-10)).T.numpy()


def by_kaldi_native_fbank(x: Float32) -> Float32:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = 16000
    options.frame_opts.frame_length_ms = 32
    options.frame_opts.window_type = "hann"
    options.frame_opts.dither = 0
    options.frame_opts.preemph_coeff = 0
    options.frame_opts.remove_dc_offset = False
    options.mel_opts.num_bins = 80
    options.mel_opts.high_freq = 7600
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(16000, np.pad(x, (352, 0)))
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def in_float64(x: Float32) -> NDArray[np.float64]:
    padded = np.pad(x.astype(np.float64), (352, 0))
    spectrum = librosa.stft(padded, n_fft=512, hop_length=160, center=False, dtype=np.complex128)
    filters = librosa.filters.mel(
        sr=16000, n_fft=512, n_mels=80, fmin=20, fmax=7600, dtype=np.float64
    )
    return np.log(np.maximum(filters @ np.abs(spectrum) ** 2, 1e-10)).T


PEERS: dict[str, Peer] = {
    "parlante": by_parlante,
    "parlante, 640 at a time": by_parlante_in_frames,
    "librosa": by_librosa,
    "scipy": by_scipy,
    "torch": by_torch,
    "kaldi-native-fbank": by_kaldi_native_fbank,
}


def test_log_mel_of_a_frame(benchmark: BenchmarkFixture) -> None:
    """The 640 samples of a video frame, in a stream."""
    x = (0.1 * np.random.default_rng(0).standard_normal(640)).astype(np.float32)
    extractor, columns = LogMel(), np.empty((4, 80), np.float32)
    extractor.process(x)
    extractor.process(x, columns)
    np.testing.assert_allclose(columns, in_float64(np.tile(x, 2))[4:], rtol=0, atol=1e-4)
    count(benchmark, "log_mel, a frame of 40 ms", [x, columns], COLUMN_FLOP * 4)
    benchmark(extractor.process, x, columns)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("seconds", [0.2, 1.0, 11.0, 60.0])
def test_log_mel(benchmark: BenchmarkFixture, seconds: float, name: str) -> None:
    samples = np.random.default_rng(0).standard_normal(round(16000 * seconds))
    x = (0.1 * samples).astype(np.float32)
    peer = PEERS[name]
    columns = peer(x)
    assert columns.shape == (len(x) // 160, 80)
    if name.startswith("parlante"):
        # The budget of the front end.
        np.testing.assert_allclose(columns, in_float64(x), rtol=0, atol=1e-4)
    elif name != "kaldi-native-fbank":
        # Float32 transforms of white noise.
        np.testing.assert_allclose(columns, log_mel(x), rtol=0, atol=1e-3)
    count(benchmark, f"log_mel, {seconds:g} s", [x, columns], COLUMN_FLOP * len(columns))
    benchmark(peer, x)
