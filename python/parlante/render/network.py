"""Networks bound to memory that stays where it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from parlante.render.memory import Array, Memory

DTYPES: Mapping[str, type[np.generic]] = {
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
        self,
        session: onnxruntime.InferenceSession,
        memory: Memory,
        inputs: Mapping[str, Array],
    ) -> None:
        """inputs: arrays there that `run` reads, C-contiguous, of the network's types and shapes.

        Those that are missing are to be bound before it runs.
        """
        self._session, self._memory = session, memory
        self._binding = session.io_binding()
        self.inputs: dict[str, Array] = {}
        for name, array in inputs.items():
            self.bind(name, array)
        self.outputs: dict[str, Array] = {
            value.name: memory.array(np.empty(value.shape, DTYPES[value.type]))
            for value in session.get_outputs()
        }
        for name, array in self.outputs.items():
            self._binding.bind_ortvalue_output(name, memory.value(array))

    def bind(self, name: str, array: Array) -> None:
        """Read the input ``name`` there from now on."""
        self.inputs[name] = array
        self._binding.bind_ortvalue_input(name, self._memory.value(array))

    def run(self) -> None:
        """From `inputs`, as they are, to `outputs`."""
        self._session.run_with_iobinding(self._binding, self._memory.run_options)
