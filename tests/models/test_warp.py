"""`models.warp` is the twin of the native op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch import Tensor

from benchmarks.visual_samples import pack_sample
from models import warp
from parlante import _core


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("size", [(32, 48), (256, 128)])
def test_pack_is_the_twin_of_the_native_op(size: tuple[int, int], given: bool) -> None:
    arrays: dict[str, Any] = pack_sample(np.random.default_rng(2), size)
    if not given:
        arrays |= dict.fromkeys(("reference", "inside", "cover"))
    height, width = size
    native = np.empty((1, 144, height // 4, width // 4), np.float32)
    _core.pack(**arrays, condition=native)

    def picture(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].transpose(2, 0, 1).astype(np.float32))[None]

    made = warp.pack(
        picture("source"),
        picture("reference") if given else None,
        torch.from_numpy(arrays["flow"])[None],
        picture("inside") if given else None,
        torch.from_numpy(arrays["cover"])[None, None] if given else None,
    ).numpy()
    # grid_sample scales coordinates to −1 … 1 and back: three roundings of 2^-24 of the width, 5e-5
    # pixels, on noise whose neighbours differ by up to 2, in x, y and through the alpha.
    np.testing.assert_allclose(native, made, rtol=0, atol=5e-4)
    assert np.abs(native - made).mean() < 2e-5
