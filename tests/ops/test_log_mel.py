"""The log-mel op against librosa in float64."""

import concurrent.futures
import math

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from parlante._core import LogMel, log_mel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# Four units in the last place of the largest value there is, ln(1e-10) = -23; the budget is 1e-4.
TOLERANCE = 4 * float(np.spacing(np.float32(23)))


def reference(x: Float32) -> Float64:
    """Columns of the front end by librosa's float64 transform and filters."""
    if len(x) < 160:
        return np.empty((0, 80))
    padded = np.concatenate([np.zeros(352), x.astype(np.float64)])
    window = signal.get_window("hann", 512, fftbins=True)
    spectrum = librosa.stft(
        padded, n_fft=512, hop_length=160, window=window, center=False, dtype=np.complex128
    )
    filters = librosa.filters.mel(
        sr=16000, n_fft=512, n_mels=80, fmin=20, fmax=7600, norm="slaney", dtype=np.float64
    )
    return np.log(np.maximum(filters @ np.abs(spectrum) ** 2, 1e-10)).T


def noise(seconds: float = 1.0, level: float = 0.1) -> Float32:
    samples = np.random.default_rng(0).standard_normal(round(16000 * seconds))
    return (level * samples).astype(np.float32)


def vowel() -> Float32:
    """A gliding pulse train through three formants, cut at 4 kHz like compressed speech."""
    t = np.arange(16000) / 16000
    pulses = np.diff(np.floor(np.cumsum(120 + 60 * t) / 16000), prepend=0.0)
    for formant, bandwidth in [(700, 80), (1200, 90), (2600, 120)]:
        radius = math.exp(-math.pi * bandwidth / 16000)
        cosine = math.cos(2 * math.pi * formant / 16000)
        pulses = signal.lfilter([1.0], [1.0, -2 * radius * cosine, radius**2], pulses)
    cut = signal.sosfiltfilt(signal.cheby2(12, 90, 4000, fs=16000, output="sos"), pulses)
    return (0.5 * cut / np.abs(cut).max()).astype(np.float32)


def tone(frequency: float, level: float = 0.99) -> Float32:
    return (level * np.sin(2 * np.pi * frequency * np.arange(16000) / 16000)).astype(np.float32)


def impulse() -> Float32:
    x = np.zeros(4000, np.float32)
    x[1234] = 1.0
    return x


SIGNALS = {
    "noise": noise(),
    "faint noise": noise(level=1e-5),
    "noise under the floor": noise(level=1e-12),
    "vowel": vowel(),
    "low tone": tone(93.75),
    "tone between bins": tone(1234.5),
    "tone above the filters": tone(7900),
    "full-scale square wave": np.sign(tone(200)).astype(np.float32),
    "constant": np.ones(4000, np.float32),
    "impulse": impulse(),
    "silence": np.zeros(4000, np.float32),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_matches_librosa(name: str) -> None:
    x = SIGNALS[name]
    actual = log_mel(x)
    assert actual.dtype == np.float32
    assert actual.flags.c_contiguous
    np.testing.assert_allclose(actual, reference(x), rtol=0, atol=TOLERANCE)


@given(st.integers(0, 2**32 - 1), st.integers(160, 2400), st.floats(-6, 0))
@settings(max_examples=40, deadline=None)
def test_matches_librosa_on_any_noise(seed: int, count: int, exponent: float) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, count)
    x = (samples * 10**exponent).astype(np.float32)
    np.testing.assert_allclose(log_mel(x), reference(x), rtol=0, atol=TOLERANCE)


@given(cuts=st.lists(st.integers(0, 6000), max_size=12))
@settings(max_examples=60, deadline=None)
def test_chunks_do_not_change_the_bits(cuts: list[int]) -> None:
    x = SIGNALS["vowel"][:6000]
    extractor = LogMel()
    columns = [extractor.process(chunk) for chunk in np.split(x, sorted(cuts))]
    assert np.concatenate(columns).tobytes() == log_mel(x).tobytes()


@pytest.mark.parametrize("size", [1, 159, 160, 161, 352, 511, 512, 513, 640, 1631])
def test_equal_chunks_do_not_change_the_bits(size: int) -> None:
    x = SIGNALS["noise"][:5000]
    extractor = LogMel()
    columns = [extractor.process(x[i : i + size]) for i in range(0, len(x), size)]
    assert np.concatenate(columns).tobytes() == log_mel(x).tobytes()


def test_a_column_is_ready_with_its_last_sample() -> None:
    extractor = LogMel()
    ready = [len(extractor.process(np.zeros(1, np.float32))) for _ in range(1000)]
    assert [i + 1 for i, count in enumerate(ready) if count] == list(range(160, 1001, 160))
    assert max(ready) == 1


def test_columns_see_no_later_sample() -> None:
    x = noise(0.2)
    changed = x.copy()
    changed[160 * 7 :] = 0.5
    assert log_mel(x)[:7].tobytes() == log_mel(changed)[:7].tobytes()
    assert not np.array_equal(log_mel(x)[7], log_mel(changed)[7])


@pytest.mark.parametrize("count", [0, 1, 159, 160, 319, 320, 1279, 1280, 1281])
def test_column_count(count: int) -> None:
    x = noise()[:count]
    columns = log_mel(x)
    assert columns.shape == (count // 160, 80)
    np.testing.assert_allclose(columns, reference(x), rtol=0, atol=TOLERANCE)


def test_reset_begins_a_new_stream() -> None:
    x = noise(0.3)
    extractor = LogMel()
    extractor.process(x[:1111])
    extractor.reset()
    assert extractor.process(x).tobytes() == log_mel(x).tobytes()


def test_silence_is_the_floor() -> None:
    expected = np.full((10, 80), math.log(1e-10))
    np.testing.assert_allclose(log_mel(np.zeros(1600, np.float32)), expected, rtol=2e-7)


def test_largest_samples_saturate() -> None:
    x = np.full(1600, np.finfo(np.float32).max)
    x[::2] *= -1
    x[::5] = 0
    columns = log_mel(x)
    assert np.isfinite(columns).all()
    assert columns.max() < math.log(np.finfo(np.float32).max)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_samples_are_refused_and_leave_the_stream_as_it_was(value: float) -> None:
    x = noise(0.2)
    bad = x.copy()
    bad[2] = value
    with pytest.raises(ValueError, match="x: expected finite samples"):
        log_mel(bad)
    extractor = LogMel()
    first = extractor.process(x[:1000])
    with pytest.raises(ValueError, match=r"got -?(nan|inf) at index 2"):
        extractor.process(bad)
    columns = np.concatenate([first, extractor.process(x[1000:])])
    assert columns.tobytes() == log_mel(x).tobytes()


def test_columns_go_where_they_are_wanted() -> None:
    x = noise()[:1000]
    columns = np.full((6, 80), np.nan, np.float32)
    assert LogMel().process(x, columns) is columns
    np.testing.assert_array_equal(columns, log_mel(x))
    columns.fill(np.nan)
    assert log_mel(x, out=columns) is columns
    np.testing.assert_array_equal(columns, log_mel(x))
    with pytest.raises(ValueError, match=r"out: expected shape \(6, 80\), got \(5, 80\)"):
        log_mel(x, columns[:5])
    columns.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        log_mel(x, columns)


def test_wrong_arrays() -> None:
    with pytest.raises(TypeError, match="x: expected dtype float32, got int16"):
        log_mel(np.zeros(640, np.int16))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x: expected shape \(any,\), got \(640, 1\)"):
        log_mel(np.zeros((640, 1), np.float32))
    with pytest.raises(ValueError, match="C-contiguous"):
        LogMel().process(np.zeros(640, np.float32)[::2])


def test_streams_in_threads_do_not_disturb_each_other() -> None:
    signals = [noise(level=level) for level in (0.1, 0.2, 0.3, 0.4)]

    def extract(x: Float32) -> Float32:
        extractor = LogMel()
        return np.concatenate([extractor.process(x[i : i + 640]) for i in range(0, len(x), 640)])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for x, columns in zip(signals, pool.map(extract, signals), strict=True):
            assert columns.tobytes() == log_mel(x).tobytes()
