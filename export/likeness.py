"""Convert SFace, which tells whether two faces are of one person, for the bundle.

Its file names every constant among the inputs. Here: one input ``face`` f32[1,3,112,112], RGB in
[0,255], one output ``likeness`` f32[1,128]. Weights stay in 8 bits.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from export.face_models import IR_VERSION, remove_dead_nodes

SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
SIDE, LENGTH = 112, 128


def convert_likeness(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network as the bundle has it."""
    graph = model.graph
    first, last = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.input[:] = ["face" if name == first else name for name in node.input]
        node.output[:] = ["likeness" if name == last else name for name in node.output]
    graph.output[0].name = "likeness"
    remove_dead_nodes(graph)
    done = helper.make_model(
        helper.make_graph(
            graph.node,
            "likeness",
            [helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("likeness", TensorProto.FLOAT, [1, LENGTH])],
            graph.initializer,
        ),
        opset_imports=model.opset_import,
        ir_version=max(IR_VERSION, model.ir_version),
        producer_name="parlante",
        doc_string=f"{SFACE} of OpenCV's model zoo (Apache-2.0), converted",
    )
    onnx.checker.check_model(done, full_check=True)
    return done
