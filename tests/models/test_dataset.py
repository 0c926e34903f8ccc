"""Prepared clips: sound beside its picture, people apart."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from hypothesis import given
from hypothesis import strategies as st

from models.data import dataset
from parlante.contract import SILENCE


@given(st.integers(-32, 32), st.integers(1, 12), st.integers(0, 60))
def test_align_mel(quarters: int, frames: int, heard: int) -> None:
    mel = np.random.default_rng(0).normal(-7, 4, (heard, 3)).astype(np.float32)
    moved = dataset.align_mel(mel, quarters / 4, frames)
    assert moved.shape == (4 * frames, 3)
    for column in range(4 * frames):
        source = column - quarters
        wanted = mel[source] if 0 <= source < heard else np.float32(SILENCE)
        np.testing.assert_array_equal(moved[column], np.broadcast_to(wanted, 3))


def test_validation_people_are_few_and_fixed() -> None:
    people = [f"person {i}" for i in range(4000)]
    chosen = [p for p in people if dataset.is_validation(p)]
    # 21 of 256 hash values: 8.2 %; five standard errors of a share of 4000.
    assert abs(len(chosen) / 4000 - 21 / 256) < 5 * np.sqrt(0.08 * 0.92 / 4000)
    # In every process, on every machine: the first byte of their SHA-256 is 20 or less.
    assert chosen[:3] == ["person 3", "person 45", "person 53"]
