"""The numbers that `_core` exports are those that the ops go by."""

import math

import numpy as np
import pytest

from parlante import _core


def test_log_mel() -> None:
    columns = _core.log_mel(np.zeros(3 * _core.HOP_LENGTH, np.float32))
    assert columns.shape == (3, _core.MEL_BANDS)
    np.testing.assert_allclose(columns, math.log(_core.MEL_FLOOR), rtol=2e-7)


def test_a_column_sees_a_transform_of_samples() -> None:
    x = np.zeros(10 * _core.HOP_LENGTH, np.float32)
    silent = _core.log_mel(x)
    end = 8 * _core.HOP_LENGTH  # of column 7
    for place, seen in ((end - _core.FFT_SIZE, False), (end - _core.FFT_SIZE // 2, True)):
        clicked = x.copy()
        clicked[place] = 1  # the window is 0 at its first sample
        assert (not np.array_equal(_core.log_mel(clicked)[7], silent[7])) == seen


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_resampler(share: float) -> None:
    resampler = _core.Resampler(int(share * _core.SAMPLE_RATE))
    x = np.zeros(1000, np.float32)
    assert len(resampler.process(x)) + len(resampler.flush()) == 1000 / share


def test_mel_range() -> None:
    """The outermost bands hold a tone inside the range and none outside."""
    time = np.arange(_core.SAMPLE_RATE) / _core.SAMPLE_RATE
    bins = _core.SAMPLE_RATE / _core.FFT_SIZE  # in Hz

    def level(frequency: float, band: int) -> float:
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        return float(_core.log_mel(tone)[50, band])

    assert level(_core.MEL_LOW_HZ + bins, 0) - level(0, 0) > 10
    high = _core.MEL_HIGH_HZ
    assert level(high - 2 * bins, -1) - level(high + 4 * bins, -1) > 10


def test_planes() -> None:
    side, planes = 2 * _core.UNSHUFFLE, _core.PACKED_PLANES
    assert _core.COLOR_PLANES == 3 * _core.UNSHUFFLE**2
    pixels = np.zeros((side, side, 4), np.uint8)
    flow, condition = np.zeros((side, side, 6), np.float32), np.ones((1, planes, 2, 2), np.float32)
    _core.pack(pixels, pixels, flow, condition)
    x0 = np.zeros((1, _core.COLOR_PLANES, 2, 2), np.float32)
    places, bands = np.zeros((1, 2, 3), np.float32), np.zeros((1, 2), np.int32)
    plate, warp = np.zeros((side, side, 3), np.uint8), np.zeros((side, side, 2), np.float32)
    out = np.ones((side, side, 3), np.uint8)
    _core.compose(pixels, plate, warp, x0, condition, None, places, bands, out)
