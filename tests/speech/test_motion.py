"""Motion from speech: any chunking of the sound gives the same."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parlante.contract import FUTURES, LOOK_AHEAD, SAMPLES_PER_FRAME
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion, MotionStream
from tests.support.portrait_samples import demo_speech


def speech(seconds: float) -> NDArray[np.float32]:
    return demo_speech()[: int(seconds * 16_000)]


def motions(chunks: list[NDArray[np.float32]], seed: int = 3) -> list[Motion]:
    stream = MotionStream(Bundle.default(), seed=seed)
    return [motion for chunk in chunks for motion in stream.push(chunk)]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 9000), max_size=12))
def test_motion_does_not_depend_on_chunks(cuts: list[int]) -> None:
    samples = speech(1.5)
    whole = motions([samples])
    pieces = motions(np.split(samples, sorted(min(c * 3, len(samples)) for c in cuts)))
    assert len(whole) == len(pieces) == len(samples) // SAMPLES_PER_FRAME - LOOK_AHEAD
    for a, b in zip(whole, pieces, strict=True):
        for field in ("lip", "pose", "closure"):
            assert np.array_equal(getattr(a, field), getattr(b, field))


def test_lips_are_nearly_the_same_with_less_to_wait_for() -> None:
    """Head and lids are drawn for the same sound, too."""
    samples = speech(4.0)
    streams = {a: MotionStream(Bundle.default(), seed=3, ahead=a).push(samples) for a in FUTURES}
    frames = len(samples) // SAMPLES_PER_FRAME
    assert {a: len(made) for a, made in streams.items()} == {a: frames - a for a in FUTURES}
    lips = {a: np.stack([m.lip for m in made[: frames - 4]]) for a, made in streams.items()}
    moving = lips[LOOK_AHEAD].std(0).argmax()
    for a in (1, 2):
        # A frame early or late it is less.
        alike = [
            np.corrcoef(
                lips[a][2:-2, moving], lips[LOOK_AHEAD][2 + by : len(lips[a]) - 2 + by, moving]
            )[0, 1]
            for by in (-1, 0, 1)
        ]
        assert np.argmax(alike) == 1 and alike[1] > 0.9


def test_seed_moves_head_and_lids_but_not_lips() -> None:
    samples = speech(2.0)
    one, other = motions([samples], seed=1), motions([samples], seed=2)
    assert all(np.array_equal(a.lip, b.lip) for a, b in zip(one, other, strict=True))
    assert any(not np.array_equal(a.pose, b.pose) for a, b in zip(one, other, strict=True))


def test_both_eyes_blink_as_one() -> None:
    """And lids meet: at least once in half a minute both eyes are shut for good."""
    closures = np.stack([m.closure for m in motions([np.tile(speech(2.0), 15)])])
    assert np.array_equal(closures[:, 0], closures[:, 1])
    assert closures.max() == 1
