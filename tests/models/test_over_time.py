"""What happens over time: blinks, turns, flicker, lips that meet, loops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="evaluation needs the train extra")

from models.evaluate import over_time
from parlante.runtime.assets import demo
from parlante.speech.audio import decode_audio


def test_blinks_are_counted_and_timed() -> None:
    closure = np.zeros(250, np.float32)
    closure[10:15] = 1  # 0.2 s
    closure[60:63] = 0.8
    closure[63:65] = 0.5  # opens slowly: still the same blink
    closure[100:180] = 1  # asleep
    closure[200] = 1  # one frame of noise
    closure[240:] = 0.3  # half shut
    assert over_time.blinks(closure) == pytest.approx([0.2, 0.2])


def test_pose_range_and_jerk_of_a_known_turn() -> None:
    t = np.arange(200, dtype=np.float64) / 25
    turn = np.stack([0.002 * t**3, 0 * t, 0 * t], 1).astype(np.float32)
    assert over_time.pose_jerk(turn.astype(np.float64)) == pytest.approx(
        np.degrees(0.012), rel=1e-2
    )
    swing = np.stack([0 * t, 0.1 * np.sin(2 * np.pi * t), 0 * t], 1)
    assert over_time.pose_range(swing) == pytest.approx(np.degrees(0.1 / np.sqrt(2)), rel=0.01)


def test_flicker_sees_noise_and_not_motion(photo: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    box = (20, 20, 180, 180)
    still = [photo] * 4
    moving = [np.roll(photo, i, 1) for i in range(4)]
    noisy = [
        np.clip(photo + rng.normal(0, 8, photo.shape), 0, 255).astype(np.uint8) for _ in range(4)
    ]
    assert over_time.flicker(still, box) < 0.1
    assert over_time.flicker(moving, box) < 0.25 * over_time.flicker(noisy, box)


def test_closures_look_for_shut_lips_before_the_release() -> None:
    aperture = np.full(50, 0.3, np.float32)
    aperture[[9, 30]] = 0.01
    heard = [("p", 0.48), ("a", 0.6), ("b", 1.2), ("m", 1.8), ("t", 0.5)]
    met = over_time.closures(heard, aperture, shut=0.06)
    assert met.tolist() == [True, True, False]


def test_phonemes_of_the_demo_voice_come_in_order() -> None:
    with demo() as (_, path):
        samples = np.concatenate(list(decode_audio(path)))
    heard = over_time.Phonemes()(samples)
    moments = [moment for _, moment in heard]
    assert len(heard) > 10
    assert moments == sorted(moments)
    assert 0 <= moments[0] < moments[-1] <= len(samples) / 16_000
    quiet = over_time.Phonemes()(np.zeros(16_000, np.float32))
    assert len(quiet) < 3


def test_longest_still_counts_frames_in_which_nothing_moves() -> None:
    pose, closure = np.zeros((100, 6), np.float32), np.zeros((100, 2), np.float32)
    assert over_time.longest_still(pose, closure) == pytest.approx(99 / 25)
    pose[30:, 3] = 0.01  # moves once, between frames 29 and 30
    closure[50:, 1] = 0.5  # and once more
    assert over_time.longest_still(pose, closure) == pytest.approx(49 / 25)
    pose[:, 0] = np.arange(100) * 2e-4
    assert over_time.longest_still(pose, closure) == 0


def test_nearest_repeat_finds_a_loop() -> None:
    walk = np.random.default_rng(0).standard_normal((3000, 3)).cumsum(0)
    looped = np.concatenate([walk[:1000], walk[200:500], walk[1300:]])
    assert over_time.nearest_repeat(looped) < 1e-6
    assert over_time.nearest_repeat(walk) > 0.05
