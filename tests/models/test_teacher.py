"""The teacher's features beside the clip they belong to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from models import sync
from models.data import dataset
from models.train import teacher


@pytest.mark.parametrize("offset", [-1.5, 0.0, 0.25, 3.0])
def test_teacher_features_follow_the_clip(still_clip: dataset.PreparedClip, offset: float) -> None:
    """A feature that tells its own time, in frames, reads the frame's time less the offset."""
    mel = np.arange(80 * 80, dtype=np.float32).reshape(80, 80)
    clip = replace(still_clip, offset=offset, keep=np.ones(20, bool), mel=mel)
    clock = np.repeat(np.arange(40, dtype=np.float32)[:, None] / 2, 384, 1)
    made = teacher.frames_of(clock, clip)
    wanted = np.arange(20)[:, None] + np.repeat([0, 0.5], 384) - offset
    np.testing.assert_allclose(
        made[:, :768] * teacher.FEATURE_SCALE, wanted.clip(0, 19.5), atol=1e-5
    )
    columns = made[:, 768:].reshape(80, 80) * sync.MEL_SCALE + sync.MEL_MEAN
    np.testing.assert_allclose(columns, mel, rtol=1e-5, atol=1e-3)
