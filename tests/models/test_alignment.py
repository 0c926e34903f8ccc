"""How late the sound of a recording is, from what is said in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from hypothesis import given
from hypothesis import strategies as st

from models.data import alignment, dataset


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
    curve = alignment.correlation_by_lag(predicted, observed, keep)
    assert curve.shape == (2 * alignment.MAX_OFFSET + 1,)
    assert int(curve.argmax()) - alignment.MAX_OFFSET == lag
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
    assert not alignment.correlation_by_lag(noise, noise, few).any()
    still = np.zeros(100, np.float32)
    assert np.isfinite(alignment.correlation_by_lag(still, still, ~few)).all()


@given(st.integers(-20, 20), st.sampled_from([0.3, 1.0, 3.0]))
def test_likeliest_lag_lies_between_evidence_and_prior(quarters: int, spread: float) -> None:
    """Two normal laws: the mode of their product is the mean weighted by precision."""
    lags = np.arange(-alignment.MAX_OFFSET, alignment.MAX_OFFSET + 1)
    likelihood = -0.5 * ((lags - quarters / 4) / 0.8) ** 2
    share = spread**2 / (spread**2 + 0.8**2)
    found = alignment.likeliest(likelihood, 1.0, spread)
    assert found == pytest.approx(1 + share * (quarters / 4 - 1), abs=0.126)
    assert found * 4 == round(found * 4)


def test_alignment_finds_what_each_recording_is_off_by(tmp_path: Path) -> None:
    """Most people are in step; a source is two frames late, its people by up to a frame more or
    less."""
    rng = np.random.default_rng(0)
    clips, planted, said = [], {}, {}
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
            said[clip.name] = tones.reshape(160, 4, 80).mean(1).astype(np.float16)
            np.savez(
                tmp_path / "fit" / f"{clip.name}.npz",
                keep=np.ones(160, bool),
                aperture=(0.2 + 0.02 * lips + 0.05 * rng.normal(size=160)).astype(np.float32),
            )
    aligned = alignment.align(clips, tmp_path, said)
    assert aligned["sources"] == {"studio": 0, "tv": 2}
    for clip in clips:
        entry = aligned["clips"][clip.name]
        assert entry["lips"]
        assert entry["offset"] == pytest.approx(planted[clip.person], abs=0.3)


def test_a_source_that_was_never_in_step_teaches_no_lips(tmp_path: Path) -> None:
    """What is said has nothing to do with its lips, as in a film that was dubbed."""
    rng = np.random.default_rng(1)
    (tmp_path / "fit").mkdir()
    clips, said = [], {}
    for person in range(16):
        source = "true" if person < 8 else "dubbed"
        clip = dataset.Clip(f"{person}.mp4", "train", source, f"p{person}", True)
        clips.append(clip)
        heard = np.convolve(rng.normal(size=204), np.ones(5) / 2, "valid")
        seen = heard if source == "true" else np.convolve(rng.normal(size=204), np.ones(5), "valid")
        said[clip.name] = np.outer(heard, np.ones(16)).astype(np.float16)
        said[clip.name] += rng.normal(size=(200, 16)).astype(np.float16)
        np.savez(
            tmp_path / "fit" / f"{clip.name}.npz",
            keep=np.ones(200, bool),
            aperture=(0.2 + 0.1 * seen).astype(np.float32),
        )
    aligned = alignment.align(clips, tmp_path, said)
    serves = {clip.source: [] for clip in clips}
    for clip in clips:
        serves[clip.source].append(aligned["clips"][clip.name]["lips"])
    assert all(serves["true"]) and not any(serves["dubbed"])


def test_only_what_was_heard_counts(tmp_path: Path) -> None:
    """A sound that ends before the picture; and one of which nothing is known."""
    rng = np.random.default_rng(2)
    (tmp_path / "fit").mkdir()
    clips = [dataset.Clip(f"{k}.mp4", "train", "a", f"p{k}", True) for k in range(5)]
    said = {}
    for clip in clips:
        heard = np.convolve(rng.normal(size=154), np.ones(5) / 2, "valid")
        if clip is not clips[-1]:
            said[clip.name] = np.outer(heard, [1, -1]).astype(np.float16)[:100]
        np.savez(
            tmp_path / "fit" / f"{clip.name}.npz",
            keep=np.ones(150, bool),
            aperture=np.concatenate([heard[:100], 99 * rng.normal(size=50)]).astype(np.float32),
        )
    entries = alignment.align(clips, tmp_path, said)["clips"]
    assert entries.keys() == said.keys()
    # The last 50 frames have a spread of their own, but no say.
    for entry in entries.values():
        assert entry["correlation"] > 0.8 and abs(entry["offset"]) <= 0.5
    assert alignment.align(clips, tmp_path, {}) == {"sources": {}, "clips": {}}
