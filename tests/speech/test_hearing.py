"""Embeddings of a stream: what it remembers, and for how long."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from parlante import _core
from parlante.contract import (
    EMBEDDING,
    LOOK_AHEAD,
    MEL_BANDS,
    MEL_PER_FRAME,
    MEL_WINDOW,
    SILENCE,
)
from parlante.runtime.bundle import Bundle
from parlante.speech import hearing
from tests.support.portrait_samples import demo_speech


def heard(own: hearing.Hearing, columns: NDArray[np.float32]) -> NDArray[np.float32]:
    steps = range(0, len(columns) - MEL_WINDOW + 1, MEL_PER_FRAME)
    return np.stack([own.next(columns[i : i + MEL_WINDOW]) for i in steps])


def spoken() -> NDArray[np.float32]:
    return _core.log_mel(demo_speech()[:48_000])


def test_silence_changes_nothing() -> None:
    own = hearing.Hearing(Bundle.default(), "cpu", LOOK_AHEAD)
    quiet = np.full((MEL_WINDOW, MEL_BANDS), SILENCE, np.float32)
    for _ in range(60):
        embedding = own.next(quiet)
        assert embedding.shape == (EMBEDDING,) and embedding.dtype == np.float32
        np.testing.assert_allclose(embedding, own.silence, atol=1e-5)


def test_what_was_heard_is_forgotten_when_told() -> None:
    own = hearing.Hearing(Bundle.default(), "cpu", LOOK_AHEAD)
    first = heard(own, spoken())
    assert np.abs(first - own.silence).max() > 0.1
    again = heard(own, spoken())
    assert not np.array_equal(first, again)
    own.reset()
    assert np.array_equal(heard(own, spoken()), first)


def test_memory_that_moves_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """How often it is copied changes nothing."""
    first = heard(hearing.Hearing(Bundle.default(), "cpu", LOOK_AHEAD), spoken())
    monkeypatch.setattr(hearing, "KEPT", hearing.MEMORY + hearing.TOKENS)
    assert np.array_equal(
        heard(hearing.Hearing(Bundle.default(), "cpu", LOOK_AHEAD), spoken()), first
    )
