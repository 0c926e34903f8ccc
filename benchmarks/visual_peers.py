"""The visual ops as one would write them with OpenCV, NumPy or PyTorch, for the benchmarks.

Each takes the op's arguments by name: NumPy arrays, or for PyTorch tensors on any device.
"""

from __future__ import annotations

import math
from functools import cache, partial
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


def opencv_blur(image: NDArray[np.float32]) -> NDArray[Any]:
    """Mean over 5 x 5 pixels, of those that there are."""
    box = partial(
        cv2.boxFilter, ddepth=-1, ksize=(5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(box(image) / box(np.ones_like(image)))


def opencv_pack(a: Arrays) -> NDArray[np.float32]:
    x, y, opening, drawn, reference_x, reference_y = cv2.split(a["flow"])
    warped = opencv_warp(a["source"].astype(np.float32), x, y)
    seen = opencv_warp(a["reference"].astype(np.float32), reference_x, reference_y)
    scale, one = np.float32(1 / 127.5), np.float32(1)
    mask, valid = opening[..., None], seen[..., 3:] * np.float32(1 / 255)
    color = warped[..., :3] * scale - one
    color += a["inside"][..., 3:] * (a["inside"][..., :3] - color)
    color += a["cover"][..., None] * (opencv_blur(color) - color)
    shown = color + valid * (seen[..., :3] * scale - one - color)
    images = [shown, drawn[..., None], mask, valid * color, valid]
    return numpy_unshuffle(np.concatenate(images, 2))[None]


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


def numpy_shuffle(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[16 C, H / 4, W / 4] -> [H, W, C]."""
    h, w = planes.shape[1:]
    blocks = planes.reshape(-1, 4, 4, h, w).transpose(3, 1, 4, 2, 0)
    return np.ascontiguousarray(blocks.reshape(4 * h, 4 * w, -1))


def patch_in_frame(
    place: NDArray[Any], band: NDArray[Any], columns: int, scale: NDArray[Any], size: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """A patch by pixels of the frame, which is `scale` times the grid and `size` large (x, y).

    Its map [2, 3] to its band of an atlas of so many columns; the corners of the rectangle that it
    lies in, x and y, the second one beyond it.
    """
    to_band = np.column_stack([place[:, :2] / scale, place @ np.append(0.5 / scale - 0.5, 1)])
    to_band[1, 2] -= band[0]
    right, bottom = columns - 1, band[1] - band[0] - 1
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)
    seen = cv2.transform(corners[None], cv2.invertAffineTransform(to_band))[0]
    begin = np.clip(np.floor(seen.min(0)), 0, size).astype(int)
    end = np.clip(np.ceil(seen.max(0)) + 1, begin, size).astype(int)
    to_band[:, 2] += to_band[:, :2] @ begin
    return to_band, begin, end


def opencv_compose(a: Arrays) -> NDArray[np.uint8]:
    """Differs within half a grid pixel of the border, where `resize` repeats positions.

    And along the edges of patches, which `warpAffine` blends with what lies beyond.
    """
    size = a["source"].shape[1::-1]
    h, w = a["warp"].shape[:2]
    scale = np.array([size[0] / w, size[1] / h], np.float32)
    at = cv2.resize((a["warp"] + np.float32(0.5)) * scale - np.float32(0.5), size)
    warped = opencv_warp(a["source"], at[..., 0], at[..., 1]).astype(np.float32)
    residual = numpy_shuffle(a["x0"][0]) - numpy_shuffle(a["condition"][0, :48])
    residual *= np.float32(127.5)
    for place, band in zip(a["places"], a["bands"], strict=True):
        to_band, (x, y), end = patch_in_frame(place, band, residual.shape[1], scale, size)
        extent, flags = (int(end[0] - x), int(end[1] - y)), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(residual[slice(*band)], to_band, extent, flags=flags)
        warped[y : end[1], x : end[0], :3] += patch
    plate = a["plate"].astype(np.float32)
    matte = warped[..., 3:] * np.float32(1 / 255)
    frame = plate + matte * (warped[..., :3] - plate)
    return np.rint(np.clip(frame, 0, 255)).astype(np.uint8)


def grid_sample_positions(warp: torch.Tensor) -> torch.Tensor:
    """`grid_sample` coordinates (align_corners=False) [1, H, W, 2] of a warp [H, W, 2 or more]."""
    h, w = warp.shape[:2]
    size = torch.tensor([w, h], device=warp.device)
    return ((2 * warp[..., :2] + 1) / size - 1)[None]


def torch_pack(a: Tensors) -> torch.Tensor:
    options: dict[str, Any] = {"padding_mode": "border", "align_corners": False}
    flow = a["flow"]
    source = a["source"][..., :3].permute(2, 0, 1)[None].float()
    warped = functional.grid_sample(source, grid_sample_positions(flow[..., :2]), **options)
    reference = a["reference"].permute(2, 0, 1)[None].float()
    seen = functional.grid_sample(reference, grid_sample_positions(flow[..., 4:]), **options)
    opening, drawn = flow[None, None, ..., 2], flow[None, None, ..., 3]
    valid = seen[:, 3:] / 255
    inside, color = a["inside"].permute(2, 0, 1)[None], warped / 127.5 - 1
    color = color + inside[:, 3:] * (inside[:, :3] - color)
    both = torch.cat([color, seen[:, :3] / 127.5 - 1], 1)
    blurred = functional.avg_pool2d(both, 5, 1, padding=2, count_include_pad=False)
    color, other = (both + a["cover"] * (blurred - both)).chunk(2, 1)
    shown = color + valid * (other - color)
    images = [shown, drawn, opening, valid * color, valid]
    return functional.pixel_unshuffle(torch.cat(images, 1), 4)


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


@torch.compiler.disable
def add_patches(a: Tensors, frame: torch.Tensor) -> None:
    """Adds the residual to `frame` [1, 3, Ho, Wo], each patch in the rectangle that it lies in."""
    residual = functional.pixel_shuffle(a["x0"] - a["condition"][:, :48], 4) * 127.5
    size, columns = np.array(frame.shape[:1:-1]), residual.shape[3]
    scale = size / a["warp"].shape[1::-1]
    places, bands = a["places"].cpu().numpy(), a["bands"].cpu().numpy()
    for place, band in zip(places, bands, strict=True):
        to_band, begin, end = patch_in_frame(place, band, columns, scale, size)
        x, y = (torch.arange(int(n), device=frame.device, dtype=torch.float32) for n in end - begin)
        uv = torch.stack([float(p) * x + float(q) * y[:, None] + float(r) for p, q, r in to_band])
        last = torch.tensor([columns - 1, band[1] - band[0] - 1], device=frame.device)
        uv = uv.permute(1, 2, 0)
        patch = functional.grid_sample(
            residual[:, :, band[0] : band[1]], (2 * uv / last - 1)[None], align_corners=True
        )
        inside = ((uv >= 0) & (uv <= last)).all(-1)
        frame[..., begin[1] : end[1], begin[0] : end[0]] += patch * inside


def torch_compose(a: Tensors) -> torch.Tensor:
    """Differs within half a grid pixel of the border, where `interpolate` repeats positions."""
    size = a["source"].shape[:2]
    at = grid_sample_positions(a["warp"]).permute(0, 3, 1, 2)
    at = functional.interpolate(at, size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    source = a["source"].permute(2, 0, 1)[None].float()
    warped = functional.grid_sample(source, at, padding_mode="border", align_corners=False)
    plate = a["plate"].permute(2, 0, 1)[None].float()
    head = warped[:, :3]
    add_patches(a, head)
    frame = plate + warped[:, 3:] / 255 * (head - plate)
    return frame.clamp(0, 255).round().byte()[0].permute(1, 2, 0).contiguous()
