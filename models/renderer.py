"""The renderer: a conditional DDPM that draws mouth and eyes as a residual to the warped photo.

After section 2.4 of the paper, arranged for two CPU cores: it draws patches, which lie in square
tiles of one atlas (`parlante.face.patches`), and the rest of the picture stays the photo's.
`ConditionNet` runs once for each tile that has to be drawn, `Denoiser` once a diffusion step, both
on the 32×32 cells of a tile (pixel-unshuffle ×4). The last layer starts at zero, so an untrained
renderer returns the warp unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parlante.contract import (
    ATTRIBUTES,
    CELLS,
    COLOR_PLANES,
    CONDITION,
    DRAWN_PLANES,
    TILES,
)
from parlante.render.schedule import (
    SHIFT_NOISE,
    Sampler,
    Schedule,
    Step,
    cosine_alphas_cumprod,
    make_schedule,
    shift_weights,
)

DEPTH = 3  # blocks at the coarsest scale, where a mouth is seen as a whole


@dataclass(frozen=True)
class Diffusion:
    """A chain, by `make_schedule`'s names."""

    sampler: Sampler
    start: int

    def schedule(self, steps: int) -> Schedule:
        return make_schedule(steps, sampler=self.sampler, start=self.start)

    def levels(self) -> Tensor:
        """How much of frame, warp and noise is in x_t: [3, start]."""
        if self.sampler == "shift":
            weight = shift_weights(self.start)
            rows = [1 - weight, weight, SHIFT_NOISE * np.sqrt(weight)]
        else:
            level = cosine_alphas_cumprod()[: self.start]
            rows = [np.sqrt(level), 0 * level, np.sqrt(1 - level)]
        return torch.from_numpy(np.stack(rows)).float()


# By what a renderer was trained without. Of the usual chain the last 400 timesteps: the warp, which
# it starts from, is off by much less than the noise there (√ᾱ = 0.81, σ = 0.59). Without diffusion
# one step starts from the bare warp.
DIFFUSIONS = {
    "": Diffusion("shift", 400),
    "shift": Diffusion("ddim", 400),
    "diffusion": Diffusion("ddim", 1),
}


def diffusion_of(without: str) -> Diffusion:
    """The chain of a renderer that was trained without this part, or whole."""
    return DIFFUSIONS.get(without, DIFFUSIONS[""])


class ResBlock(nn.Module):
    """x + conv(silu(film(conv(silu(x))))); the second convolution starts at zero."""

    def __init__(self, channels: int, vector: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(vector, 2 * channels) if vector else None
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]
        if self.film is not None:
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, vector: Tensor | None = None) -> Tensor:
        h = self.conv1(F.silu(x))
        if self.film is not None:
            scale, shift = self.film(vector)[:, :, None, None].chunk(2, 1)
            h = h * (1 + scale) + shift
        return x + self.conv2(F.silu(h))


class ConditionNet(nn.Module):
    """What every diffusion step of a tile shares.

    condition [N, 144, 32, 32] (from `pack`), attributes [N, 38] (lip, blink and residual code less
    the photo's own, pose change, 1 for the tile) → context maps [N, 32, 32, 32] and [N, 96, 16,
    16], gate [N, 16, 32, 32]: how far each pixel may be drawn.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 96, 160)) -> None:
        super().__init__()
        a, b, c = widths
        vector = 128
        self.vector = nn.Sequential(
            nn.Linear(ATTRIBUTES, vector), nn.SiLU(), nn.Linear(vector, vector), nn.SiLU()
        )
        self.stem = nn.Conv2d(CONDITION, a, 1)
        self.place = nn.Parameter(torch.zeros(TILES, a * CELLS[0] * CELLS[1]))
        self.down1 = ResBlock(a, vector)
        self.to2 = nn.Conv2d(a, b, 2, stride=2)
        self.down2 = ResBlock(b, vector)
        self.to3 = nn.Conv2d(b, c, 2, stride=2)
        self.down3 = nn.ModuleList(ResBlock(c, vector) for _ in range(DEPTH))
        self.up2 = nn.Conv2d(c, b, 1)
        self.mix2 = ResBlock(b, vector)
        self.up1 = nn.Conv2d(b, a, 1)
        self.mix1 = ResBlock(a, vector)

    def forward(self, condition: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vector = self.vector(attributes)
        place = (attributes[:, -TILES:] @ self.place).unflatten(1, (-1, *CELLS))
        x1 = self.down1(self.stem(condition) + place, vector)
        x2 = self.down2(self.to2(x1), vector)
        x3 = self.to3(x2)
        for block in self.down3:
            x3 = block(x3, vector)
        x2 = x2 + F.interpolate(self.up2(x3), scale_factor=2.0, mode="nearest")
        x2 = self.mix2(x2, vector)
        x1 = x1 + F.interpolate(self.up1(x2), scale_factor=2.0, mode="nearest")
        return self.mix1(x1, vector), x2, condition[:, DRAWN_PLANES]


class Denoiser(nn.Module):
    """x_t [N, 48, h, w], the maps of `ConditionNet`, timestep [N] → residual [N, 48, h, w].

    Timesteps lie in [0, 1000).

    x̂_0 = warp + residual (the caller adds and clips).
    """

    def __init__(self, widths: tuple[int, int] = (32, 96)) -> None:
        super().__init__()
        a, b = widths
        self.time = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.stem = nn.Conv2d(COLOR_PLANES, a, 1)
        self.to2 = nn.Conv2d(a, b, 2, stride=2)
        self.middle = ResBlock(b, 128)
        self.up1 = nn.Conv2d(b, a, 1)
        self.mix1 = ResBlock(a, 128)
        self.head = nn.Conv2d(a, COLOR_PLANES, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.register_buffer(
            "frequencies", torch.exp(torch.linspace(0, math.log(1e-3), 32)), persistent=False
        )

    def forward(
        self, x_t: Tensor, context1: Tensor, context2: Tensor, gate: Tensor, timestep: Tensor
    ) -> Tensor:
        angle = timestep[:, None] * self.frequencies
        vector = self.time(torch.cat([angle.sin(), angle.cos()], 1).to(x_t.dtype))
        x1 = self.stem(x_t) + context1
        x2 = self.middle(self.to2(x1) + context2, vector)
        x1 = x1 + F.interpolate(self.up1(x2), scale_factor=2.0, mode="nearest")
        return self.head(F.silu(self.mix1(x1, vector))) * torch.cat([gate, gate, gate], 1)


class Renderer(nn.Module):
    """Both networks; parameters are stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.condition = ConditionNet()
        self.denoiser = Denoiser()


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    warp: Tensor,
    maps: tuple[Tensor, Tensor, Tensor],
    schedule: Schedule,
    generator: torch.Generator,
) -> Tensor:
    """Down a chain from the noised warp [N, 48, h, w]: the runtime's loop, in PyTorch."""

    def noise(step: Step) -> Tensor | float:
        if step.sigma == 0:
            return 0.0
        return step.sigma * torch.randn(warp.shape, generator=generator, device=warp.device)

    x_t = schedule.start.c_x0 * warp + noise(schedule.start)
    for step in schedule.steps:
        timestep = torch.full((len(warp),), float(step.timestep), device=warp.device)
        x0 = (warp + denoiser(x_t, *maps, timestep)).clamp(-1, 1)
        x_t = step.c_x0 * x0 + step.c_xt * x_t + noise(step)
    return x_t
