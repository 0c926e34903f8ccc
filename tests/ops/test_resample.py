"""The resampler against scipy's polyphase filter in float64 and against what band-limited means."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from parlante import _core
from parlante._core import Resampler

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

USUAL_RATES = [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000]
# 44099 and 16001 share no factor with 16000: the filter is interpolated between phases.
ODD_RATES = [4000, 15999, 16001, 44099, 767999, 768000]

# Half the filter in samples of the lower rate: what tests of a steady state leave out at both ends.
REACH = 128


def resample(x: Float32, in_rate: int, out_rate: int = 16000) -> Float32:
    resampler = Resampler(in_rate, out_rate)
    return np.concatenate([resampler.process(x), resampler.flush()])


def tone(frequency: float, rate: int, seconds: float = 0.25, phase: float = 0.3) -> Float64:
    t = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.cos(2 * np.pi * frequency * t + phase)


def steady(y: Float32, in_rate: int, out_rate: int = 16000) -> Float32:
    edge = math.ceil(REACH * out_rate / min(in_rate, out_rate)) + 1
    return y[edge:-edge]


def decibels(ratio: float) -> float:
    return 20 * math.log10(max(ratio, 1e-20))


def rms(x: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


@pytest.mark.parametrize("in_rate", USUAL_RATES)
def test_matches_scipy(in_rate: int) -> None:
    """The same Kaiser design by scipy.signal.firwin and resample_poly, in float64.

    scipy sets the gain at 0 Hz once for all phases, the op once a phase: 1e-5 of the signal.
    """
    common = math.gcd(in_rate, 16000)
    up, down = 16000 // common, in_rate // common
    longest = max(up, down)
    taps = signal.firwin(2 * REACH * longest + 1, 0.975 / longest, window=("kaiser", 10.06126))
    x = np.random.default_rng(0).standard_normal(in_rate // 4).astype(np.float32)
    expected = signal.resample_poly(x.astype(np.float64), up, down, window=taps)
    actual = resample(x, in_rate)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert decibels(rms(actual - expected) / rms(expected)) < -95


@pytest.mark.parametrize("in_rate", USUAL_RATES + ODD_RATES)
@pytest.mark.parametrize("share", [0.011, 0.4, 0.94])
def test_tone_stays_pure_and_in_place(in_rate: int, share: float) -> None:
    """A tone in the passband comes out as the same tone at the same times: no delay, no noise."""
    frequency = share * min(in_rate, 16000) / 2
    y = resample(tone(frequency, in_rate).astype(np.float32), in_rate)
    expected = tone(frequency, 16000)[: len(y)]
    error = steady(y[: len(expected)] - expected, in_rate)
    assert decibels(rms(error) / rms(expected)) < -90


@pytest.mark.parametrize("in_rate", [rate for rate in USUAL_RATES + ODD_RATES if rate > 16010])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_nothing_aliases(in_rate: int, share: float) -> None:
    frequency = 8000 + share * (in_rate / 2 - 8000)
    y = resample(tone(frequency, in_rate).astype(np.float32), in_rate)
    assert decibels(rms(steady(y, in_rate)) / rms(tone(frequency, in_rate))) < -90


@pytest.mark.parametrize("in_rate", [8000, 11025])
def test_no_images_when_the_rate_rises(in_rate: int) -> None:
    frequency = 0.4 * in_rate
    y = steady(resample(tone(frequency, in_rate).astype(np.float32), in_rate), in_rate)
    spectrum = np.abs(np.fft.rfft(y * np.blackman(len(y)))) / len(y)
    above = np.fft.rfftfreq(len(y), 1 / 16000) > in_rate / 2
    assert decibels(spectrum[above].max() / spectrum.max()) < -90


@pytest.mark.parametrize("in_rate", USUAL_RATES + ODD_RATES)
def test_constant_stays_constant(in_rate: int) -> None:
    y = steady(resample(np.full(in_rate // 4, 0.75, np.float32), in_rate), in_rate)
    np.testing.assert_allclose(y, 0.75, rtol=2e-6)


@pytest.mark.parametrize("in_rate", [8000, 32000, 44100, 48000, 44099])
def test_impulse_response_is_symmetric_about_its_time(in_rate: int) -> None:
    # The inputs on which an output lies are this far apart.
    step = in_rate // math.gcd(in_rate, 16000)
    x = np.zeros(2 * in_rate, np.float32)
    index = in_rate // step * step
    x[index] = 1.0
    y = resample(x, in_rate)
    middle = index * 16000 // in_rate
    assert int(np.argmax(y)) == middle
    before, after = y[middle - 300 : middle], y[middle + 1 : middle + 301]
    np.testing.assert_allclose(before[::-1], after, atol=1e-7)


def test_equal_rates_change_nothing() -> None:
    x = np.random.default_rng(1).standard_normal(1001).astype(np.float32)
    resampler = Resampler(16000)
    assert resampler.process(x).tobytes() == x.tobytes()
    assert resampler.flush().shape == (0,)


@given(
    in_rate=st.integers(4000, 60000) | st.sampled_from([8000, 44100, 48000]),
    out_rate=st.sampled_from([8000, 16000, 48000]),
    count=st.integers(0, 3000),
)
@settings(max_examples=60, deadline=None)
def test_output_count(in_rate: int, out_rate: int, count: int) -> None:
    y = resample(np.zeros(count, np.float32), in_rate, out_rate)
    assert y.shape == (-(-count * out_rate // in_rate),)
    assert not y.any()


@given(
    in_rate=st.sampled_from([8000, 11025, 16000, 44100, 48000, 44099]),
    cuts=st.lists(st.integers(0, 9000), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_chunks_do_not_change_the_bits(in_rate: int, cuts: list[int]) -> None:
    x = np.random.default_rng(2).standard_normal(9000).astype(np.float32)
    resampler = Resampler(in_rate)
    pieces = [resampler.process(chunk) for chunk in np.split(x, sorted(cuts))]
    streamed = np.concatenate([*pieces, resampler.flush()])
    assert streamed.tobytes() == resample(x, in_rate).tobytes()


def test_sample_by_sample() -> None:
    x = np.random.default_rng(3).standard_normal(400).astype(np.float32)
    resampler = Resampler(24000)
    pieces = [resampler.process(x[i : i + 1]) for i in range(len(x))]
    streamed = np.concatenate([*pieces, resampler.flush()])
    assert streamed.tobytes() == resample(x, 24000).tobytes()


@pytest.mark.parametrize("in_rate", [8000, 16000, 48000])
def test_look_ahead_is_at_most_half_the_filter(in_rate: int) -> None:
    x = np.zeros(in_rate, np.float32)
    waiting = 16000 - len(Resampler(in_rate).process(x))
    assert waiting <= REACH * 16000 / min(in_rate, 16000)


@pytest.mark.parametrize("in_rate", [16000, 44100])
def test_flush_and_reset_begin_a_new_stream(in_rate: int) -> None:
    x = np.random.default_rng(4).standard_normal(5000).astype(np.float32)
    fresh = resample(x, in_rate)
    resampler = Resampler(in_rate)
    resampler.process(x[:1234])
    resampler.reset()
    for _ in range(2):
        again = np.concatenate([resampler.process(x), resampler.flush()])
        assert again.tobytes() == fresh.tobytes()


def test_empty_and_single_sample() -> None:
    resampler = Resampler(48000)
    assert resampler.process(np.empty(0, np.float32)).shape == (0,)
    assert resampler.flush().shape == (0,)
    assert resample(np.ones(1, np.float32), 48000).shape == (1,)
    assert resample(np.ones(1, np.float32), 8000).shape == (2,)


def test_large_samples_stay_finite() -> None:
    x = np.random.default_rng(5).choice([-1e30, 1e30], 2000).astype(np.float32)
    assert np.isfinite(resample(x, 44100)).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_samples_are_refused_and_leave_the_stream_as_it_was(value: float) -> None:
    x = np.random.default_rng(6).standard_normal(3000).astype(np.float32)
    bad = x.copy()
    bad[17] = value
    resampler = Resampler(44100)
    first = resampler.process(x[:1000])
    with pytest.raises(
        ValueError, match=r"x: expected finite samples, got -?(nan|inf) at index 17"
    ):
        resampler.process(bad)
    rest = [resampler.process(x[1000:]), resampler.flush()]
    assert np.concatenate([first, *rest]).tobytes() == resample(x, 44100).tobytes()


@pytest.mark.parametrize("rates", [(3999, 16000), (768001, 16000), (0, 16000), (16000, 0)])
def test_rates_out_of_range(rates: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected 4000 to 768000 Hz, got"):
        Resampler(*rates)


def test_wrong_arrays() -> None:
    resampler = Resampler(48000)
    with pytest.raises(TypeError, match="x: expected dtype float32, got float64"):
        resampler.process(np.zeros(10))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x: expected shape \(any,\), got \(10, 2\)"):
        resampler.process(np.zeros((10, 2), np.float32))
    with pytest.raises(ValueError, match="C-contiguous"):
        resampler.process(np.zeros(20, np.float32)[::2])
    with pytest.raises(TypeError):
        resampler.process([0.0, 1.0])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Resampler, _core.LogMel])
def test_an_object_that_was_never_begun(kind: Any) -> None:
    class Own(kind):  # type: ignore[misc]
        """Of a class of one's own it is the same."""

    x = np.zeros(1000, np.float32)
    for one in (kind.__new__(kind), Own.__new__(Own)):
        for act in (lambda one=one: one.process(x), one.reset):
            with pytest.raises(TypeError, match="incompatible function arguments"):
                act()
    rates = (8000,) if kind is Resampler else ()
    assert Own(*rates).process(x).tobytes() == kind(*rates).process(x).tobytes()
    with pytest.raises(TypeError):
        kind.process("no stream", x)
