"""Prepared clips as they are sent around: smaller, and nearly the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from hypothesis import given, settings
from hypothesis import strategies as st

from models.data import parts
from parlante.contract import SILENCE


def prepared(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "mel": rng.uniform(SILENCE, 8.5, (40, 80)).astype(np.float16),
        "keep": rng.random(10) > 0.2,
        "dropped": "{}",
        "source_landmarks": rng.uniform(-200, 500, (4, 468, 3)).astype(np.float32),
        "aperture": rng.uniform(0, 1, 10).astype(np.float32),
        "identity": rng.normal(size=100).astype(np.float32),
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_parts_round_trip(seed: int) -> None:
    arrays = prepared(seed)
    slim = parts.slim(arrays)
    back = parts.restore(slim)
    assert slim["mel"].dtype == np.uint8
    assert slim["source_landmarks"].dtype == np.int16
    assert set(back) == set(arrays) - {"dropped"}
    # Half a step of an eighth, and float16 at 16 to 32: half of 2^-6, going in and coming out.
    assert np.abs(back["mel"].astype(float) - arrays["mel"]).max() <= 0.0625 + 2 * 2.0**-7
    assert np.abs(back["source_landmarks"] - arrays["source_landmarks"]).max() <= 1 / 128
    assert np.abs(back["aperture"] - arrays["aperture"]).max() <= 2.0**-12
    np.testing.assert_array_equal(back["identity"], arrays["identity"])
    np.testing.assert_array_equal(back["keep"], arrays["keep"])
    for name in ("mel", "source_landmarks", "aperture", "identity", "keep"):
        assert back[name].dtype == arrays[name].dtype, name


def test_parts_clip_what_does_not_fit() -> None:
    arrays = prepared(0)
    arrays["mel"][0, 0], arrays["source_landmarks"][0, 0, 0] = 50, 1e6
    back = parts.restore(parts.slim(arrays))
    assert 8.5 < back["mel"][0, 0] < 9
    assert back["source_landmarks"][0, 0, 0] == pytest.approx(512, abs=0.02)
