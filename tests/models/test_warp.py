"""`models.warp` is the twin of the native op."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch import Tensor

from benchmarks.visual_samples import pack_sample
from models import warp
from parlante import _core
from parlante.contract import FEATURES


@pytest.mark.parametrize("size", [(32, 48), (256, 256)])
def test_pack_is_the_twin_of_the_native_op(size: tuple[int, int]) -> None:
    arrays = pack_sample(np.random.default_rng(2), size, FEATURES)
    height, width = size
    native = np.empty((1, 128 + FEATURES, height // 4, width // 4), np.float32)
    _core.pack(**arrays, condition=native)  # type: ignore[arg-type]
    own = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    displacement = torch.from_numpy((arrays["warp"][..., :2] - own).astype(np.float32))[None]

    def planes(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].transpose(2, 0, 1).astype(np.float32))[None]

    mouth = torch.from_numpy(arrays["warp"][..., 2].copy())[None, None]
    made = warp.pack(planes("source"), planes("plate"), displacement, mouth, planes("interior"))
    # grid_sample scales coordinates to −1 … 1 and back: three roundings of 2^-24 of the width, 5e-5
    # pixels, on noise whose neighbours differ by up to 2, in x, y and through the matte.
    np.testing.assert_allclose(native[:, :128], made.numpy(), rtol=0, atol=5e-4)
    assert np.abs(native[:, :128] - made.numpy()).mean() < 2e-5
    features = warp.sample_features(torch.from_numpy(arrays["features"])[None], displacement)
    np.testing.assert_allclose(native[:, 128:], features.numpy(), rtol=0, atol=5e-4)
