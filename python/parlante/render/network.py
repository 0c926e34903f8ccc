"""Networks bound to memory that stays where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}


class BoundNetwork:
    """A network whose inputs and outputs stay where they are.

    A run copies and allocates nothing of theirs.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, inputs: dict[str, NDArray[Any]]
    ) -> None:
        """inputs: arrays that `run` reads, C-contiguous, of the network's own types and shapes."""
        self._session, self._binding, self.inputs = session, session.io_binding(), inputs
        self.outputs: dict[str, NDArray[Any]] = {
            value.name: np.empty(value.shape, DTYPES[value.type]) for value in session.get_outputs()
        }
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, _value(array))
        for name, array in self.outputs.items():
            self._binding.bind_ortvalue_output(name, _value(array))

    def run(self) -> None:
        """From `inputs`, as they are, to `outputs`."""
        self._session.run_with_iobinding(self._binding)


def _value(array: NDArray[Any]) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
