"""Breath: as often and as evenly as people's, and never the same twice."""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from parlante.speech.breath import LONGEST, SHORTEST, Breath

MINUTE = 60 * 25


def test_breaths_of_a_minute() -> None:
    breath = Breath(3)
    lifted = np.array([breath.next() for _ in range(10 * MINUTE)])
    assert lifted[0] == 0 and lifted.min() >= 0 and 0.9 < lifted.max() <= 1
    peaks, _ = find_peaks(lifted)
    assert 60 / LONGEST <= len(peaks) / 10 <= 60 / SHORTEST
    # Nothing jumps, and no two minutes are alike.
    assert np.abs(np.diff(lifted)).max() < 0.08
    assert np.abs(np.corrcoef(lifted[:MINUTE], lifted[MINUTE : 2 * MINUTE])[0, 1]) < 0.5
    assert np.std(np.diff(peaks)) > 5


def test_the_seed_decides() -> None:
    first, again, other = (
        [breath.next() for _ in range(200)] for breath in (Breath(1), Breath(1), Breath(2))
    )
    assert first == again != other
