"""PyTorch twin of the native ``pack``.

What the renderer's training sees is what the runtime feeds it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from parlante.contract import EDGE_REACH


def pack(
    source: Tensor,
    reference: Tensor | None,
    flow: Tensor,
    inside: Tensor | None = None,
    cover: Tensor | None = None,
) -> Tensor:
    """Condition planes [N, 144, H/4, W/4].

    source [N, 4, Hs, Ws] (RGB and a channel that is not used, 0–255), reference [N, 4, Hr, Wr] (RGB
    and 255 where it is valid) or None, flow [N, H, W, 6] (x and y in pixels of the source, opening
    and drawn in 0–1, x and y in pixels of the reference), inside [N, 4, H, W]: a colour in [−1, 1]
    laid over the source's, and how far; cover [N, 1, H, W]: how far the colours of both are
    blurred.
    """
    color = sample(source[:, :3], flow[..., :2]) / 127.5 - 1
    if inside is not None:
        color = color + inside[:, 3:] * (inside[:, :3] - color)
    color = softened(color, cover)
    opening, drawn = flow[..., 2:4].permute(3, 0, 1, 2)[:, :, None]
    if reference is None:
        seen = torch.zeros_like(color[:, :1]).expand(-1, 4, -1, -1)
    else:
        seen = sample(reference, flow[..., 4:])
    valid, other = seen[:, 3:] / 255, softened(seen[:, :3] / 127.5 - 1, cover)
    shown = color + valid * (other - color)
    return F.pixel_unshuffle(torch.cat([shown, drawn, opening, valid * color, valid], 1), 4)


def softened(color: Tensor, cover: Tensor | None) -> Tensor:
    """Colours [N, 3, H, W], blurred as far as ``cover`` [N, 1, H, W] says."""
    if cover is None:
        return color
    side = 2 * EDGE_REACH + 1
    blurred = F.avg_pool2d(color, side, 1, padding=EDGE_REACH, count_include_pad=False)
    return color + cover * (blurred - color)


def sample(image: Tensor, at: Tensor) -> Tensor:
    """``image`` [N, C, Hs, Ws] at places [N, H, W, 2], x and y of its pixels: [N, C, H, W].

    Bilinear, clamped to the edge.
    """
    extent = torch.tensor([image.shape[-1] - 1, image.shape[-2] - 1], device=at.device)
    grid = at.float() * (2 / extent) - 1
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
