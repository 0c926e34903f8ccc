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

# The numbers of csrc/contract.h.
SAMPLE_RATE: int
FFT_SIZE: int
HOP_LENGTH: int
MEL_BANDS: int
MEL_LOW_HZ: float
MEL_HIGH_HZ: float
MEL_FLOOR: float
UNSHUFFLE: int
COLOR_PLANES: int
PACKED_PLANES: int
EDGE_REACH: int

def isa_levels() -> list[str]: ...
def isa_level() -> str: ...
def set_isa_level(name: str) -> None: ...

class Resampler:
    def __init__(self, in_rate: int, out_rate: int = 16000) -> None: ...
    def process(self, x: _F32) -> NDArray[np.float32]: ...
    def flush(self) -> NDArray[np.float32]: ...
    def reset(self) -> None: ...

class LogMel:
    def __init__(self) -> None: ...
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
    reference: _U8 | None,
    flow: _F32,
    condition: _F32,
    *,
    inside: _F32 | None = None,
    cover: _F32 | None = None,
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
    next: _F16 | _U8 | None = None,
    scale: float = 1.0,
    zero_point: float = 0.0,
    threads: int = 1,
) -> None: ...
def compose(
    source: _U8,
    plate: _U8,
    warp: _F32,
    x0: _F32 | None,
    condition: _F32 | None,
    cover: _F32 | None,
    places: _F32,
    bands: _I32,
    out: _U8,
    *,
    format: Literal["rgb", "bgr", "rgba", "nv12"] = "rgb",
    background: Literal["plate", "alpha"] | tuple[int, int, int] = "plate",
    corner: tuple[int, int] = (0, 0),
    threads: int = 1,
) -> None: ...
def soften(image: _U8, outlines: _F32, flow: _F32) -> None: ...
