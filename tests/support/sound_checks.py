"""What decoded sound has to be like."""

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray


def joined(chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The chunks as one, each of which is what `decode_audio` promises."""
    parts = list(chunks)
    assert all(part.dtype == np.float32 and part.ndim == 1 and part.size for part in parts)
    result = np.concatenate(parts)
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1.0
    return result


def assert_same_signal(decoded: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
    """Same loudness, and no lag: the chirp matches itself best at 0 of -20..20 samples."""
    want = expected[1000:-1000]
    got = {
        lag: decoded[1000 + lag : 1000 + lag + len(want)].astype(np.float64)
        for lag in range(-20, 21)
    }
    assert max(got, key=lambda lag: float(np.dot(got[lag], want))) == 0
    assert np.corrcoef(got[0], want)[0, 1] > 0.99
    # LAME takes 5 % off, against clipping
    assert np.dot(got[0], want) / np.dot(want, want) == pytest.approx(1.0, abs=0.06)
