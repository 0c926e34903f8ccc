"""Where the CUDA twins run in tests: on a GPU, by PyTorch, or emulated on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

emulated = False  # set by the fixture `cuda`


class EmulatedArray(np.ndarray):
    """An array in memory that passes for one in device memory."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = self.__array_interface__
        return {key: interface[key] for key in ("shape", "typestr", "data", "strides", "version")}


def upload(array: NDArray[np.generic]) -> Any:
    """A copy in device memory."""
    if emulated:
        return array.copy().view(EmulatedArray)
    import torch

    return torch.from_numpy(array.copy()).cuda()


def download(array: Any) -> NDArray[np.generic]:
    """A copy in host memory, once all work on the device is done."""
    if emulated:
        return np.array(array)
    import torch

    torch.cuda.synchronize()
    return array.cpu().numpy()  # type: ignore[no-any-return]


def current_stream() -> int:
    """The stream that PyTorch's copies run on, as the ops take it."""
    if emulated:
        return 0
    import torch

    return torch.cuda.current_stream().cuda_stream
