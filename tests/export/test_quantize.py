"""Networks in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra [train]")

import onnx
import onnxruntime
import torch

from export import quantize
from export.networks import Network, export


def test_network_in_8_bits(random_networks: dict[str, Network], tmp_path: Path) -> None:
    """Nearly the same answers; the layers that are to be kept are, bit for bit, what they were."""
    network = random_networks["denoise"]
    whole, small = tmp_path / "denoise.onnx", tmp_path / "small.onnx"
    export(network, whole)
    generator = torch.Generator().manual_seed(3)

    def drawn() -> dict[str, NDArray[np.float32]]:
        shapes = {name: example.shape for name, example in network.inputs.items()}
        made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        return {k: v.numpy() for k, v in (made | {"timestep": torch.tensor([199.0])}).items()}

    written = quantize.quantize(whole, small, [drawn() for _ in range(4)])["x_t"]
    nodes = onnx.load(small).graph.node
    quantised = {n.output[0] for n in nodes if n.op_type == "DequantizeLinear"}
    convolutions = [n for n in nodes if n.op_type == "Conv"]
    floats = [n for n in convolutions if n.input[1] not in quantised]
    assert len(floats) == len(quantize.KEPT["denoise"]) < len(convolutions)
    inputs = drawn()
    steps = np.rint(inputs["x_t"] / np.float32(written["scale"])) + written["zero_point"]
    octets = {"x_t": steps.clip(0, 255).astype(np.uint8)}
    one, other = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, given)[0]
        for path, given in ((whole, inputs), (small, inputs | octets))
    )
    # A step of 8 bits over the range, a dozen layers deep.
    assert 0 < np.square(one - other).mean() < 0.05**2 * np.square(one).mean()
