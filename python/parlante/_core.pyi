"""Types of the native CPU ops (see csrc/). Arrays are C-contiguous and checked at the border;
anything that shares host memory by DLPack is one, too: torch on the CPU, JAX, OrtValues to read."""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

class _Shared(Protocol):
    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> Any: ...

_F32 = NDArray[np.float32] | _Shared
_I32 = NDArray[np.int32] | _Shared
_F16 = NDArray[np.float16]
_U8 = NDArray[np.uint8] | _Shared
_U32 = NDArray[np.uint32] | _Shared

class Resampler:
    def __init__(self, in_rate: int, out_rate: int = 16000) -> None: ...
    def process(self, x: _F32) -> NDArray[np.float32]: ...
    def flush(self) -> NDArray[np.float32]: ...
    def reset(self) -> None: ...

class LogMel:
    def __init__(self, *, lanes: int = 0) -> None: ...
    def process(self, x: _F32, out: _F32 | None = None) -> NDArray[np.float32]: ...
    def reset(self) -> None: ...

def log_mel(x: _F32, out: _F32 | None = None) -> NDArray[np.float32]: ...
def rasterize(
    vertices: _F32,
    triangles: _I32,
    attributes: _F32,
    out: _F32,
    depth: _F32,
    *,
    threads: int = 1,
) -> None: ...
def pack(
    source: _U8,
    plate: _U8,
    warp: _F32,
    interior: _F32,
    features: _F32,
    condition: _F32,
    *,
    threads: int = 1,
) -> None: ...
def denoise_step(
    residual: _F32 | None,
    x_t: _F32 | None,
    condition: _F32,
    warp: _F32 | None,
    out: _F32,
    *,
    c_x0: float,
    c_xt: float,
    sigma: float,
    seed: int,
    step: int,
    residual_uncond: _F32 | None = None,
    guidance: float = 1.0,
    next: _F16 | _U8 | None = None,
    scale: float = 1.0,
    zero_point: float = 0.0,
    threads: int = 1,
) -> None: ...
def philox4x32(counters: _U32, key: int, out: _U32) -> None: ...
def compose(
    source: _U8,
    plate: _U8,
    warp: _F32,
    x0: _F32,
    condition: _F32,
    out: _U8,
    *,
    format: Literal["rgb", "bgr", "rgba", "nv12"] = "rgb",
    background: Literal["plate", "picture", "alpha"] | tuple[int, int, int] = "plate",
    threads: int = 1,
) -> None: ...
