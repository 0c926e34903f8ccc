"""Where eyes rest: how long, how far, and the same for the same seed."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from parlante.speech.fixation import FURTHEST, LONGEST, SHORTEST, SPREAD, Fixation

MINUTE = 60 * 25


def test_fixations_of_ten_minutes() -> None:
    fixation = Fixation(3)
    points = np.stack([fixation.next() for _ in range(10 * MINUTE)])
    held = [len(list(same)) / 25 for _, same in groupby(map(tuple, points))][:-1]
    assert min(held) >= SHORTEST - 0.02 and max(held) <= LONGEST + 0.02
    assert 30 <= len(held) / 10 <= 60  # jumps a minute
    assert (np.abs(points) <= FURTHEST * SPREAD + 1e-6).all()
    np.testing.assert_allclose(np.abs(points.mean(0)), 0, atol=0.3 * SPREAD.max())


def test_the_seed_decides() -> None:
    drawn = [
        np.stack([fixation.next() for _ in range(200)])
        for fixation in (Fixation(1), Fixation(1), Fixation(2))
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > SPREAD.min()
