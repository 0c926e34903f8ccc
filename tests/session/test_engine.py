"""The engine: sound is cut into frames without gap or overlap, as early as can be."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import LOOK_AHEAD, SAMPLES_PER_FRAME
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine, Frame, Renderer
from parlante.session.timeline import Timeline
from parlante.speech.motion import Motion, MotionStream
from tests.support.portrait_samples import demo_speech


class _Count(Renderer):
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
    samples = demo_speech()[:16_000]
    needed = (LOOK_AHEAD + 1) * SAMPLES_PER_FRAME
    assert list(engine.push(samples[: needed - 1])) == []
    assert [f.pts for f in engine.push(samples[needed - 1 : needed])] == [0]
