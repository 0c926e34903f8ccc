"""Losses on what SqueezeNet 1.1 (Iandola et al. 2016), as it was trained on ImageNet, sees.

A perceptual distance, which is not LPIPS; and a critic on top of the same features, after
"Projected GANs Converge Faster" (Sauer et al. 2021). The harness judges with another network, so
that nothing is tuned to the judge.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (104.0, 117.0, 123.0)  # of blue, green, red, which the network is given, 0–255
WIDTHS = (64, 128, 256)  # of the features


class Perceptual(nn.Module):
    """The features of conv1, fire3 and fire5, and the distance of two pictures by them."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        with np.load(weights, allow_pickle=False) as arrays:
            for name in arrays.files:
                if not name.startswith(("fire6", "fire7", "fire8", "fire9")):
                    self.register_buffer(
                        name.replace(".", "_"), torch.from_numpy(arrays[name]), persistent=False
                    )
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)

    def _conv(self, x: Tensor, name: str, **options: int) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return F.relu(F.conv2d(x, weight, bias, **options))

    def _fire(self, x: Tensor, number: int) -> Tensor:
        squeezed = self._conv(x, f"fire{number}_squeeze1x1")
        wide = self._conv(squeezed, f"fire{number}_expand3x3", padding=1)
        return torch.cat([self._conv(squeezed, f"fire{number}_expand1x1"), wide], 1)

    def features(self, image: Tensor) -> list[Tensor]:
        """Of pictures [N, 3, H, W] RGB in [−1, 1]: maps at a half, a quarter and an eighth."""
        x = (image.flip(1) + 1) * 127.5 - self.mean
        first = self._conv(x, "conv1", stride=2, padding=1)
        x = F.max_pool2d(first, 3, 2, padding=1)
        third = self._fire(self._fire(x, 2), 3)
        x = F.max_pool2d(third, 3, 2, padding=1)
        return [first, third, self._fire(self._fire(x, 4), 5)]

    @staticmethod
    def distance(made: list[Tensor], true: list[Tensor], weight: Tensor) -> Tensor:
        """Mean squared distance of unit-length features where ``weight`` [N, 1, H, W] is."""
        total = weight.new_zeros(())
        for a, b in zip(made, true, strict=True):
            share = F.adaptive_avg_pool2d(weight, a.shape[-2:])
            miss = (F.normalize(a, eps=1e-3) - F.normalize(b, eps=1e-3)).square().sum(1, True)
            total = total + (miss * share).sum() / share.sum()
        return total


class Critic(nn.Module):
    """Tells drawn pictures from true ones, by their features and those of the warp.

    Given the warp, it judges what was made of it, not how sharp or how tinted a clip is.
    """

    def __init__(self, learning_rate: float = 4e-4) -> None:
        super().__init__()

        def head(width: int, stride: int) -> nn.Sequential:
            norm = nn.utils.parametrizations.spectral_norm
            return nn.Sequential(
                norm(nn.Conv2d(2 * width, 48, 1)),
                nn.LeakyReLU(0.2),
                norm(nn.Conv2d(48, 64, 3, stride=stride, padding=1)),
                nn.LeakyReLU(0.2),
                norm(nn.Conv2d(64, 1, 3, padding=1)),
            )

        self.heads = nn.ModuleList(
            head(width, 2 if k == 0 else 1) for k, width in enumerate(WIDTHS)
        )
        self._optimizer = torch.optim.AdamW(self.parameters(), learning_rate, (0.0, 0.99))
        self.requires_grad_(False)  # but while it learns

    def _verdicts(self, picture: list[Tensor], warp: list[Tensor]) -> list[Tensor]:
        """Maps [N, 1, h, w], one a scale: above 0 where the picture seems true."""
        return [
            head(torch.cat([a, b], 1) / a.shape[1] ** 0.5).float()
            for head, a, b in zip(self.heads, picture, warp, strict=True)
        ]

    def learn(
        self, made: list[Tensor], true: list[Tensor], warp: list[Tensor], weight: Tensor
    ) -> Tensor:
        """One step on features of pictures; returns the hinge loss, 2 where it knows nothing.

        ``weight`` [N, 1, H, W] says where it looks.
        """
        self.requires_grad_(True)
        with torch.autocast(weight.device.type, torch.bfloat16):
            drawn, real = self._verdicts(made, warp), self._verdicts(true, warp)
        loss = _mean([F.relu(1 + v) for v in drawn], weight)
        loss = loss + _mean([F.relu(1 - v) for v in real], weight)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.requires_grad_(False)
        return loss.detach()

    def forward(self, made: list[Tensor], warp: list[Tensor], weight: Tensor) -> Tensor:
        """How far it sees that pictures are drawn: what the renderer is to lessen."""
        return -_mean(self._verdicts(made, warp), weight)


def _mean(maps: list[Tensor], weight: Tensor) -> Tensor:
    total = weight.new_zeros(())
    for own in maps:
        share = F.adaptive_avg_pool2d(weight, own.shape[-2:])
        total = total + (own * share).sum() / share.sum().clamp(min=1e-6)
    return total / len(maps)
