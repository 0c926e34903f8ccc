"""Our trained networks as ONNX, each checked against PyTorch before it is written.

``python -m export.bundle`` calls this. Weights are stored as fp16 (what the checkpoints hold, so
nothing is lost) behind a Cast that ONNX Runtime folds when it loads the file; all arithmetic is
float32.
"""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.attributes import Attributes
from models.audio import AudioEncoder, Streaming
from models.dynamics import MOTION, Dynamics, DynamicsReader, DynamicsSampler
from models.renderer import Renderer, diffusion_of
from models.sync import SpokenLips, Sync
from models.train.anchors import PRESS
from models.train.loop import load_weights, made_by
from parlante.contract import (
    ATTRIBUTES,
    BLINK,
    CELL_PIXELS,
    CELLS,
    COLOR_PLANES,
    CONDITION,
    CONTEXT,
    EMBEDDING,
    EXPRESSION,
    FUTURES,
    LATENT,
    LIP,
    LOOK_AHEAD,
    MEL_BANDS,
    MEL_WINDOW,
    MEMORY,
    REMEMBERED,
    RESIDUAL,
    TAIL,
    TOKEN,
    WINDOW,
)
from parlante.render.network import DTYPES

OPSET = 20
# The largest difference from PyTorch that rounding explains, relative to the output's own size.
TOLERANCE = 2e-4
HALF_TOLERANCE = 2e-2  # computing in float16
SMALLEST_HALF = 256  # initialisers below this many elements stay float32


@dataclass(frozen=True)
class Network:
    """One ONNX file.

    Module, example inputs by name, output names, and what its manifest entry adds.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    extra: dict[str, object] = field(default_factory=dict)


class _Half(nn.Module):
    """A network of the renderer that computes in float16.

    What the native ops write and read stays float32, but x_t, which `denoise_step` writes as
    float16, too.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).half()
        for name, buffer in module.named_buffers():
            setattr(self.module, name, buffer)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        # A timestep, one number, has more digits than float16.
        made = self.module(*(i if i.ndim == 1 else i.half() for i in inputs))
        return made if isinstance(made, tuple) else made.float()


def halved(network: Network) -> Network:
    """The network computing in float16.

    What another network or `denoise_step` gives it is that already.
    """
    given = {"x_t", "context1", "context2", "gate"}
    inputs = {k: v.half() if k in given else v for k, v in network.inputs.items()}
    return replace(network, module=_Half(network.module), inputs=inputs)


def networks(weights: Path) -> dict[str, Network]:
    """All networks of the runtime with their trained weights."""
    attributes = load_weights(Attributes(), "attributes", weights)
    audio = load_weights(AudioEncoder(), "audio", weights)
    sync = load_weights(Sync(), "sync", weights)
    dynamics = load_weights(Dynamics(), "dynamics", weights)
    renderer = load_weights(Renderer(), "renderer", weights)
    diffusion = diffusion_of(made_by("renderer", weights).get("without", ""))
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(1, *shape, generator=generator)

    widths = renderer.condition.mix1.conv1.in_channels, renderer.condition.up2.out_channels
    return {
        "attributes_encode": Network(
            attributes.encoder,
            {"expression": noise(EXPRESSION).abs()},
            ("lip", "blink", "residual"),
        ),
        "attributes_decode": Network(
            attributes.decoder,
            {"lip": noise(LIP), "blink": noise(BLINK), "residual": noise(RESIDUAL)},
            ("expression",),
        ),
        "audio_encode": Network(
            Streaming(audio, sync.embedding),
            {
                "mel": noise(MEL_WINDOW, MEL_BANDS) * 4 - 7,
                "future": torch.tensor(FUTURES[LOOK_AHEAD]),
            }
            | {name: noise(MEMORY, TOKEN)[0] for name in REMEMBERED},
            ("embedding", "fresh"),
        ),
        "lip_decode": Network(
            SpokenLips(sync),
            {"embeddings": noise(CONTEXT, EMBEDDING).abs()},
            ("lip",),
            {
                "shut": [round(float(v), 6) for v in sync.lip_shut],
                "opening": [round(float(v), 6) for v in sync.lip_opening * PRESS / sync.lip_press],
            },
        ),
        "dynamics_encode": Network(
            DynamicsReader(dynamics),
            {"motion": noise(TAIL + WINDOW, MOTION)},
            ("latent_mean", "latent_deviation"),
        ),
        "dynamics_decode": Network(
            DynamicsSampler(dynamics),
            {
                "latent": noise(LATENT),
                "tail": noise(TAIL, MOTION),
                "audio": noise(TAIL + WINDOW, EMBEDDING),
            },
            ("motion",),
            {"motion_scale": [round(float(v), 8) for v in dynamics.scale]},
        ),
        "condition": Network(
            renderer.condition,
            {"condition": noise(CONDITION, *CELLS), "attributes": noise(ATTRIBUTES)},
            ("context1", "context2", "gate"),
        ),
        "denoise": Network(
            renderer.denoiser,
            {
                "x_t": noise(COLOR_PLANES, *CELLS),
                "context1": noise(widths[0], *CELLS),
                "context2": noise(widths[1], *(n // 2 for n in CELLS)),
                "gate": torch.rand(1, CELL_PIXELS, *CELLS, generator=generator),
                "timestep": torch.tensor([123.0]),
            },
            ("residual",),
            {"sampler": diffusion.sampler, "start": diffusion.start},
        ),
    }


def export(network: Network, path: Path, *, half: bool = False) -> float:
    """Write one network; returns its largest relative difference from PyTorch in float32.

    ``half``: computing in float16. RuntimeError above TOLERANCE, or HALF_TOLERANCE.
    """
    written = halved(network) if half else network
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            written.module,
            tuple(written.inputs.values()),
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = store_half(program.model_proto)
    # The exporter's notes name source files and lines of the machine it ran on.
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    difference = compare(network, data)
    allowed = HALF_TOLERANCE if half else TOLERANCE
    if not difference <= allowed:
        raise RuntimeError(
            f"{path.name}: differs from PyTorch by {difference:.2e}, allowed {allowed:.0e}"
        )
    path.write_bytes(data)
    return difference


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep large float32 initialisers as float16, cast back on load.

    The values must be float16 already.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_HALF:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue  # a constant that the exporter computed: not a stored weight
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for i, cast in enumerate(casts):
        graph.node.insert(i, cast)
    return model


def compare(
    network: Network, data: bytes, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> float:
    """Largest |ONNX − PyTorch| over the largest |PyTorch|, over all outputs.

    On the example inputs.
    """
    session = onnxruntime.InferenceSession(data, providers=list(providers))
    inputs = {
        value.name: network.inputs[value.name].numpy().astype(DTYPES[value.type])
        for value in session.get_inputs()
    }
    made = session.run(list(network.outputs), inputs)
    with torch.no_grad():
        wanted = network.module(*network.inputs.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    return max(
        float(np.abs(a - b.numpy()).max() / max(float(b.abs().max()), 1e-6))
        for a, b in zip(made, wanted, strict=True)
    )
