"""The engine: any chunking of the audio gives the same frames, and the clocks are exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parlante.contract import LOOK_AHEAD, SAMPLES_PER_FRAME
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine, Frame
from parlante.session.timeline import Timeline
from parlante.speech.motion import Motion, MotionStream
from tests.portrait_samples import demo_speech


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


def test_seed_moves_head_and_lids_but_not_lips() -> None:
    samples = speech(2.0)
    one, other = motions([samples], seed=1), motions([samples], seed=2)
    assert all(np.array_equal(a.lip, b.lip) for a, b in zip(one, other, strict=True))
    assert any(not np.array_equal(a.pose, b.pose) for a, b in zip(one, other, strict=True))


class _Count:
    """A renderer that draws nothing but says which motion it was given."""

    def render(self, motion: Motion) -> NDArray[np.uint8]:
        return np.frombuffer(motion.lip.tobytes(), np.uint8).reshape(1, -1, 1).repeat(3, 2)


def frames(samples: NDArray[np.float32], fps: Fraction, chunk: int) -> list[Frame]:
    engine = Engine(MotionStream(Bundle.default()), _Count(), Timeline(fps))
    out = [
        f
        for start in range(0, len(samples), chunk)
        for f in engine.push(samples[start : start + chunk])
    ]
    return out + list(engine.flush())


@pytest.mark.parametrize(
    "fps",
    [Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(30), Fraction(50), Fraction(60)],
)
@pytest.mark.parametrize("length", [1, 639, 640, 641, 16_001])
def test_sound_is_cut_without_gap_or_overlap(fps: Fraction, length: int) -> None:
    samples = (np.arange(length) % 2000 / 4000).astype(np.float32)
    made = frames(samples, fps, 700)
    assert len(made) == -(-length * fps // 16_000)
    joined = np.concatenate([f.audio for f in made])
    expected = np.round(samples * 32768).astype(np.int16)
    assert np.array_equal(joined[:length], expected) and not joined[length:].any()
    assert [f.pts for f in made] == [k * 16_000 // fps for k in range(len(made))]


def test_frames_come_as_early_as_the_look_ahead_allows() -> None:
    engine = Engine(MotionStream(Bundle.default()), _Count())  # type: ignore[arg-type]
    samples = speech(1.0)
    needed = (LOOK_AHEAD + 1) * SAMPLES_PER_FRAME
    assert list(engine.push(samples[: needed - 1])) == []
    assert [f.pts for f in engine.push(samples[needed - 1 : needed])] == [0]
