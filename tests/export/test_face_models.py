"""The networks of faces against the ones they were converted from.

``data/face_models_reference.npz`` holds what LiteRT (ai-edge-litert 2.3) computes from MediaPipe's
TFLite files, and ONNX Runtime from U2-Net's own, on pieces of the public-domain photo. The
converter itself is compared with LiteRT on a small network with random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from parlante.face.roi import to_tensor
from tests.support.face_samples import BUNDLE, MOUTH_CORNERS, NOSE, PUPILS, photo, session

REFERENCE = Path(__file__).parent / "data" / "face_models_reference.npz"
Floats = NDArray[np.float32]


def face_input() -> Floats:
    """The face at 2x without interpolation, so that it is the same with every OpenCV."""
    return to_tensor(photo()[61:189, 161:289].repeat(2, axis=0).repeat(2, axis=1))


def person_input() -> Floats:
    return to_tensor(photo()[:256, 96:352])


def test_landmarks_are_those_of_the_original() -> None:
    reference = np.load(REFERENCE)
    landmarks, presence = session("face_landmarks").run(
        ["landmarks", "presence"], {"image": face_input()}
    )
    assert presence[0, 0] > 0.99
    # The point of the conversion: invisible, 1/20 of a pixel of 256. Measured: 2.4e-4.
    assert np.abs(landmarks[0] - reference["landmarks"]).max() < 0.05
    assert abs(presence[0, 0] - reference["presence"]) < 1e-4


def test_matte_is_that_of_the_original() -> None:
    (matte,) = session("matte").run(["matte"], {"image": person_input()})
    reference = np.load(REFERENCE)["matte"].astype(np.float32)
    assert reference.min() < 0.01 and reference.max() > 0.99
    # The reference is stored in half precision, hence 1e-3; measured without: 9.5e-5.
    assert np.abs(matte[0, 0, 2::4, 2::4] - reference).max() < 2e-3


def test_salience_is_that_of_the_original() -> None:
    (salience,) = session("salience").run(["salience"], {"image": person_input()})
    reference = np.load(REFERENCE)["salience"].astype(np.float32)
    assert reference.min() < 0.01 and reference.max() > 0.99
    # Its weights are stored in half precision here, which soft edges show.
    difference = np.abs(salience[0, 0, 2::4, 2::4] - reference)
    assert difference.max() < 0.1
    assert difference.mean() < 1e-3


def test_detector_decodes_to_pixels_of_its_input() -> None:
    image = np.zeros((640, 640, 3), np.uint8)
    image[64:576, 64:576] = photo()
    scores, boxes, points = session("face_detector").run(
        ["scores", "boxes", "keypoints"], {"image": to_tensor(image)}
    )
    best = int(scores.argmax())
    assert 0.9 < scores[best] <= 1
    # By hand: from the hairline to the chin, from cheek to cheek.
    assert np.allclose(boxes[best] - 64, [181, 68, 269, 178], atol=14)
    assert np.allclose(points[best, :2] - 64, PUPILS, atol=4)
    assert np.allclose(points[best, 2] - 64, NOSE, atol=4)
    assert np.allclose(points[best, 3:] - 64, MOUTH_CORNERS, atol=5)


@pytest.mark.parametrize("name", ["face_detector", "face_landmarks", "matte", "salience"])
def test_networks_are_static_and_small(name: str) -> None:
    network = session(name)
    (image,) = network.get_inputs()
    assert image.name == "image"
    assert image.type == "tensor(float)"
    for value in (image, *network.get_outputs()):
        assert all(isinstance(size, int) for size in value.shape)
    sizes = {
        "face_detector": 0.5e6,
        "face_landmarks": 2.6e6,
        "matte": 0.3e6,
        "salience": 2.4e6,
    }
    assert (BUNDLE / f"{name}.onnx").stat().st_size < sizes[name]


class TinyNetwork:
    """Writes a TFLite file with random weights, operator by operator (NHWC)."""

    def __init__(self, schema: Any, size: int) -> None:
        self.schema = schema
        self.random = np.random.default_rng(7)
        self.buffers: list[Any] = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.image = self.tensor((1, size, size, 3))

    def tensor(self, shape: tuple[int, ...], value: NDArray[np.generic] | None = None) -> int:
        schema = self.schema
        tensor = schema.TensorT()
        tensor.name = f"t{len(self.tensors)}".encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = {
            "float16": schema.TensorType.FLOAT16,
            "int32": schema.TensorType.INT32,
        }.get(str(getattr(value, "dtype", "")), schema.TensorType.FLOAT32)
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(self.tensors[tensor].shape)

    def weight(self, *shape: int, scale: float = 0.5) -> int:
        """Half precision and dequantised, as MediaPipe ships its weights."""
        value = (self.random.standard_normal(shape) * scale).astype(np.float16)
        return self.add("DEQUANTIZE", [self.tensor(shape, value)], shape)

    def add(
        self,
        kind: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str | None = None,
        **fields: Any,
    ) -> int:
        schema = self.schema
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 2 if kind == "DEPTHWISE_CONV_2D" else 3 if kind == "DEQUANTIZE" else 1
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([self.tensor(shape)], np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in fields.items():
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return int(operator.outputs[0])

    def conv(self, x: int, channels: int, kernel: int, stride: int, *, depthwise: bool) -> int:
        _, height, width, depth = self.shape(x)
        fields = {
            "padding": self.schema.Padding.SAME,
            "strideH": stride,
            "strideW": stride,
            "dilationHFactor": 1,
            "dilationWFactor": 1,
        }
        shape = (1, -(-height // stride), -(-width // stride), channels)
        if depthwise:
            weights = [self.weight(1, kernel, kernel, channels), self.weight(channels)]
            kind, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            fields["depthMultiplier"] = 1
        else:
            weights = [self.weight(channels, kernel, kernel, depth), self.weight(channels)]
            kind, options = "CONV_2D", "Conv2DOptions"
        return self.add(kind, [x, *weights], shape, options, **fields)

    def file(self, output: int) -> bytes:
        import flatbuffers

        schema = self.schema
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array([self.image]), np.array([output])
        model = schema.ModelT()
        model.version, model.operatorCodes = 3, self.codes
        model.subgraphs, model.buffers = [graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def test_converter_agrees_with_litert_on_random_weights() -> None:
    pytest.importorskip("onnx", reason="the converter writes with onnx")
    pytest.importorskip("ai_edge_litert", reason="the reference runs in ai-edge-litert")
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    from export.face_models import Source, convert_tflite

    net = TinyNetwork(schema, 17)
    # Odd sizes and strides of 2: where SAME padding is not symmetric.
    x = net.conv(net.image, 8, 3, 2, depthwise=False)
    x = net.add("PRELU", [x, net.weight(1, 1, 8, scale=2.0)], net.shape(x))
    skip = x = net.conv(x, 8, 5, 1, depthwise=True)
    x = net.add("HARD_SWISH", [x], net.shape(x))
    x = net.add("ADD", [x, skip], net.shape(x), "AddOptions")
    x = net.conv(x, 8, 3, 2, depthwise=True)
    x = net.add("RELU", [x], net.shape(x))
    amounts = net.tensor((4, 2), np.array([[0, 0], [0, 0], [0, 0], [0, 4]], np.int32))
    x = net.add("PAD", [x, amounts], (1, 5, 5, 12), "PadOptions")
    fields = {"padding": schema.Padding.VALID, "strideH": 5, "strideW": 5}
    fields |= {"filterHeight": 5, "filterWidth": 5}
    gate = net.add("AVERAGE_POOL_2D", [x], (1, 1, 1, 12), "Pool2DOptions", **fields)
    gate = net.add("LOGISTIC", [gate], (1, 1, 1, 12))
    x = net.add("MUL", [x, gate], net.shape(x), "MulOptions")
    size = net.tensor((2,), np.array([10, 10], np.int32))
    fields = {"halfPixelCenters": True, "alignCorners": False}
    x = net.add("RESIZE_BILINEAR", [x, size], (1, 10, 10, 12), "ResizeBilinearOptions", **fields)
    fields = {"padding": schema.Padding.VALID, "strideH": 2, "strideW": 2}
    fields |= {"filterHeight": 2, "filterWidth": 2}
    x = net.add("MAX_POOL_2D", [x], (1, 5, 5, 12), "Pool2DOptions", **fields)
    content = net.file(x)

    image = np.random.default_rng(0).random((1, 17, 17, 3), np.float32)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    model = convert_tflite(content, Source("tiny", None, "tiny.tflite", {0: "output"}))
    network = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (result,) = network.run(None, {"image": np.ascontiguousarray(image.transpose(0, 3, 1, 2))})
    assert np.abs(expected).max() > 0.1
    # Two float32 implementations of a dozen layers: a few last places of the largest value.
    assert np.abs(result.transpose(0, 2, 3, 1) - expected).max() < 1e-5 * np.abs(expected).max()


def test_converter_refuses_what_it_does_not_know() -> None:
    pytest.importorskip("onnx", reason="the converter writes with onnx")
    pytest.importorskip("ai_edge_litert", reason="the schema comes from ai-edge-litert")
    from ai_edge_litert import schema_py_generated as schema

    from export.face_models import Source, convert_tflite

    net = TinyNetwork(schema, 8)
    content = net.file(net.add("TANH", [net.image], (1, 8, 8, 3)))
    with pytest.raises(ValueError, match="has no translation"):
        convert_tflite(content, Source("tiny", None, "tiny.tflite", {0: "output"}))
