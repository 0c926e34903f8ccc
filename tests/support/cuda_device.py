"""Moves arrays to the GPU and back for the tests of the CUDA twins, with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def upload(array: NDArray[np.generic]) -> Any:
    """A copy in device memory."""
    return torch.from_numpy(array.copy()).cuda()


def download(array: Any) -> NDArray[np.generic]:
    """A copy in host memory, once all work on the device is done."""
    torch.cuda.synchronize()
    return array.cpu().numpy()  # type: ignore[no-any-return]


def current_stream() -> int:
    """The stream that PyTorch's copies run on, as the ops take it."""
    return torch.cuda.current_stream().cuda_stream
