"""The memory that the diffusion chain works in, and the native op that works there.

Host: the arrays of whoever draws, on the CPU; networks may run elsewhere, ONNX Runtime then copies.
Device: a GPU's, with networks and `parlante._cuda` on one stream.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cache, partial
from threading import Lock
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import OrtValue

from parlante import _core
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.runtime.sessions import resolve_device, runs_on

_log = logging.getLogger(__name__)


class DeviceArray:
    """An array in device memory, as ONNX Runtime and the ops of `parlante._cuda` take it.

    host: the array that it is a copy of, or that is a copy of it.
    """

    def __init__(self, host: NDArray[Any], kind: str) -> None:
        self.host = host
        self.value = OrtValue.ortvalue_from_shape_and_type(host.shape, host.dtype.type, kind, 0)
        self.__cuda_array_interface__ = {
            "shape": host.shape,
            "typestr": host.dtype.str,
            "data": (self.value.data_ptr(), False),
            "version": 3,
        }


Array: TypeAlias = "NDArray[Any] | DeviceArray"


class Host:
    """The CPU's memory; `parlante._core` steps on so many threads."""

    stream = 0
    run_options: onnxruntime.RunOptions | None = None

    def __init__(self, threads: int) -> None:
        self.lock = nullcontext()
        self.denoise_step: Callable[..., None] = partial(_core.denoise_step, threads=threads)

    def array(self, host: NDArray[Any]) -> Array:
        """What stands for the array ``host`` there: itself."""
        return host

    def value(self, array: Any) -> OrtValue:
        """The same memory as a network takes it."""
        return OrtValue.ortvalue_from_numpy(array)

    def upload(self, arrays: Iterable[Any]) -> None:
        """Nothing: the arrays are there."""

    def download(self, array: Any) -> None:
        """Nothing: the array is here."""


class Device:
    """A GPU's memory; networks and `parlante._cuda` run one after another on its stream.

    The host waits at a download only. ONNX Runtime's networks on a stream that they are given share
    handles of cuBLAS and cuDNN, which one thread at a time may use: hold ``lock`` from upload to
    download.
    """

    def __init__(self, cuda: ModuleType, kind: str) -> None:
        """cuda: `parlante._cuda`. kind: of memory, "cuda"; "cpu" where that module is emulated.

        Raises:
            RuntimeError: CUDA makes no stream.
        """
        self._stream, self._kind = cuda.Stream(), kind
        self.stream: int = self._stream.handle()
        self.lock = Lock()
        self.denoise_step: Callable[..., None] = partial(cuda.denoise_step, stream=self.stream)
        self.run_options = onnxruntime.RunOptions()
        # What comes next is queued on the same stream.
        self.run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def array(self, host: NDArray[Any]) -> Array:
        """What stands for the array ``host`` there; its values come with `upload`."""
        return DeviceArray(host, self._kind)

    def value(self, array: Any) -> OrtValue:
        """The same memory as a network takes it."""
        return array.value

    def upload(self, arrays: Iterable[Any]) -> None:
        """Copy from the host. Done when it returns, and seen by what is queued after."""
        for array in arrays:
            array.value.update_inplace(array.host)

    def download(self, array: Any) -> None:
        """Copy to the host, after all that is queued."""
        self._stream.synchronize()
        np.copyto(array.host, array.value.numpy())


Memory: TypeAlias = Host | Device


def memory_of(bundle: Bundle, compute: Compute) -> Memory:
    """Where the chain works: on the GPU if the denoiser does and `parlante._cuda` is built.

    Raises:
        BundleError: as `Bundle.session`.
        DeviceError: as `Bundle.session`.
    """
    if resolve_device(compute.device) == "cuda" and (device := first_gpu()) is not None:
        session = bundle.session(
            compute.network("denoise"),
            device=compute.device,
            threads=compute.threads,
            stream=device.stream,
        )
        if runs_on(session, "cuda"):  # not where "auto" has given up
            return device
    return Host(compute.threads)


@cache
def first_gpu() -> Device | None:
    """The first GPU with one stream for all, as sessions are; None if `_cuda` cannot use it."""
    try:
        return Device(importlib.import_module("parlante._cuda"), "cuda")
    except ImportError:
        _log.debug("parlante was built without CUDA; steps of the denoiser run on the CPU")
    except RuntimeError as error:
        _log.warning("%s; steps of the denoiser run on the CPU", error)
    return None
