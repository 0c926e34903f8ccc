"""A small bundle: one network, one file of arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.manifest import Part, write_manifest


def double(path: Path) -> None:
    """A network y = x + x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


PARTS = {
    "twice": Part("double.onnx", "Apache-2.0", "none", {"factor": [1.0, 2.0]}),
    "table": Part("table.npz", "CC-BY-4.0", "thin air"),
}


def write_bundle(folder: Path) -> None:
    """A bundle of `PARTS`, version 2.5."""
    double(folder / "double.onnx")
    np.savez(folder / "table.npz", a=np.arange(6).reshape(2, 3), b=np.float32(7))
    write_manifest(folder, PARTS, version="2.5")
