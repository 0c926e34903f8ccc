"""The visual ops as one would write them with OpenCV, NumPy or PyTorch, for the benchmarks.

Each takes the op's arguments by name: NumPy arrays, or for PyTorch tensors on any device.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from parlante.render.schedule import make_schedule

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, torch.Tensor]

# The benchmarks' denoise_step: the second of four steps of DDIM with all its noise.
SAMPLER = make_schedule(4, sampler="ddim", eta=1.0).steps[1]
SCALE, ZERO_POINT = 0.03, 128.0  # of the bytes that an 8-bit network reads
C_X0, C_XT, SIGMA = SAMPLER.c_x0, SAMPLER.c_xt, SAMPLER.sigma


def opencv_rasterize(a: Arrays, size: int) -> NDArray[np.float32]:
    """OpenCV's rasterizer (since 4.11) from a camera so far away that it is all but orthographic.

    It wants attributes like colours, three of them.
    """
    distance = 2e4
    centre = (size - 1) / 2
    vertices = (a["vertices"] - [centre, centre, 0]) * [1, -1, -1]
    pose = np.eye(4, dtype=np.float32)
    pose[2, 3] = -distance
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    image, _ = cv2.triangleRasterize(
        vertices.astype(np.float32),
        a["triangles"],
        a["attributes"],
        np.zeros((size, size, 3), np.float32),
        np.full((size, size), 2 * distance, np.float32),
        pose,
        2 * math.atan(size / 2 / distance),
        distance - 500,
        distance + 500,
        settings,
    )
    return image


def numpy_unshuffle(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W, C] -> [16 C, H / 4, W / 4]."""
    h, w, channels = image.shape
    blocks = image.reshape(h // 4, 4, w // 4, 4, channels)
    return blocks.transpose(4, 1, 3, 0, 2).reshape(16 * channels, h // 4, w // 4)


def opencv_warp(image: NDArray[Any], x: Any, y: Any) -> NDArray[np.float32]:
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def opencv_pack(a: Arrays) -> NDArray[np.float32]:
    h, w = a["warp"].shape[:2]
    x, y, mouth = cv2.split(a["warp"])
    warped = opencv_warp(a["source"].astype(np.float32), x, y)
    matte = warped[..., 3:] * np.float32(1 / 255)
    plate = a["plate"].astype(np.float32)
    c = (plate + matte * (warped[..., :3] - plate)) * np.float32(1 / 127.5) - np.float32(1)
    mask = mouth[..., None]
    planes = numpy_unshuffle(np.concatenate([c, matte, mask, mask * a["interior"]], 2))
    mean = cv2.resize(a["warp"][..., :2], (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    at = (mean + np.float32(0.5)) / 4 - np.float32(0.5)
    features = opencv_warp(a["features"].transpose(1, 2, 0), at[..., 0], at[..., 1])
    return np.concatenate([planes, features.transpose(2, 0, 1)])[None]


def numpy_next(x: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    """As the next network reads it."""
    if dtype == np.uint8:
        x = np.clip(np.rint(x / np.float32(SCALE)) + np.float32(ZERO_POINT), 0, 255)
    return x.astype(dtype)


def numpy_denoise_step(
    a: Arrays, rng: np.random.Generator, sigma: float = SIGMA
) -> NDArray[np.float32]:
    """Does less: its noise stays where it is instead of travelling with the warp."""
    x0 = np.clip(a["condition"] + a["residual"], -1, 1)
    mean = np.float32(C_X0) * x0 + np.float32(C_XT) * a["x_t"]
    if sigma == 0:
        return mean
    return mean + np.float32(sigma) * rng.standard_normal(x0.shape, np.float32)


def opencv_compose(a: Arrays) -> NDArray[np.uint8]:
    """Differs within half a grid pixel of the border, where `resize` repeats positions."""
    size = a["source"].shape[1::-1]
    h, w = a["warp"].shape[:2]
    residual = (a["x0"] - a["condition"])[0].reshape(3, 4, 4, h // 4, w // 4)
    residual = np.ascontiguousarray(residual.transpose(3, 1, 4, 2, 0).reshape(h, w, 3))
    scale = np.array([size[0] / w, size[1] / h], np.float32)
    at = cv2.resize((a["warp"][..., :2] + np.float32(0.5)) * scale - np.float32(0.5), size)
    warped = opencv_warp(a["source"], at[..., 0], at[..., 1]).astype(np.float32)
    plate = a["plate"].astype(np.float32)
    matte = warped[..., 3:] * np.float32(1 / 255)
    frame = plate + matte * (warped[..., :3] - plate)
    frame += cv2.resize(residual, size) * np.float32(127.5)
    return np.rint(np.clip(frame, 0, 255)).astype(np.uint8)


def grid_sample_positions(warp: torch.Tensor) -> torch.Tensor:
    """`grid_sample` coordinates (align_corners=False) [1, H, W, 2] of a warp [H, W, 2 or more]."""
    h, w = warp.shape[:2]
    size = torch.tensor([w, h], device=warp.device)
    return ((2 * warp[..., :2] + 1) / size - 1)[None]


def torch_pack(a: Tensors) -> torch.Tensor:
    options: dict[str, Any] = {"padding_mode": "border", "align_corners": False}
    source = a["source"].permute(2, 0, 1)[None].float()
    warped = functional.grid_sample(source, grid_sample_positions(a["warp"]), **options)
    matte = warped[:, 3:] / 255
    plate = a["plate"].permute(2, 0, 1)[None].float()
    c = (plate + matte * (warped[:, :3] - plate)) / 127.5 - 1
    mouth = a["warp"][None, None, ..., 2]
    interior = a["interior"].permute(2, 0, 1)[None]
    planes = functional.pixel_unshuffle(torch.cat([c, matte, mouth, mouth * interior], 1), 4)
    mean = functional.avg_pool2d(a["warp"].permute(2, 0, 1)[None, :2], 4)[0].permute(1, 2, 0)
    at = grid_sample_positions((mean + 0.5) / 4 - 0.5)
    return torch.cat([planes, functional.grid_sample(a["features"][None], at, **options)], 1)


def torch_next(x: torch.Tensor, dtype: Any) -> torch.Tensor:
    """As the next network reads it."""
    if dtype == np.float16:
        return x.half()
    return ((x / SCALE).round() + ZERO_POINT).clamp(0, 255).byte()


def torch_denoise_step(a: Tensors, sigma: float = SIGMA) -> torch.Tensor:
    """Does less: its noise stays where it is instead of travelling with the warp."""
    x0 = (a["condition"] + a["residual"]).clamp(-1, 1)
    mean = C_X0 * x0 + C_XT * a["x_t"]
    return mean + sigma * torch.randn_like(x0) if sigma else mean


@cache
def ddim() -> Any:
    """The sampler of diffusers that takes the same step."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        timestep_spacing="trailing",
        clip_sample=True,
    )
    scheduler.set_timesteps(4)
    return scheduler


def diffusers_denoise_step(a: Tensors, sigma: float = SIGMA) -> torch.Tensor:
    """Does less, as `torch_denoise_step`; without noise its coefficients are not ours."""
    made = ddim().step(
        a["condition"] + a["residual"],
        SAMPLER.timestep,
        a["x_t"],
        eta=1.0 if sigma else 0.0,
        use_clipped_model_output=True,
    )
    return made.prev_sample


def torch_compose(a: Tensors) -> torch.Tensor:
    """Differs within half a grid pixel of the border, where `interpolate` repeats positions."""
    size = a["source"].shape[:2]
    options: dict[str, Any] = {"mode": "bilinear", "align_corners": False}
    residual = functional.pixel_shuffle(a["x0"] - a["condition"], 4)
    residual = functional.interpolate(residual, size, **options)
    at = grid_sample_positions(a["warp"]).permute(0, 3, 1, 2)
    at = functional.interpolate(at, size, **options).permute(0, 2, 3, 1)
    source = a["source"].permute(2, 0, 1)[None].float()
    warped = functional.grid_sample(source, at, padding_mode="border", align_corners=False)
    plate = a["plate"].permute(2, 0, 1)[None].float()
    frame = plate + warped[:, 3:] / 255 * (warped[:, :3] - plate) + residual * 127.5
    return frame.clamp(0, 255).round().byte()[0].permute(1, 2, 0).contiguous()
