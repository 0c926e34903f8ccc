"""Make the bundle's ready-trained networks: face detector, face landmarks and person matte.

    python -m export.face_models --assets DIR --out python/parlante/assets/networks

DIR holds ``yunet_n_640_640.onnx`` (YuNet), ``face_landmarker.task`` (a zip) and
``selfie_segmentation.tflite`` (both MediaPipe). Needs ``onnx`` and ``ai-edge-litert`` (for the
TFLite schema) from PyPI; ``python/parlante`` needs neither.

Every graph is float32, NCHW, batch 1, with one input ``image`` f32[1,3,N,N]: RGB in [0,1].
Outputs, in pixels of that input (those of the landmarks with pixel *corners* at integers):

- ``face_detector`` (N = 640): ``scores`` f32[8400] in [0,1], ``boxes`` f32[8400,4] (left, top,
  right, bottom), ``keypoints`` f32[8400,5,2] (eyes, nose tip, mouth corners);
- ``face_landmarks`` (N = 256): ``landmarks`` f32[1,478,3] (z in the same scale, smaller is
  nearer), ``presence`` f32[1,1] in [0,1];
- ``matte`` (N = 256): ``matte`` f32[1,1,256,256] in [0,1].

TFLite is NHWC and ONNX Runtime's CPU kernels are NCHW, so tensors are *declared* in the other
order instead of being transposed: each operator is translated with its axes renamed. MediaPipe's
weights keep the half precision in which they are shipped; a Cast, folded when the session is
created, makes them float32.
"""

from __future__ import annotations

import argparse
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

logger = logging.getLogger(__name__)

OPSET = 17
IR_VERSION = 8
SAME_PADDING = schema.Padding.SAME
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Source:
    """A TFLite network: its file (``archive``: the zip around it), the names of its outputs."""

    name: str
    archive: str | None
    member: str
    outputs: dict[int, str]  # index of the TFLite output -> ONNX name; the others are dropped


SOURCES = (
    # Output 1 is the logit of "there is a face", output 2 the probability of a tongue put out.
    Source(
        "face_landmarks",
        "face_landmarker.task",
        "face_landmarks_detector.tflite",
        {0: "landmarks", 1: "presence"},
    ),
    Source("matte", None, "selfie_segmentation.tflite", {0: "matte"}),
)
YUNET = "yunet_n_640_640.onnx"


def load_tflite(assets: Path, source: Source) -> bytes:
    """Bytes of the TFLite model of ``source`` below ``assets``."""
    if source.archive is None:
        return (assets / source.member).read_bytes()
    with zipfile.ZipFile(assets / source.archive) as archive:
        return archive.read(source.member)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis for TFLite's SAME padding (the odd one goes after)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass
class Converter:
    """Translates one TFLite graph; a method ``_<operator>`` appends the nodes of that operator."""

    model: Any
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    names: dict[int, str] = field(
        default_factory=dict
    )  # TFLite tensor -> ONNX value (NCHW if it has four axes)
    constants: dict[int, Array] = field(
        default_factory=dict
    )  # TFLite tensor -> its value, dequantised
    unused: int = 0

    def __post_init__(self) -> None:
        self.graph = self.model.subgraphs[0]
        builtin = schema.BuiltinOperator
        self.translate: dict[int, Callable[[Any], None]] = {
            builtin.ADD: lambda op: self._binary(op, "Add"),
            builtin.AVERAGE_POOL_2D: self._global_average,
            builtin.CONV_2D: self._conv,
            builtin.CUSTOM: self._transposed_conv,
            builtin.DEPTHWISE_CONV_2D: self._depthwise_conv,
            builtin.DEQUANTIZE: self._dequantize,
            builtin.HARD_SWISH: self._hard_swish,
            builtin.LOGISTIC: lambda op: self._unary(op, "Sigmoid"),
            builtin.MAX_POOL_2D: self._max_pool,
            builtin.MUL: lambda op: self._binary(op, "Mul"),
            builtin.PAD: self._pad_channels,
            builtin.PRELU: self._prelu,
            builtin.RELU: lambda op: self._unary(op, "Relu"),
            builtin.RESHAPE: self._reshape,
            builtin.RESIZE_BILINEAR: self._resize,
        }

    # ---- graph

    def run(self, source: Source) -> onnx.ModelProto:
        """The whole graph as an ONNX model."""
        (image,) = self.graph.inputs
        size = int(self.graph.tensors[image].shape[1])
        self.names[image] = "image"
        for operator in self.graph.operators:
            code = self.model.operatorCodes[operator.opcodeIndex]
            # Old files keep the code in a byte, new ones in an int32; the larger is the one in use.
            kind = max(code.builtinCode, code.deprecatedBuiltinCode)
            if kind not in self.translate:
                raise ValueError(f"{source.member}: TFLite operator {kind} has no translation")
            self.translate[kind](operator)

        outputs = []
        for index, name in source.outputs.items():
            tensor = self.graph.outputs[index]
            value, shape = self.names[tensor], self.shape(tensor)
            if name == "landmarks":
                shape = (1, 478, 3)
                value = self.node("Reshape", [value, self.constant(np.array(shape, np.int64))])
            elif name == "presence":
                shape = (1, 1)
                value = self.node("Sigmoid", [value])
                value = self.node("Reshape", [value, self.constant(np.array(shape, np.int64))])
            elif len(shape) == 4:
                shape = tuple(shape[axis] for axis in (0, 3, 1, 2))
            self.nodes.append(helper.make_node("Identity", [value], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        graph = helper.make_graph(
            self.nodes,
            source.name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, size, size))],
            outputs,
            self.initializers,
        )
        remove_dead_nodes(graph)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="parlante",
            doc_string=f"{source.member} of Google MediaPipe (Apache-2.0), converted",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.graph.tensors[tensor].shape)

    def fresh(self) -> str:
        self.unused += 1
        return f"v{self.unused}"

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node with one output and return that output's name."""
        output = self.fresh()
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: Array | np.generic) -> str:
        """An initializer; stored in half precision where that loses nothing and saves something."""
        array = np.asarray(value)
        name = self.fresh()
        half = array.astype(np.float16) if array.dtype == np.float32 and array.size > 64 else None
        if half is None or not np.array_equal(half.astype(np.float32), array):
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            return name
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(half), name))
        return self.node("Cast", [name], to=TensorProto.FLOAT)

    def value(self, tensor: int) -> Array:
        """Value of a constant TFLite tensor, in TFLite's axis order."""
        if tensor in self.constants:
            return self.constants[tensor]
        kinds = {
            schema.TensorType.FLOAT32: np.float32,
            schema.TensorType.FLOAT16: np.float16,
            schema.TensorType.INT32: np.int32,
        }
        description = self.graph.tensors[tensor]
        data = self.model.buffers[description.buffer].data
        if data is None:
            raise ValueError(f"tensor {tensor} ({description.name!r}) is not a constant")
        return np.frombuffer(bytes(data), kinds[description.type]).reshape(self.shape(tensor))

    # ---- operators

    def _dequantize(self, op: Any) -> None:
        self.constants[op.outputs[0]] = self.value(op.inputs[0]).astype(np.float32)

    def _unary(self, op: Any, kind: str) -> None:
        self.names[op.outputs[0]] = self.node(kind, [self.names[op.inputs[0]]])

    def _binary(self, op: Any, kind: str) -> None:
        self.require_no_activation(op)
        self.names[op.outputs[0]] = self.node(kind, [self.names[tensor] for tensor in op.inputs])

    def _hard_swish(self, op: Any) -> None:
        # The runtime expands ONNX's HardSwish into just this, but only after its fusions.
        x = self.names[op.inputs[0]]
        gate = self.node("HardSigmoid", [x], alpha=1.0 / 6.0, beta=0.5)
        self.names[op.outputs[0]] = self.node("Mul", [x, gate])

    def _prelu(self, op: Any) -> None:
        # prelu(x) = a x + (1 - a) relu(x). ONNX Runtime's PRelu is slow scalar code; depthwise 1x1
        # convolutions stay in its blocked layout: 12.2 ms -> 3.3 ms for the landmarks on one core.
        x = self.names[op.inputs[0]]
        slope = self.value(op.inputs[1]).reshape(-1, 1, 1, 1)
        scaled, positive = (
            self.node("Conv", [value, self.constant(weight)], group=len(slope), kernel_shape=[1, 1])
            for value, weight in ((x, slope), (self.node("Relu", [x]), 1 - slope))
        )
        self.names[op.outputs[0]] = self.node("Add", [scaled, positive])

    def _conv(self, op: Any) -> None:
        weight = self.value(op.inputs[1]).transpose(0, 3, 1, 2)  # OHWI -> OIHW
        self.add_conv(op, weight, 1)

    def _depthwise_conv(self, op: Any) -> None:
        if op.builtinOptions.depthMultiplier != 1:
            raise ValueError(f"depth multiplier {op.builtinOptions.depthMultiplier}, expected 1")
        weight = self.value(op.inputs[1]).transpose(3, 0, 1, 2)  # 1HWC -> C1HW
        self.add_conv(op, weight, weight.shape[0])

    def add_conv(self, op: Any, weight: Array, group: int) -> None:
        options = op.builtinOptions
        self.require_no_activation(op)
        self.names[op.outputs[0]] = self.node(
            "Conv",
            [
                self.names[op.inputs[0]],
                self.constant(weight),
                self.constant(self.value(op.inputs[2])),
            ],
            group=group,
            kernel_shape=list(weight.shape[2:]),
            strides=[options.strideH, options.strideW],
            dilations=[options.dilationHFactor, options.dilationWFactor],
            pads=self.pads(op, weight.shape[2], weight.shape[3]),
        )

    def _transposed_conv(self, op: Any) -> None:
        # Its options: padding, stride width, stride height (int32 each).
        name = self.model.operatorCodes[op.opcodeIndex].customCode
        if name != b"Convolution2DTransposeBias":
            raise ValueError(f"custom operator {name!r} has no translation")
        weight = self.value(op.inputs[1]).transpose(3, 0, 1, 2)  # OHWI -> IOHW
        _, stride_w, stride_h = np.frombuffer(bytes(op.customOptions), np.int32)
        if weight.shape[2:] != (stride_h, stride_w):
            raise ValueError("a transposed convolution with overlapping taps has no translation")
        self.names[op.outputs[0]] = self.node(
            "ConvTranspose",
            [
                self.names[op.inputs[0]],
                self.constant(weight),
                self.constant(self.value(op.inputs[2])),
            ],
            kernel_shape=list(weight.shape[2:]),
            strides=[int(stride_h), int(stride_w)],
        )

    def _max_pool(self, op: Any) -> None:
        options = op.builtinOptions
        self.require_no_activation(op)
        self.names[op.outputs[0]] = self.node(
            "MaxPool",
            [self.names[op.inputs[0]]],
            kernel_shape=[options.filterHeight, options.filterWidth],
            strides=[options.strideH, options.strideW],
            pads=self.pads(op, options.filterHeight, options.filterWidth),
        )

    def _global_average(self, op: Any) -> None:
        options, shape = op.builtinOptions, self.shape(op.inputs[0])
        if (options.filterHeight, options.filterWidth) != shape[1:3]:
            raise ValueError("only average pooling over the whole image has a translation")
        self.names[op.outputs[0]] = self.node("GlobalAveragePool", [self.names[op.inputs[0]]])

    def _pad_channels(self, op: Any) -> None:
        amounts = self.value(op.inputs[1])
        if amounts[:3].any():
            raise ValueError(f"padding {amounts.tolist()}: only channels may be padded")
        before, after = (int(amount) for amount in amounts[3])
        pads = np.array([0, before, 0, 0, 0, after, 0, 0], np.int64)
        self.names[op.outputs[0]] = self.node(
            "Pad", [self.names[op.inputs[0]], self.constant(pads)]
        )

    def _resize(self, op: Any) -> None:
        if not op.builtinOptions.halfPixelCenters or op.builtinOptions.alignCorners:
            raise ValueError("only resizing with half-pixel centres has a translation")
        (_, height, width, _), (_, new_height, new_width, _) = (
            self.shape(op.inputs[0]),
            self.shape(op.outputs[0]),
        )
        scales = np.array([1, 1, new_height / height, new_width / width], np.float32)
        self.names[op.outputs[0]] = self.node(
            "Resize",
            [self.names[op.inputs[0]], "", self.constant(scales)],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _reshape(self, op: Any) -> None:
        # Only the head that is dropped, [1,1,1,1] -> [1,1].
        if np.prod(self.shape(op.inputs[0])) != 1:
            raise ValueError("reshaping has a translation for single numbers only")
        self.names[op.outputs[0]] = self.names[op.inputs[0]]

    def pads(self, op: Any, kernel_h: int, kernel_w: int) -> list[int]:
        if op.builtinOptions.padding != SAME_PADDING:
            return [0, 0, 0, 0]
        _, height, width, _ = self.shape(op.inputs[0])
        top, bottom = same_padding(height, kernel_h, op.builtinOptions.strideH)
        left, right = same_padding(width, kernel_w, op.builtinOptions.strideW)
        return [top, left, bottom, right]

    def require_no_activation(self, op: Any) -> None:
        if op.builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.NONE:
            raise ValueError("fused activations have no translation")


def remove_dead_nodes(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that no output needs (the heads that were not asked for)."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(initializers)


def convert_tflite(tflite: bytes, source: Source) -> onnx.ModelProto:
    """The ONNX model of one TFLite file; ValueError for what the two networks do not use."""
    return Converter(schema.ModelT.InitFromPackedBuf(tflite, 0)).run(source)


def convert_yunet(model: onnx.ModelProto) -> onnx.ModelProto:
    """YuNet with RGB in [0,1] for its BGR in 0...255, and with its decoding made part of the graph.

    Decoding as in OpenCV's FaceDetectorYN: for the cell (column, row) of a grid with ``stride``,
    score = sqrt(cls * obj), centre = stride * (cell + bbox[:2]), size = stride * exp(bbox[2:]),
    keypoint = stride * (cell + kps).
    """
    graph = model.graph
    (image,) = graph.input
    side = image.type.tensor_type.shape.dim[3].dim_value
    first = next(node for node in graph.node if image.name in node.input)
    weight = next(tensor for tensor in graph.initializer if tensor.name == first.input[1])
    rgb = numpy_helper.to_array(weight)[:, ::-1] * np.float32(255)
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rgb), weight.name))
    first.input[0] = image.name = "image"

    strides = (8, 16, 32)
    cells, scales = [], []
    for stride in strides:
        row, column = np.mgrid[: side // stride, : side // stride]
        cells.append(np.stack([column.ravel(), row.ravel()], axis=1))
        scales.append(np.full((len(cells[-1]), 1), stride))
    cell = np.concatenate(cells).astype(np.float32)
    scale = np.concatenate(scales).astype(np.float32)
    count = len(cell)
    constants = {
        "cell": cell,
        "stride": scale,
        "half": np.float32(0.5),
        "shape_scores": np.array([count], np.int64),
        "shape_boxes": np.array([count, 4], np.int64),
        "shape_keypoints": np.array([count, 5, 2], np.int64),
        "shape_cell_of_keypoint": np.array([count, 1, 2], np.int64),
        "shape_stride_of_keypoint": np.array([count, 1, 1], np.int64),
    }
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    for head in ("cls", "obj", "bbox", "kps"):
        parts = [f"{head}_{stride}" for stride in strides]
        graph.node.append(helper.make_node("Concat", parts, [head], axis=1))
    for kind, inputs, outputs, attributes in (
        ("Mul", ["cls", "obj"], ["likelihood"], {}),
        ("Sqrt", ["likelihood"], ["root"], {}),
        ("Reshape", ["root", "shape_scores"], ["scores"], {}),
        ("Reshape", ["bbox", "shape_boxes"], ["bbox_rows"], {}),
        ("Split", ["bbox_rows"], ["offset", "log_size"], {"axis": 1, "split": [2, 2]}),
        ("Add", ["offset", "cell"], ["centre_cells"], {}),
        ("Mul", ["centre_cells", "stride"], ["centre"], {}),
        ("Exp", ["log_size"], ["size_cells"], {}),
        ("Mul", ["size_cells", "stride"], ["size"], {}),
        ("Mul", ["size", "half"], ["half_size"], {}),
        ("Sub", ["centre", "half_size"], ["near"], {}),
        ("Add", ["centre", "half_size"], ["far"], {}),
        ("Concat", ["near", "far"], ["boxes"], {"axis": 1}),
        ("Reshape", ["kps", "shape_keypoints"], ["kps_rows"], {}),
        ("Reshape", ["cell", "shape_cell_of_keypoint"], ["cell_of_keypoint"], {}),
        ("Reshape", ["stride", "shape_stride_of_keypoint"], ["stride_of_keypoint"], {}),
        ("Add", ["kps_rows", "cell_of_keypoint"], ["kps_cells"], {}),
        ("Mul", ["kps_cells", "stride_of_keypoint"], ["keypoints"], {}),
    ):
        graph.node.append(helper.make_node(kind, inputs, outputs, **attributes))
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("scores", [count]),
            ("boxes", [count, 4]),
            ("keypoints", [count, 5, 2]),
        )
    )
    graph.name = "face_detector"
    model.doc_string = f"{YUNET} of libfacedetection, decoding included"
    onnx.checker.check_model(model, full_check=True)
    return model


def convert(assets: Path) -> dict[str, onnx.ModelProto]:
    """The three networks, by name."""
    models = {"face_detector": convert_yunet(onnx.load(assets / YUNET))}
    for source in SOURCES:
        models[source.name] = convert_tflite(load_tflite(assets, source), source)
    return models


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="The bundle's face detector, landmarks and matte")
    parser.add_argument("--assets", type=Path, required=True, help="folder of the source networks")
    parser.add_argument("--out", type=Path, required=True, help="folder for the .onnx files")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, model in convert(options.assets).items():
        path = options.out / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        logger.info("%s: %d bytes, %d nodes", path, path.stat().st_size, len(model.graph.node))


if __name__ == "__main__":
    main()
