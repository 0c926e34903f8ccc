"""Pictures as the renderer reads them: each plane has every fourth row and column of a channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shuffle(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[1, 16 channels, h, w] -> image [4h, 4w, channels]."""
    _, count, rows, columns = planes.shape
    cells = planes.reshape(count // 16, 4, 4, rows, columns).transpose(3, 1, 4, 2, 0)
    return cells.reshape(4 * rows, 4 * columns, count // 16)


def unshuffle(image: NDArray[np.float64]) -> NDArray[np.float32]:
    """Image [4h, 4w, 3] -> [1, 48, h, w]."""
    rows, columns = image.shape[0] // 4, image.shape[1] // 4
    cells = image.reshape(rows, 4, columns, 4, 3).transpose(4, 1, 3, 0, 2)
    return np.ascontiguousarray(cells.reshape(1, 48, rows, columns).astype(np.float32))
