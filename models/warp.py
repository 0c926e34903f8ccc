"""PyTorch twin of the native ``pack``: what the renderer's training sees is what the runtime feeds
it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pack(
    source: Tensor, plate: Tensor, displacement: Tensor, mouth: Tensor, interior: Tensor
) -> Tensor:
    """Condition planes without source features, [N, 128, H/4, W/4].

    source [N, 4, H, W] (RGB and matte, 0–255), plate [N, 3, H, W] (0–255), displacement [N, H, W,
    2] (source pixel minus own pixel), mouth [N, 1, H, W] in [0, 1], interior [N, 3, H, W] in [0,
    1].
    """
    warped = F.grid_sample(
        source,
        sampling_grid(displacement),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    matte = warped[:, 3:] / 255
    frame = (matte * warped[:, :3] + (1 - matte) * plate) / 127.5 - 1
    return F.pixel_unshuffle(torch.cat([frame, matte, mouth, mouth * interior], 1), 4)


def sample_features(features: Tensor, displacement: Tensor) -> Tensor:
    """Source features [N, C, h, w] carried by the mean displacement [N, 4h, 4w, 2] of each 4×4
    block."""
    mean = F.avg_pool2d(displacement.permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1) / 4
    return F.grid_sample(
        features, sampling_grid(mean), mode="bilinear", padding_mode="border", align_corners=True
    )


def sampling_grid(displacement: Tensor) -> Tensor:
    """`grid_sample` coordinates (align_corners=True) of own pixel + displacement [N, H, W, 2]."""
    height, width = displacement.shape[1:3]
    x = torch.arange(width, device=displacement.device, dtype=torch.float32)
    y = torch.arange(height, device=displacement.device, dtype=torch.float32)
    at = displacement.float() + torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    return at * torch.tensor([2 / (width - 1), 2 / (height - 1)], device=at.device) - 1
