"""The networks of sound and lips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

import models.train.loop as loop
from models import sync
from models.audio import AudioEncoder
from models.data import dataset
from models.train.lips import LipError
from models.train.sync import Course, join, said_by
from models.train.voices import FRAMES
from parlante import _core
from parlante.contract import CONTEXT, HEARD, MEL_BANDS, MEL_PER_FRAME, SILENCE
from tests.support import portrait_samples


def test_lip_decoder_is_a_convolution() -> None:
    decoder = sync.LipDecoder().eval()
    count = 7
    embeddings = torch.rand(2, count + CONTEXT - 1, 128)
    with torch.no_grad():
        whole = decoder(embeddings)
        single = [decoder(embeddings[:, i : i + CONTEXT]) for i in range(count)]
    assert whole.shape == (2, count, 16)
    torch.testing.assert_close(whole, torch.cat(single, 1), rtol=0, atol=1e-5)


def test_lip_decoder_uses_its_whole_window() -> None:
    decoder = sync.LipDecoder().eval()
    embeddings = torch.randn(1, CONTEXT, 128, requires_grad=True)
    decoder(embeddings).sum().backward()
    assert embeddings.grad is not None
    assert (embeddings.grad.abs().sum(-1) > 0).all()


def test_lips_never_pass_through_each_other() -> None:
    """Of the weights that ship: silence presses lips a little, open lips are left alone."""
    module = loop.load_weights(sync.Sync(), "sync")
    encoder = loop.load_weights(AudioEncoder(), "audio")
    spoken = sync.SpokenLips(module)
    quiet = torch.full((1, MEL_PER_FRAME * CONTEXT, MEL_BANDS), SILENCE)
    with torch.no_grad():
        silent = spoken(module.embedding(encoder.hear(quiet)))[0, 0]
        pressed = module.lip_shut - module.lip_press * module.lip_way
        torch.testing.assert_close(silent, pressed, rtol=0, atol=2e-3)  # of half floats
        voice = torch.from_numpy(_core.log_mel(portrait_samples.demo_speech()))[None]
        heard = module.embedding(encoder.hear(voice[:, : voice.shape[1] // 4 * 4]))[0]
        heard = heard.unfold(0, CONTEXT, 1).transpose(1, 2)
        change = spoken(heard)[:, 0] - module.lip_shut
        free = module.lip_gain * (module.decoder(heard)[:, 0] - module.lip_anchor)
    before, after = free @ module.lip_opening, change @ module.lip_opening
    assert 0.1 < (before < 0).float().mean() < 0.9
    assert after.min() > -module.lip_press - 1e-3 * before.abs().max()
    torch.testing.assert_close(change[before > 0], free[before > 0])


def test_clips_whose_sound_tells_of_lips_are_drawn_more_often(
    still_clip: dataset.PreparedClip,
) -> None:
    mel = np.full((len(still_clip) * MEL_PER_FRAME, MEL_BANDS), SILENCE, np.float32)
    clips = [replace(still_clip, mel=mel, told=told, lips=True) for told in (0.8, 0.4, 0.0)]
    share = join(clips, AudioEncoder().eval(), None, 1).share
    assert len(share) == 3
    torch.testing.assert_close(share / share[0], torch.tensor([1, 0.5, 0.05 / 0.8]))


def test_a_network_that_trusts_what_is_said_learns_that_alone(
    error: LipError, long_clip: dataset.PreparedClip
) -> None:
    """Whoever says what the first part's networks say is right, whatever people's lips do."""
    speech = join([long_clip], AudioEncoder().eval(), None, 2)
    networks = torch.nn.ModuleList([sync.Sync() for _ in range(2)]).eval()
    said = said_by(networks, speech.heard)
    quiet = torch.randn(3, FRAMES + 2, HEARD)
    one, other = (said_by(networks[k : k + 1], speech.heard) for k in range(2))
    torch.testing.assert_close(said, (one + other) / 2)
    for taught_by, trust, right in ((one, 1.0, True), (one, 0.5, False), (said, 1.0, False)):
        course = Course(speech, quiet, error, said=taught_by, trust=trust)
        losses = course.losses(networks[0], 6)
        assert all((losses[k] < 1e-4) == right for k in ("position", "motion", "velocity"))
