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
from models.warp import soften
from parlante import _core
from parlante.contract import TILE
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, mode, model


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("size", [(32, 48), (256, 128)])
def test_pack_is_the_twin_of_the_native_op(size: tuple[int, int], given: bool) -> None:
    arrays: dict[str, Any] = pack_sample(np.random.default_rng(2), size)
    arrays["cover"] = None
    if not given:
        arrays["inside"] = None
    if not given:
        arrays["reference"] = None
    height, width = size
    native = np.empty((1, 192, height // 4, width // 4), np.float32)
    _core.pack(**arrays, condition=native)

    def picture(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].transpose(2, 0, 1).astype(np.float32))[None]

    made = warp.pack(
        picture("source"),
        picture("reference") if given else None,
        torch.from_numpy(arrays["flow"])[None],
        torch.from_numpy(arrays["interior"])[None],
        picture("inside") if given else None,
    ).numpy()
    # grid_sample scales coordinates to −1 … 1 and back: three roundings of 2^-24 of the width, 5e-5
    # pixels, on noise whose neighbours differ by up to 2, in x, y and through the alpha.
    np.testing.assert_allclose(native, made, rtol=0, atol=5e-4)
    assert np.abs(native - made).mean() < 2e-5


def test_edges_are_softened_as_in_the_runtime() -> None:
    portrait = avatar().portrait
    renderer = FrameRenderer(Bundle.default(), model(), portrait, RenderOptions(size=256))
    scene, warp = renderer._scene, renderer._canvases[0]._warp
    expression = portrait.expression.copy()
    expression[mode("jawOpen")] += 0.5
    aim = scene.aim(expression, np.float32([0.1, 0.2, 0, 0, 0, 0]))
    assert aim.tiles == [0]  # lids have not moved
    warp.draw(aim)
    mouth = slice(0, TILE)
    packed = np.empty_like(warp.condition[:1])
    inside = warp._inside[mouth]
    _core.pack(
        scene.source, None, warp.atlas_flow[mouth], warp._interior[mouth], packed, inside=inside
    )
    cover, drawn = warp._edges[mouth], warp.atlas_flow[mouth, :, 3]
    edges = np.divide(cover, drawn, where=cover > 0, out=0 * cover)
    wanted = soften(torch.from_numpy(packed), torch.from_numpy(edges)[None, None]).numpy()
    np.testing.assert_allclose(warp.condition[:1], wanted, rtol=0, atol=1e-5)
    assert np.abs(packed - wanted).max() > 0.1  # there are edges
    np.testing.assert_array_equal(packed[:, 48:], wanted[:, 48:])
