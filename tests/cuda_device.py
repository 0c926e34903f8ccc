"""Moves arrays to the GPU and back for the tests of the CUDA twins (needs PyTorch and a GPU)."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def _missing() -> str | None:
    """Why the twins cannot run here; None if they can."""
    if importlib.util.find_spec("parlante._cuda") is None:
        return "parlante was built without CUDA"
    if importlib.util.find_spec("torch") is None:
        return "PyTorch, which allocates the device arrays, is not installed"
    import torch

    return None if torch.cuda.is_available() else "no NVIDIA GPU"


MISSING = _missing()
REQUIRES_CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]


def upload(array: NDArray[np.generic]) -> Any:
    """A copy in device memory."""
    import torch

    return torch.from_numpy(array.copy()).cuda()


def download(array: Any) -> NDArray[np.generic]:
    """A copy in host memory, once all work on the device is done."""
    import torch

    torch.cuda.synchronize()
    return array.cpu().numpy()  # type: ignore[no-any-return]


def current_stream() -> int:
    """The stream that PyTorch's copies run on, as the ops take it."""
    import torch

    return torch.cuda.current_stream().cuda_stream
