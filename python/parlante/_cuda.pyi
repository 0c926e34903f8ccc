"""Types of the CUDA twins. Arrays are C-contiguous, on the device; `stream` is a cudaStream_t."""

from typing import Any, Literal, Protocol

class _DeviceArray(Protocol):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...

class Stream:
    def __init__(self) -> None: ...
    def handle(self) -> int: ...
    def synchronize(self) -> None: ...

class LogMel:
    def __init__(self) -> None: ...
    def __call__(self, x: _DeviceArray, out: _DeviceArray, *, stream: int) -> None: ...

def rasterize(
    vertices: _DeviceArray,
    triangles: _DeviceArray,
    attributes: _DeviceArray,
    out: _DeviceArray,
    depth: _DeviceArray,
    *,
    stream: int,
) -> None: ...
def pack(
    source: _DeviceArray,
    reference: _DeviceArray | None,
    flow: _DeviceArray,
    condition: _DeviceArray,
    *,
    inside: _DeviceArray | None = None,
    cover: _DeviceArray | None = None,
    stream: int,
) -> None: ...
def denoise_step(
    residual: _DeviceArray | None,
    x_t: _DeviceArray | None,
    condition: _DeviceArray,
    warp: _DeviceArray | None,
    out: _DeviceArray,
    *,
    c_x0: float,
    c_xt: float,
    sigma: float,
    seed: int,
    step: int,
    next: _DeviceArray | None = None,
    scale: float = 1.0,
    zero_point: float = 0.0,
    stream: int,
) -> None: ...
def compose(
    source: _DeviceArray,
    plate: _DeviceArray,
    warp: _DeviceArray,
    x0: _DeviceArray | None,
    condition: _DeviceArray | None,
    cover: _DeviceArray | None,
    places: _DeviceArray,
    bands: _DeviceArray,
    out: _DeviceArray,
    *,
    format: Literal["rgb", "bgr", "rgba", "nv12"] = "rgb",
    background: Literal["plate", "alpha"] | tuple[int, int, int] = "plate",
    corner: tuple[int, int] = (0, 0),
    stream: int,
) -> None: ...
