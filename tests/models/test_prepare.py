"""Preparing clips: how late the sound is, and which frames are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from hypothesis import given
from hypothesis import strategies as st

from models.data import dataset, prepare


@pytest.mark.parametrize("lag", [-6, -2, 0, 1, 3, 6])
def test_correlation_finds_a_planted_lag(lag: int) -> None:
    """Lips that follow the sound by ``lag`` frames are found at +lag, and the mel is moved so."""
    rng = np.random.default_rng(lag + 10)
    n = 400
    sound = np.convolve(rng.normal(size=n + 40), np.ones(3) / 3, "same").astype(np.float32)
    predicted = sound[20 : 20 + n]
    observed = sound[20 - lag : 20 - lag + n] + 0.5 * rng.normal(size=n).astype(np.float32)
    keep = rng.random(n) > 0.2
    # What is not kept must not count.
    observed[~keep] = 1e3
    curve = prepare.correlation_by_lag(predicted, observed, keep)
    assert curve.shape == (2 * prepare.MAX_OFFSET + 1,)
    assert int(curve.argmax()) - prepare.MAX_OFFSET == lag
    t = np.flatnonzero(keep & (np.arange(n) >= 6) & (np.arange(n) < n - 6))
    wanted = np.corrcoef(predicted[t - lag], observed[t])[0, 1]
    assert curve.max() == pytest.approx(wanted, abs=0.03)  # 12 frames more or fewer
    # Moved later by the lag, the sound stands beside the lips it belongs to.
    mel = np.repeat(predicted, 4)[:, None]
    aligned = dataset.align_mel(mel, lag, n)[::4, 0][t]
    assert np.corrcoef(aligned, observed[t])[0, 1] == pytest.approx(wanted, abs=0.03)


def test_correlation_of_too_little_is_zero() -> None:
    few = np.zeros(100, bool)
    few[:5] = True
    noise = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert not prepare.correlation_by_lag(noise, noise, few).any()
    still = np.zeros(100, np.float32)
    assert np.isfinite(prepare.correlation_by_lag(still, still, ~few)).all()


@given(st.integers(-20, 20), st.sampled_from([0.3, 1.0, 3.0]))
def test_likeliest_lag_lies_between_evidence_and_prior(quarters: int, spread: float) -> None:
    """Two normal laws: the mode of their product is the mean weighted by precision."""
    lags = np.arange(-prepare.MAX_OFFSET, prepare.MAX_OFFSET + 1)
    likelihood = -0.5 * ((lags - quarters / 4) / 0.8) ** 2
    share = spread**2 / (spread**2 + 0.8**2)
    found = prepare.likeliest(likelihood, 1.0, spread)
    assert found == pytest.approx(1 + share * (quarters / 4 - 1), abs=0.126)
    assert found * 4 == round(found * 4)


def test_alignment_finds_what_each_recording_is_off_by(tmp_path: Path) -> None:
    """Most people are in step; a source is two frames late, its people by up to a frame more or
    less."""
    rng = np.random.default_rng(0)
    clips, planted = [], {}
    (tmp_path / "fit").mkdir()
    for person in range(18):
        source = "studio" if person < 12 else "tv"
        planted[f"p{person}"] = 0.0 if person < 12 else 2 + person % 4 * 0.5 - 0.75
        for number in range(3):
            loud = np.convolve(rng.normal(size=800), np.hanning(12), "valid")
            loud = np.interp(np.arange(640), np.arange(len(loud)), loud)
            tones = rng.normal(size=(640, 80)) + loud[:, None] * np.linspace(1, -1, 80)
            late = round(planted[f"p{person}"] * 4)
            lips = np.interp(np.arange(160) * 4 + 1.5 - late, np.arange(640), loud)
            clip = dataset.Clip(f"{person}_{number}.mp4", "train", source, f"p{person}", True)
            clips.append(clip)
            np.savez(
                tmp_path / "fit" / f"{clip.name}.npz",
                mel=tones.astype(np.float16),
                keep=np.ones(160, bool),
                aperture=(0.2 + 0.02 * lips + 0.05 * rng.normal(size=160)).astype(np.float32),
            )
    aligned = prepare.align(clips, tmp_path)
    assert aligned["sources"] == {"studio": 0, "tv": 2}
    for clip in clips:
        entry = aligned["clips"][clip.name]
        assert entry["lips"]
        assert entry["offset"] == pytest.approx(planted[clip.person], abs=0.3)


def test_kept_frames_counts_each_frame_once() -> None:
    face = np.zeros((8, 478, 3), np.float32)
    face[:, :, 0] = np.linspace(80, 180, 478)
    face[:, 234, 0], face[:, 454, 0] = 80, 180
    face[:, :, 1] = 128
    presence = np.ones(8, np.float32)
    yaw = np.zeros(8, np.float32)
    presence[0] = 0.2
    face[2, :, 1] += 60  # jumps there, and back in frame 3
    face[5:] *= 0.3  # jumps and is small from there
    yaw[7] = 1.2
    keep, dropped = prepare.kept_frames(face, presence, yaw)
    assert keep.tolist() == [False, True, False, False, True, False, False, False]
    assert sum(dropped.values()) == 6
    assert dropped["no face"] == 1
    assert dropped["cut or jump"] == 3
    assert dropped["face too small"] + dropped["profile"] == 2
