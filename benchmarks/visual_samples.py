"""Random arguments of the visual ops, of any size, for the benchmarks and the tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]


def random_mesh(
    rng: np.random.Generator, size: tuple[int, int], triangles: int, attributes: int
) -> Arrays:
    """Triangles of all sizes, some without area, off screen, NaN or at equal depth."""
    vertices = rng.uniform(-0.2, 1.2, (triangles, 3)) * [size[1], size[0], 1]
    vertices[::3] = np.round(vertices[::3])
    vertices[rng.integers(0, triangles, 3)] = np.nan
    vertices[rng.integers(0, triangles, 3), 0] = 1e9
    # A third of the triangles join neighbours in the list, which makes small ones and slivers.
    indices = rng.integers(0, triangles, (triangles, 3), dtype=np.int32)
    indices[::3] = indices[::3, :1] // 2 + np.arange(3, dtype=np.int32)
    return {
        "vertices": vertices.astype(np.float32),
        "triangles": np.minimum(indices, triangles - 1).astype(np.int32),
        "attributes": rng.uniform(-1, 1, (triangles, attributes)).astype(np.float32),
    }


def grid_mesh(rng: np.random.Generator, size: int, cells: int) -> Arrays:
    """2 * cells^2 triangles that cover a square image like the warp mesh of a moving face."""
    step = (size + 20) / cells
    base = np.stack(np.meshgrid(*[np.arange(cells + 1) * step - 10] * 2), -1).reshape(-1, 2)
    moved = base + rng.uniform(-0.3 * step, 0.3 * step, base.shape)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    quads = corner[:, None] + np.array([0, 1, cells + 1, cells + 2])
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [1, 3, 2]]])
    depth = rng.uniform(-20, 20, (len(base), 1))
    return {
        "vertices": np.concatenate([moved, depth], 1).astype(np.float32),
        "triangles": np.ascontiguousarray(triangles, np.int32),
        "attributes": np.concatenate([base, depth], 1).astype(np.float32),
    }


def smooth_warp(
    rng: np.random.Generator, size: tuple[int, int], reach: float
) -> NDArray[np.float32]:
    """[H, W, 3]: own position moved by waves of up to `reach` pixels, and a mask in 0..1."""
    y, x = np.mgrid[: size[0], : size[1]]
    phase = rng.uniform(0, 6, 4)
    warp = np.empty((*size, 3), np.float32)
    warp[..., 0] = x + reach * np.sin(y / 9 + phase[0]) * np.cos(x / 14 + phase[1])
    warp[..., 1] = y + reach * np.cos(y / 11 + phase[2]) * np.sin(x / 8 + phase[3])
    warp[..., 2] = rng.uniform(0, 1, size)
    return warp


def pack_sample(rng: np.random.Generator, size: tuple[int, int], features: int) -> Arrays:
    """Everything `pack` reads."""
    h, w = size
    return {
        "source": rng.integers(0, 256, (h, w, 4), dtype=np.uint8),
        "plate": rng.integers(0, 256, (h, w, 3), dtype=np.uint8),
        "warp": smooth_warp(rng, size, 6),
        "interior": rng.uniform(-1, 1, (h, w, 3)).astype(np.float32),
        "features": rng.uniform(-1, 1, (features, h // 4, w // 4)).astype(np.float32),
    }


def denoise_sample(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    """Tensors of an image of `size`; the condition has a plane more than is read."""
    h, w = size[0] // 4, size[1] // 4

    def planes(count: int) -> NDArray[np.float32]:
        return rng.uniform(-1, 1, (1, count, h, w)).astype(np.float32)

    return {
        "residual": planes(48),
        "x_t": planes(48),
        "condition": planes(49),
        "warp": smooth_warp(rng, size, 6),
    }


def compose_sample(
    rng: np.random.Generator, size: tuple[int, int], grid: tuple[int, int]
) -> Arrays:
    """A frame of `size` over a crop grid of `grid` pixels."""
    sample = denoise_sample(rng, grid)
    return {
        "source": rng.integers(0, 256, (*size, 4), dtype=np.uint8),
        "plate": rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        "warp": sample["warp"],
        "x0": sample["x_t"],
        "condition": sample["condition"],
    }


def frame_shape(size: tuple[int, int], image_format: str) -> tuple[int, ...]:
    """Shape of `compose`'s output."""
    rows, columns = size
    if image_format == "nv12":
        return (rows * 3 // 2, columns)
    return (rows, columns, 4 if image_format == "rgba" else 3)
