"""The renderer in PyTorch: what it draws where, and what it is trained on."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch import Tensor

from models import renderer
from models.train import renderer as train_renderer
from parlante.contract import ATTRIBUTES, CELL_PIXELS, COLOR_PLANES, CONDITION, STYLE
from tests.support.network_samples import randomised


def grids(n: int = 1, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """condition, attributes, style for a patch of 4·side pixels."""
    condition = torch.rand(n, CONDITION, side, side) * 2 - 1
    condition[:, renderer.MATTE_PLANE].clamp_(0, 1)
    return condition, torch.randn(n, ATTRIBUTES), torch.randn(n, STYLE)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_untrained_renderer_returns_the_warp(steps: int) -> None:
    module = renderer.Renderer().eval()
    condition, attributes, style = grids()
    with torch.no_grad():
        maps = module.condition(condition, attributes, style)
        warped = condition[:, :COLOR_PLANES]
        schedule = renderer.DIFFUSIONS[""].schedule(steps)
        made = renderer.sample(module.denoiser, warped, maps, schedule, torch.Generator())
    # The last step keeps nothing of the noise: its x_t is x̂_0.
    assert torch.equal(made, warped)


def test_trained_renderer_leaves_the_background_alone() -> None:
    """Outside the person the residual is exactly 0, whatever the weights are, and it fades towards
    the outline."""
    module = randomised(renderer.Renderer())
    condition, attributes, style = grids()
    condition[:, renderer.MATTE_PLANE] = 0
    condition[:, renderer.MATTE_PLANE, 4:9, 5:8] = 1
    with torch.no_grad():
        maps = module.condition(condition, attributes, style)
        residual = module.denoiser(
            torch.randn(1, COLOR_PLANES, 16, 16), *maps, torch.tensor([123.0])
        )
    inside = condition[0, renderer.MATTE_PLANE][0] > 0
    assert (residual[0, :, ~inside] == 0).all()
    assert residual[0, :, inside].abs().mean() > 1e-4
    gate = maps[2][0, 0]
    assert 0 < gate[4, 6] < gate[5, 6] < gate[6, 6] <= 1


def test_renderer_without_diffusion_learns_from_the_bare_warp() -> None:
    """What it is trained on is what it meets: x_t is the warp, untouched, and t is 0."""
    seen = []

    class Spy(renderer.Denoiser):
        def forward(self, x_t: Tensor, *rest: Tensor) -> Tensor:
            seen.append((x_t, rest[-1]))
            return super().forward(x_t, *rest)

    module = renderer.Renderer()
    module.denoiser = Spy()
    n, side = 3, 16
    inputs = train_renderer.Inputs(
        whole=torch.rand(n, 3, 256, 256),
        source=torch.rand(n, 3, 64, 64),
        target=torch.rand(n, COLOR_PLANES, side, side),
        planes=torch.rand(n, 8 * CELL_PIXELS, side, side),
        displacement=torch.rand(n, 64, 64, 2) * 63,
        attributes=torch.randn(n, ATTRIBUTES),
        weight=torch.ones(n, 1, 64, 64),
        boxes=torch.zeros(n, 3, 4),
        styled=torch.ones(n, 1),
    )
    train_renderer.draw_loss(module, inputs, None)
    ((x_t, t),) = seen
    assert torch.equal(x_t, inputs.planes[:, :COLOR_PLANES])
    assert (t == 0).all()
    seen.clear()
    train_renderer.draw_loss(module, inputs, renderer.DIFFUSIONS[""].levels())
    assert all(t.max() > 0 for _, t in seen)


@pytest.mark.parametrize("without", ["", "shift"])
def test_diffusion_is_trained_where_it_is_sampled(without: str) -> None:
    """Noised warps at the start; further down the network's own answers and truth, both noised as
    the schedule's steps leave them."""
    chain = renderer.DIFFUSIONS[without]
    n, side = 200, 4
    warp, target, own = (torch.full((n, COLOR_PLANES, side, side), v) for v in (0.1, 0.7, -0.4))

    class Told(renderer.Denoiser):
        def forward(self, x_t: Tensor, *rest: Tensor) -> Tensor:
            return (own - warp)[: len(x_t)]

    module = renderer.Renderer()
    module.denoiser = Told()
    levels = chain.levels()
    x_t, t = train_renderer.diffusion_inputs(module, warp, target, (warp, warp, warp), levels)
    first = chain.schedule(1)
    started, answered = 80, 150
    assert (t[:started] == first.start.timestep).all()
    mean, deviation = x_t.mean((1, 2, 3)), x_t.std((1, 2, 3))
    rounding = 5 / np.sqrt(COLOR_PLANES * side**2)  # of a mean, in deviations
    assert (mean[:started] - 0.1 * first.start.c_x0).abs().max() < rounding * first.start.sigma
    for i in range(started, n):
        clean = -0.4 if i < answered else 0.7
        of_clean, of_warp, of_noise = levels[:, int(t[i])]
        assert abs(mean[i] - of_clean * clean - of_warp * 0.1) < rounding * of_noise + 1e-6
        assert deviation[i] == pytest.approx(float(of_noise), rel=0.3)
    assert t[started:].float().std() > 0.2 * chain.start


def test_denoiser_is_told_the_time() -> None:
    module = randomised(renderer.Renderer())
    with torch.no_grad():
        maps = module.condition(*grids())
        x = torch.randn(1, COLOR_PLANES, 16, 16)
        early, late = (module.denoiser(x, *maps, torch.tensor([t])) for t in (10.0, 390.0))
    assert (early - late).abs().max() > 1e-4
