"""Networks in 8 bits.

The audio encoder always is: its matrices keep 7 bits of each weight, with a scale for each channel
(the eighth would overflow on processors without instructions of their own for it); what they are
given is rounded to 8 bits as it comes.

The renderer's are with ``python -m export.bundle --int8``. Convolutions read and write 8 bits (QDQ:
a scale and a zero point for each tensor of activations, a scale for each channel of weights);
everything between them, and the layer that gives the answer (`KEPT`), stays float32. x_t enters as
bytes, which `denoise_step` writes. Ranges are those met while drawing training people.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.networks import store_half
from models.data.dataset import load, read_frames
from models.evaluate.protocols import per_person, portrait_of
from parlante.contract import GRID
from parlante.face.model import FaceModel
from parlante.options import RenderOptions
from parlante.render.network import BoundNetwork
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle

# Networks, and their layers that stay float32, by the names of their weights.
KEPT: dict[str, tuple[str, ...]] = {"condition": (), "denoise": ("head.weight",)}
PEOPLE, FRAMES = 40, 3  # drawn, a person

Inputs = dict[str, NDArray[np.float32]]


class _Recorded(CalibrationDataReader):
    def __init__(self, rows: list[Inputs]) -> None:
        self._rows: Iterator[Inputs] = iter(rows)

    def get_next(self) -> Inputs | None:  # type: ignore[override]
        return next(self._rows, None)


def record(bundle: Bundle, data: Path, prepared: Path) -> dict[str, list[Inputs]]:
    """What the networks of a bundle are given while they draw training people."""
    model = FaceModel.of(bundle.arrays("face_model"))
    rows: dict[str, list[Inputs]] = {name: [] for name in KEPT}
    people = per_person(load(prepared, data, "train"), 1)
    for i in np.random.default_rng(0).permutation(len(people))[:PEOPLE]:
        clip = people[i]
        source = int(clip.source_frames[0])
        portrait = portrait_of(clip, read_frames(clip.path, [source])[0])
        renderer = FrameRenderer(bundle, model, portrait, RenderOptions(size=GRID))
        given = watch(renderer)
        kept = np.flatnonzero(clip.keep)
        for frame in kept[np.linspace(0, len(kept) - 1, FRAMES).astype(int)]:
            change = clip.pose[frame : frame + 1].relative_to(portrait.pose)
            renderer.draw(clip.expression[frame], change[0])
        for name, more in given.items():
            rows[name] += more
    return rows


def watch(renderer: FrameRenderer) -> dict[str, list[Inputs]]:
    """From now on collects what the renderer's networks are given."""
    rows: dict[str, list[Inputs]] = {}
    for networks in renderer.networks:
        for name in KEPT:
            _watch(networks[name], rows.setdefault(name, []))
    return rows


def _watch(network: BoundNetwork, rows: list[Inputs]) -> None:
    run = network.run

    def watched() -> None:
        rows.append({name: array.copy() for name, array in network.inputs.items()})
        run()

    network.run = watched  # type: ignore[method-assign]


def quantize_matrices(path: Path) -> None:
    """Rewrite the network in the file ``path`` with its matrices in 8 bits."""
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / path.name
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
    onnx.save(store_half(onnx.load(path)), path)


def quantize(path: Path, out: Path, rows: list[Inputs]) -> dict[str, Any]:
    """Write the 8-bit twin of the network in the file ``path``, one of `KEPT`.

    Returns how x_t is written for it: {"x_t": {"scale", "zero_point"}}, empty for a network
    without.
    """
    kept = KEPT[path.stem]
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / path.name
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        convolutions = [n for n in onnx.load(prepared).graph.node if n.op_type == "Conv"]
        quantize_static(
            prepared,
            out,
            _Recorded(rows),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[n.name for n in convolutions if n.input[1] in kept],
            calibrate_method=CalibrationMethod.MinMax,
        )
    model = onnx.load(out)
    written = {v.name: _read_bytes(model, v) for v in model.graph.input if v.name == "x_t"}
    onnx.save(model, out)
    return written


def _read_bytes(model: onnx.ModelProto, value: onnx.ValueInfoProto) -> dict[str, float]:
    """Make the input ``value`` the bytes that it is turned into at once.

    Returns their scale and zero point.
    """
    nodes = model.graph.node
    (first,) = (n for n in nodes if value.name in n.input)
    (second,) = (n for n in nodes if first.output[0] in n.input)
    assert first.op_type == "QuantizeLinear"
    second.input[0] = value.name
    nodes.remove(first)
    value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    scale, zero_point = (float(constants[name]) for name in first.input[1:])
    return {"scale": scale, "zero_point": zero_point}
