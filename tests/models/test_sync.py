"""The networks of sound and lips."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

import models.train.loop as loop
from models import sync
from parlante import _core
from parlante.contract import EMBEDDING, MEL_BANDS, SILENCE
from tests.support import portrait_samples


def test_audio_encoder_is_a_convolution() -> None:
    """A long stretch gives, frame by frame, what each frame's own window gives."""
    encoder = sync.AudioEncoder().eval()
    count = 9
    mel = torch.randn(2, 4 * (count - 1) + sync.MEL_WINDOW, MEL_BANDS) * 4 - 7
    with torch.no_grad():
        whole = encoder(mel)
        single = [encoder(mel[:, 4 * i : 4 * i + sync.MEL_WINDOW]) for i in range(count)]
    assert whole.shape == (2, count, EMBEDDING)
    assert (whole >= 0).all() and (whole > 0).any()
    torch.testing.assert_close(whole, torch.cat(single, 1), rtol=0, atol=1e-5)


def test_embeddings_of_a_clip() -> None:
    """Frame i of `Sync.embed` sees columns 4i − 9 … 4i + 7, and silence beyond the ends."""
    module = sync.Sync().eval()
    frames = 12
    mel = torch.randn(1, 4 * frames, MEL_BANDS) * 4 - 7
    silence = torch.full((1, 20, MEL_BANDS), float(np.log(1e-10)))
    around = torch.cat([silence, mel, silence], 1)
    with torch.no_grad():
        made = module.embed(mel)
        for i in range(frames):
            window = around[:, 20 + 4 * i - 9 : 20 + 4 * i + 8]
            torch.testing.assert_close(made[:, i : i + 1], module.audio(window), rtol=0, atol=1e-5)
    assert made.shape == (1, frames, EMBEDDING)


def test_lip_decoder_is_a_convolution() -> None:
    decoder = sync.LipDecoder().eval()
    count = 7
    embeddings = torch.rand(2, count + sync.CONTEXT - 1, 128)
    with torch.no_grad():
        whole = decoder(embeddings)
        single = [decoder(embeddings[:, i : i + sync.CONTEXT]) for i in range(count)]
    assert whole.shape == (2, count, 16)
    torch.testing.assert_close(whole, torch.cat(single, 1), rtol=0, atol=1e-5)


def test_lip_decoder_uses_its_whole_window() -> None:
    decoder = sync.LipDecoder().eval()
    embeddings = torch.randn(1, sync.CONTEXT, 128, requires_grad=True)
    decoder(embeddings).sum().backward()
    assert embeddings.grad is not None
    assert (embeddings.grad.abs().sum(-1) > 0).all()


def test_lips_never_pass_through_each_other() -> None:
    """Of the weights that ship: silence presses lips a little, open lips are left alone."""
    module = loop.load_weights(sync.Sync(), "sync")
    spoken = sync.SpokenLips(module)
    quiet = torch.full((1, 4 * sync.CONTEXT, MEL_BANDS), SILENCE)
    with torch.no_grad():
        silent = spoken(module.embed(quiet))[0, 0]
        pressed = module.lip_shut - module.lip_press * module.lip_way
        torch.testing.assert_close(silent, pressed, rtol=0, atol=2e-3)  # of half floats
        voice = torch.from_numpy(_core.log_mel(portrait_samples.demo_speech()))[None]
        heard = module.embed(voice[:, : voice.shape[1] // 4 * 4])[0]
        heard = heard.unfold(0, sync.CONTEXT, 1).transpose(1, 2)
        change = spoken(heard)[:, 0] - module.lip_shut
        free = module.lip_gain * (module.decoder(heard)[:, 0] - module.lip_anchor)
    before, after = free @ module.lip_opening, change @ module.lip_opening
    assert 0.1 < (before < 0).float().mean() < 0.9
    assert after.min() > -module.lip_press - 1e-3 * before.abs().max()
    torch.testing.assert_close(change[before > 0], free[before > 0])
