"""PyTorch twin of the native ``pack``.

What the renderer's training sees is what the runtime feeds it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pack(
    source: Tensor, plate: Tensor, displacement: Tensor, mouth: Tensor, interior: Tensor
) -> Tensor:
    """Condition planes without source features, [N, 128, H/4, W/4].

    source [N, 4, Hs, Ws] (RGB and matte, 0–255), plate [N, 3, H, W] (0–255), displacement
    [N, H, W, 2] (source pixel minus own pixel), mouth [N, 1, H, W] and interior [N, 3, H, W] in
    [0, 1].
    """
    warped = sample_at(source, displacement)
    matte = warped[:, 3:] / 255
    frame = (matte * warped[:, :3] + (1 - matte) * plate) / 127.5 - 1
    return F.pixel_unshuffle(torch.cat([frame, matte, mouth, mouth * interior], 1), 4)


def sample_features(features: Tensor, displacement: Tensor) -> Tensor:
    """Source features [N, C, hs, ws] moved by each 4×4 block's mean displacement [N, 4h, 4w, 2]."""
    mean = F.avg_pool2d(displacement.permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1) / 4
    return sample_at(features, mean)


def sample_at(image: Tensor, displacement: Tensor) -> Tensor:
    """``image`` [N, C, Hs, Ws] at own pixel + displacement [N, H, W, 2]: [N, C, H, W].

    Bilinear, clamped to the edge.
    """
    height, width = displacement.shape[1:3]
    x = torch.arange(width, device=displacement.device, dtype=torch.float32)
    y = torch.arange(height, device=displacement.device, dtype=torch.float32)
    at = displacement.float() + torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    extent = torch.tensor([image.shape[-1] - 1, image.shape[-2] - 1], device=at.device)
    grid = at * (2 / extent) - 1
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
