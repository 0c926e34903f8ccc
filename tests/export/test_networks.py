"""Networks in ONNX: they answer as PyTorch does, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra [train]")

import onnx
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

import export.networks as export_module
from export.networks import TOLERANCE, Network, compare, export, networks, store_half
from parlante.render.schedule import make_schedule


def test_export_of_a_renderer_without_diffusion(random_weights: Path, tmp_path: Path) -> None:
    """Its sampling starts where the noise is next to nothing, at the timestep it was trained at."""
    for path in random_weights.iterdir():
        metadata = {"without": "diffusion"} if path.stem == "renderer" else None
        save_file(load_file(path), tmp_path / path.name, metadata)
    assert networks(random_weights)["denoise"].extra["sampler"] == "shift"
    extra = networks(tmp_path)["denoise"].extra
    schedule = make_schedule(1, sampler=extra["sampler"], start=extra["start"])
    assert schedule.start.sigma < 0.01
    assert [step.timestep for step in schedule.steps] == [0]


@pytest.mark.parametrize("name", ["attributes_encode", "audio_encode", "lip_decode", "denoise"])
def test_exported_network_agrees(
    name: str, random_networks: dict[str, Network], tmp_path: Path
) -> None:
    """On inputs that the export's own check has not seen."""
    network = random_networks[name]
    path = tmp_path / f"{name}.onnx"
    assert export(network, path) <= TOLERANCE
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {
        k: v * 0.7 + torch.rand_like(v) * 0.1 if v.is_floating_point() else torch.ones_like(v)
        for k, v in network.inputs.items()
    }
    made = session.run(list(network.outputs), {k: v.numpy() for k, v in inputs.items()})
    with torch.no_grad():
        wanted = network.module(*inputs.values())
    for a, b in zip(made, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        assert a.shape == tuple(b.shape)
        # Float32 on both sides: only the order of sums differs.
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=TOLERANCE * float(b.abs().max()))
        assert float(b.abs().max()) > 1e-3
    # Half of float32's size, and nothing of the machine that wrote it.
    data = path.read_bytes()
    count = sum(p.numel() for p in network.module.parameters())
    assert len(data) < 2 * count + 60_000
    assert str(Path(__file__).parents[1]).encode() not in data


def test_export_refuses_another_network(
    random_networks: dict[str, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that changed on the way to ONNX are noticed, and no file is left."""
    from onnx import ModelProto, numpy_helper

    def damaged(model: ModelProto) -> ModelProto:
        weight = max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
        values: NDArray[Any] = numpy_helper.to_array(weight).copy()
        values.flat[: values.size // 10] += np.float32(0.25)
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        return store_half(model)

    monkeypatch.setattr(export_module, "store_half", damaged)
    path = tmp_path / "attributes_decode.onnx"
    with pytest.raises(RuntimeError, match=r"attributes_decode\.onnx: differs from PyTorch"):
        export(random_networks["attributes_decode"], path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["condition", "denoise"])
def test_network_in_float16(random_networks: dict[str, Network], tmp_path: Path, name: str) -> None:
    """It computes in float16, and what `_core` does not write in that stays float32."""
    path = tmp_path / "half.onnx"
    network = random_networks[name]
    assert 1e-6 < export(network, path, half=True) < 2e-2
    weights = [t for t in onnx.load(path).graph.initializer if np.prod(t.dims) > 256]
    assert {t.data_type for t in weights} == {onnx.TensorProto.FLOAT16}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    halves = {v.name for v in session.get_inputs() + session.get_outputs() if "16" in v.type}
    wanted = {"context1", "context2", "gate"} | ({"x_t"} if name == "denoise" else set())
    assert halves == wanted


def test_store_half_keeps_what_is_not_half() -> None:
    """Numbers that float16 cannot hold stay as they are; small tensors always do."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {
        "half": rng.normal(size=(32, 32)).astype(np.float16).astype(np.float32),
        "single": rng.normal(size=(32, 32)).astype(np.float32),
        "bias": np.zeros(32, np.float32),
    }
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])
    nodes = [
        helper.make_node("MatMul", ["x", "half"], ["a"]),
        helper.make_node("MatMul", ["a", "single"], ["b"]),
        helper.make_node("Add", ["b", "bias"], ["y"]),
    ]
    initializers = [numpy_helper.from_array(v, k) for k, v in arrays.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    stored = store_half(model)
    kinds = {t.name: t.data_type for t in stored.graph.initializer}
    assert kinds == {
        "half.half": TensorProto.FLOAT16,
        "single": TensorProto.FLOAT,
        "bias": TensorProto.FLOAT,
    }
    session = onnxruntime.InferenceSession(
        stored.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = rng.normal(size=(1, 32)).astype(np.float32)
    wanted = given.astype(np.float64) @ arrays["half"] @ arrays["single"]
    # 32 products of numbers around 1, twice.
    np.testing.assert_allclose(session.run(["y"], {"x": given})[0], wanted, rtol=0, atol=1e-4)


def test_compare_measures_the_difference(
    random_networks: dict[str, Network], tmp_path: Path
) -> None:
    network = random_networks["attributes_decode"]
    path = tmp_path / "network.onnx"
    export(network, path)
    last = network.module.lip[-1].bias
    largest = float(network.module(*network.inputs.values()).detach().abs().max())
    with torch.no_grad():
        last += largest
        off = compare(network, path.read_bytes())
        last -= largest
    assert 0.4 < off <= 1.001
