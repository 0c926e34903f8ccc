"""Random arguments of the visual ops, of any size, for the benchmarks and the tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]

ATLAS = (256, 128)  # rows and columns of the image that the patches share, as in use


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
    """[H, W, 2]: own position moved by waves of up to `reach` pixels."""
    y, x = np.mgrid[: size[0], : size[1]]
    phase = rng.uniform(0, 6, 4)
    warp = np.empty((*size, 2), np.float32)
    warp[..., 0] = x + reach * np.sin(y / 9 + phase[0]) * np.cos(x / 14 + phase[1])
    warp[..., 1] = y + reach * np.cos(y / 11 + phase[2]) * np.sin(x / 8 + phase[3])
    return warp


def smooth_flow(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """[H, W, 6]: a warp of the source, two masks in 0..1 and a warp of the reference."""
    masks = rng.uniform(0, 1, (*size, 2)).astype(np.float32)
    return np.concatenate([smooth_warp(rng, size, 6), masks, smooth_warp(rng, size, 6)], 2)


def pack_sample(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    """Everything `pack` reads."""
    return {
        "source": rng.integers(0, 256, (*size, 4), dtype=np.uint8),
        "reference": rng.integers(0, 256, (*size, 4), dtype=np.uint8),
        "flow": smooth_flow(rng, size),
        "inside": rng.uniform(0, 1, (*size, 4)).astype(np.float32),
        # Along edges: a few pixels of a hundred.
        "cover": np.maximum(rng.uniform(-24, 1, size), 0).astype(np.float32),
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
        "warp": smooth_flow(rng, size),
    }


def face_patches(
    grid: tuple[int, int], atlas: tuple[int, int], angle: float = 0.1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Places and bands of a mouth and two eyes, where a face has them in a crop of `grid` pixels.

    The mouth fills half of the atlas and is 0.3 crops wide, each eye a quarter and 0.25 crops.
    """
    rows, columns = atlas
    bands = np.array([[0, 2], [2, 3], [3, 4]], np.int32) * (rows // 4)
    places = []
    for (first, last), width, centre in zip(
        bands, (0.3, 0.25, 0.25), ((0.5, 0.67), (0.37, 0.4), (0.63, 0.4)), strict=True
    ):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turn *= columns / (width * grid[1])
        middle = [(columns - 1) / 2, (first + last - 1) / 2]
        places.append(np.column_stack([turn, middle - turn @ (centre * np.array(grid[::-1]))]))
    return np.array(places, np.float32), bands


def compose_sample(
    rng: np.random.Generator,
    size: tuple[int, int],
    grid: tuple[int, int],
    atlas: tuple[int, int] = ATLAS,
) -> Arrays:
    """A frame of `size` over a crop grid of `grid` pixels, with the patches of a face."""
    h, w = atlas[0] // 4, atlas[1] // 4
    condition = rng.uniform(-1, 1, (1, 48, h, w)).astype(np.float32)
    places, bands = face_patches(grid, atlas)
    return {
        "source": rng.integers(0, 256, (*size, 4), dtype=np.uint8),
        "plate": rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        "warp": smooth_warp(rng, grid, 6),
        "x0": rng.uniform(-1, 1, (1, 48, h, w)).astype(np.float32),
        "condition": condition,
        "cover": None,
        "places": places,
        "bands": bands,
    }


def frame_shape(size: tuple[int, int], image_format: str) -> tuple[int, ...]:
    """Shape of `compose`'s output."""
    rows, columns = size
    if image_format == "nv12":
        return (rows * 3 // 2, columns)
    return (rows, columns, 4 if image_format == "rgba" else 3)
