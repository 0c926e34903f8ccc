"""Convert U2-Net's small variant, which finds what stands out in a picture, for the bundle.

Its file ``more/u2netp.onnx`` computes shapes at run time, gives seven maps and takes colours as
ImageNet's mean and deviation make them. Here: one input ``image`` f32[1,3,256,256], RGB in [0,1],
one output ``salience`` f32[1,1,256,256] in [0,1], weights stored in half precision.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.version_converter import convert_version

from export.face_models import IR_VERSION, OPSET, remove_dead_nodes

U2NET = "more/u2netp.onnx"
SIDE = 256
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def convert_salience(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network as the bundle has it."""
    graph = model.graph
    first, last = graph.input[0].name, graph.output[0].name
    for value, name, channels in (
        (graph.input[0], first, 3),
        (graph.output[0], last, 1),
    ):
        shape = [1, channels, SIDE, SIDE]
        value.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    del graph.output[1:], graph.value_info[:]
    model = _folded(model)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 11))
    graph = convert_version(model, OPSET).graph
    remove_dead_nodes(graph)
    empty = {tensor.name for tensor in graph.initializer if 0 in tensor.dims}
    for node in graph.node:
        given = ["whitened" if name == first else name for name in node.input]
        node.input[:] = ["" if name in empty else name for name in given]  # scales beside sizes
        node.output[:] = ["salience" if name == last else name for name in node.output]
    constants = [tensor for tensor in graph.initializer if tensor.name not in empty]
    casts = [_halve(tensor) for tensor in constants if tensor.data_type == TensorProto.FLOAT]
    colours = [
        numpy_helper.from_array(np.array(values, np.float32).reshape(1, 3, 1, 1), name)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION))
    ]
    whiten = [
        helper.make_node("Sub", ["image", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["whitened"]),
    ]
    done = helper.make_model(
        helper.make_graph(
            [*casts, *whiten, *graph.node],
            "salience",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("salience", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
            [*constants, *colours],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="parlante",
        doc_string="u2netp.onnx of U-2-Net (Apache-2.0), converted",
    )
    onnx.checker.check_model(done, full_check=True)
    return done


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model whose shapes are constants, computed once."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return onnx.load(path)


def _halve(tensor: onnx.TensorProto) -> onnx.NodeProto:
    """Make a constant half as large; what gives it back as float32, under its name."""
    name = tensor.name
    values = numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(numpy_helper.from_array(values, f"{name}_half"))
    return helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)
