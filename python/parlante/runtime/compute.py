"""Where and how networks and native ops compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from parlante.contract import Precision
from parlante.errors import ParlanteError, shown

MAX_THREADS = 64


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Device, number format and threads of one avatar.

    Raises:
        ParlanteError: a value is out of its range. (Whether the device is there shows when the
            first network is loaded.)
    """

    device: str = field(
        default="cpu",
        metadata={"help": "cpu, openvino (needs onnxruntime-openvino), cuda or auto"},
    )
    """``"cpu"``; ``"openvino"``: the CPU, the renderer's networks through OpenVINO; ``"cuda"``:
    networks on the GPU, with CUDA kernels compiled (`parlante doctor`) all of a frame's diffusion
    chain; ``"auto"``: CUDA where it works, else the CPU."""

    precision: Precision = field(
        default="float32", metadata={"help": "of the renderer: float32, int8 or float16"}
    )
    """What the renderer's networks compute in. ``"int8"`` is faster on a CPU with VNNI;
    ``"float16"`` needs a bundle that has it."""

    threads: int = field(
        default=2,
        metadata={"help": "CPU threads, 1 to 64; no more than there are cores to spare"},
    )
    """CPU threads, 1 to 64: `speak` draws as many frames at once and gives as many to the encoder,
    a live session draws each frame with all of them. Use no more than the cores you can spare:
    where other programs keep them busy, 1 is faster than 2, for threads wait for each other."""

    def __post_init__(self) -> None:
        if not isinstance(self.precision, str) or self.precision not in get_args(Precision):
            raise ParlanteError(
                f"precision={shown(self.precision)}; give one of {', '.join(get_args(Precision))}"
            )
        if (
            isinstance(self.threads, bool)
            or not isinstance(self.threads, int)
            or not 1 <= self.threads <= MAX_THREADS
        ):
            raise ParlanteError(
                f"threads={shown(self.threads)}; give a whole number from 1 to {MAX_THREADS}"
            )

    def network(self, name: str) -> str:
        """The network ``name`` of the renderer, in this number format."""
        return name if self.precision == "float32" else f"{name}_{self.precision}"
