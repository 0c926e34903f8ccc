"""Whisper's layers, and the audio encoder that begins as them."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("librosa", reason="needs the extra [teacher]")

import numpy as np
import torch
from torch import nn

from models import audio
from models.data import whisper
from parlante import _core
from tests.support.portrait_samples import demo_speech

WIDTH = audio.WIDTH


def reference() -> nn.TransformerEncoderLayer:
    """PyTorch's own layer of the same kind, whose keys have no bias."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        WIDTH, audio.HEADS, 4 * WIDTH, 0, "gelu", batch_first=True, norm_first=True
    ).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        layer.self_attn.in_proj_bias[WIDTH : 2 * WIDTH] = 0
    return layer


def named(layer: nn.TransformerEncoderLayer) -> dict[str, torch.Tensor]:
    """Its parameters by the names of the stored ones, for all layers; a stem and a norm."""
    one = {
        "self_attention/layer_norm": layer.norm1,
        "self_attention/linear_1": layer.self_attn.out_proj,
        "ffn/layer_norm": layer.norm2,
        "ffn/linear_0": layer.linear1,
        "ffn/linear_1": layer.linear2,
    }
    parts: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
        name: (part.weight, part.bias) for name, part in one.items()
    }
    parts["self_attention/linear_0"] = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    out = {}
    for i in range(whisper.LAYERS):
        for name, values in parts.items():
            kinds = ("gamma", "beta") if "norm" in name else ("weight", "bias")
            out |= {f"layer_{i}/{name}/{k}": v.detach() for k, v in zip(kinds, values, strict=True)}
    for name, bands in (("conv1", 80), ("conv2", WIDTH)):
        out[f"{name}/weight"] = torch.randn(WIDTH, bands, 3) * (3 * bands) ** -0.5
        out[f"{name}/bias"] = 0.1 * torch.randn(WIDTH)
    return out | {"position_encodings/encodings": torch.zeros(1500, WIDTH)}


@torch.no_grad()
def test_layers_are_those_of_a_transformer() -> None:
    """Of Whisper; and of the audio encoder for a token that sees all there are."""
    layer = reference()
    own = named(layer)
    tokens = torch.randn(2, audio.PAST + 1 + audio.FUTURE, WIDTH)
    wanted = layer(tokens)
    torch.testing.assert_close(whisper.layer(own, 0, tokens), wanted, rtol=0, atol=1e-4)
    made = begun(own).layers[0](tokens, audio.FUTURE)
    torch.testing.assert_close(made[:, audio.PAST], wanted[:, audio.PAST], rtol=0, atol=1e-4)
    # The first tokens see nothing of the last ones.
    assert (made[:, 0] - wanted[:, 0]).abs().max() > 0.01


def begun(own: dict[str, torch.Tensor]) -> audio.AudioEncoder:
    """An encoder that begins as the stored parameters."""
    encoder = audio.AudioEncoder().eval()
    whisper.begin(encoder, own)
    return encoder


@torch.no_grad()
def test_the_stem_hears_nearly_what_whisper_hears() -> None:
    """From our log-mel and from Whisper's own: other windows, levels and floors."""
    samples = demo_speech()[:32_000]
    own = named(reference())
    encoder = begun(own)
    mel = torch.from_numpy(_core.log_mel(samples))[None]
    mine = encoder.tokens(mel)[0].numpy()
    padded = np.pad(samples, (0, whisper.WINDOW - len(samples)))
    theirs_mel = torch.from_numpy(whisper.log_mel(padded))[None]
    x = nn.functional.gelu(
        nn.functional.conv1d(theirs_mel, own["conv1/weight"], own["conv1/bias"], padding=1)
    )
    x = nn.functional.conv1d(x, own["conv2/weight"], own["conv2/bias"], stride=2, padding=1)
    theirs = nn.functional.gelu(x)[0].T.numpy()
    # A window begins with its first column, a token of Whisper is centred on its own.
    alike = [
        np.corrcoef(mine[10:80].ravel(), theirs[10 + by : 80 + by].ravel())[0, 1] for by in range(3)
    ]
    assert np.argmax(alike) == 1 and alike[1] > 0.9
