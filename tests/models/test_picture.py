"""Measures of the picture: shimmer, seams, and a judge that tells drawn from true mouths."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra [train]")

import cv2
import torch

from models.evaluate import critic
from models.evaluate.picture import seam, shimmer
from parlante.contract import BANDS, TILE

Images = NDArray[np.uint8]


def texture(seed: int, shape: tuple[int, ...], fine: float) -> Images:
    """Noise that varies over about ``fine`` pixels."""
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), fine)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_a_seam_is_seen_only_along_the_edge_of_what_was_drawn() -> None:
    warp = texture(0, (128, 128, 3), 4)
    true = texture(1, (128, 128, 3), 4)
    drawn, brighter = warp.copy(), warp.copy()
    mask = np.zeros((128, 128), np.float32)
    mask[40:90, 30:100] = 1
    fade = cv2.GaussianBlur(mask, (0, 0), 6)[..., None]
    drawn = np.round(warp + fade * (true.astype(np.float32) - warp)).astype(np.uint8)
    brighter[mask > 0] = np.clip(brighter[mask > 0].astype(int) + 60, 0, 255)
    assert seam(drawn, warp, true) == pytest.approx(1, abs=0.3)
    assert seam(brighter, warp, true) > 2
    assert seam(warp, warp, true) == 0  # nothing was drawn


def test_shimmer_is_that_of_the_truth() -> None:
    still = np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (len(BANDS), 1, 1))
    frames = [texture(k, (256, 128, 3), 1) for k in range(4)]
    calm = [cv2.GaussianBlur(frame, (0, 0), 3) for frame in frames]
    assert shimmer(frames, frames, [still] * 4) == pytest.approx(1)
    assert shimmer(calm, frames, [still] * 4) < 0.3
    assert shimmer(frames[:1] * 4, frames, [still] * 4) == 0


def test_a_judge_finds_what_is_blurred_and_nothing_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(critic, "STEPS", 60)

    def people(blur: float) -> list[Images]:
        out = []
        for seed in range(8):
            true = np.stack([texture(9 * seed + k, (TILE, TILE, 3), 1.5) for k in range(4)])
            drawn = [cv2.GaussianBlur(image, (0, 0), blur) if blur else image for image in true]
            out.append(np.stack([true, np.stack(drawn)]))
        return out

    def right(blur: float) -> float:
        *taught_by, asked = people(blur)
        judge = critic.taught(taught_by, 0)
        with torch.no_grad():
            answers = [judge(critic.tensor(images)) > 0 for images in asked]
        return float((answers[0].float().mean() + 1 - answers[1].float().mean()) / 2)

    assert right(2.5) > 0.9
    assert right(0) == 0.5


def test_where_it_looks_is_marked() -> None:
    images = np.stack([texture(k, (TILE, TILE, 3), 2) for k in range(3)])
    torch.manual_seed(0)
    shown = critic.looked_at(critic.Judge().eval(), images)
    assert shown.shape == (2 * TILE, 3 * TILE, 3)
    np.testing.assert_array_equal(shown[:TILE, :TILE], images[0])
    assert (shown[TILE:] != shown[:TILE]).any()
