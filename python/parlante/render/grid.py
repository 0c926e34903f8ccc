"""Grids of pixels over a picture, and how points get there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parlante.contract import GRID, Float


@dataclass(frozen=True)
class Grid:
    """A grid of pixels over what is composed: rows and columns, and how points get there.

    scale and shift float32 [2]: x and y of the 256-grid times scale plus shift.
    """

    rows: int
    columns: int
    scale: Float
    shift: Float

    def __call__(self, points: Float) -> Float:
        """Points [..., 2] of the 256-grid on this one."""
        return np.asarray(points * self.scale + self.shift, np.float32)

    def maps(self, from_grid: Float) -> Float:
        """Affine maps [P, 2, 3] of points on the 256-grid, as maps of points on this one."""
        linear = from_grid[..., :2] / self.scale
        shift = from_grid[..., 2] - linear @ self.shift
        return np.concatenate([linear, shift[..., None]], -1, dtype=np.float32)


def crop_grid(side: int) -> Grid:
    """The grid of ``side`` over the crop."""
    scale = np.full(2, side / GRID, np.float32)
    return Grid(side, side, scale, scale / 2 - np.float32(0.5))
