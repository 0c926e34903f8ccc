"""A perceptual training loss: SqueezeNet 1.1 (Iandola et al. 2016) as it was trained on ImageNet.

Its distances are not LPIPS. The harness judges with another network, so that nothing is tuned to
the judge.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (104.0, 117.0, 123.0)  # of blue, green, red, which the network is given, 0–255
EXPANDED = ("expand1x1", "expand3x3")


class Perceptual(nn.Module):
    """Distance of two pictures by the features of conv1, fire3 and fire5."""

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

    def forward(self, made: Tensor, true: Tensor, weight: Tensor) -> Tensor:
        """Mean squared distance of unit-length features where ``weight`` [N, 1, H, W] is."""
        with torch.no_grad():
            wanted = self.features(true)
        total = made.new_zeros(())
        for a, b in zip(self.features(made), wanted, strict=True):
            share = F.adaptive_avg_pool2d(weight, a.shape[-2:])
            miss = (F.normalize(a, eps=1e-3) - F.normalize(b, eps=1e-3)).square().sum(1, True)
            total = total + (miss * share).sum() / share.sum()
        return total
