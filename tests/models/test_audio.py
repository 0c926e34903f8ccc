"""The audio encoder, whole and step by step."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch import nn

from models import audio
from models.train import audio as train_audio
from parlante.contract import (
    HEARD,
    LOOK_AHEAD,
    MEL_BANDS,
    MEL_WINDOW,
    MEMORY,
    REMEMBERED,
    SILENCE,
    TOKEN,
)
from tests.support.network_samples import randomised

FRAMES = 30


@pytest.fixture(scope="module")
def encoder() -> audio.AudioEncoder:
    torch.manual_seed(0)
    made: audio.AudioEncoder = randomised(audio.AudioEncoder(), 0.02)
    return made


@torch.no_grad()
def test_a_stream_hears_what_a_clip_says(encoder: audio.AudioEncoder) -> None:
    """After a long silence steps give, frame by frame, what the whole gives."""
    mel = torch.randn(1, 4 * FRAMES, MEL_BANDS) * 4 - 7
    warm = torch.full((1, 4 * 90, MEL_BANDS), SILENCE)  # longer than anything is remembered
    whole = encoder.hear(torch.cat([warm, mel], 1))[:, 90:]
    stream = audio.Streaming(encoder, nn.Identity())
    memory = torch.zeros(len(REMEMBERED), MEMORY, TOKEN)
    for _ in range(len(encoder.layers)):
        _, fresh = stream(torch.full((1, 7, MEL_BANDS), SILENCE), *memory)
        memory = fresh[:, :1].repeat(1, MEMORY, 1)
    columns = nn.functional.pad(mel, (0, 0, 3, 4 * LOOK_AHEAD), value=SILENCE)
    made = []
    for step in range(FRAMES + LOOK_AHEAD):
        heard, fresh = stream(columns[:, 4 * step : 4 * step + 7], *memory)
        memory = torch.cat([memory, fresh], 1)[:, -MEMORY:]
        made.append(heard)
    made = made[LOOK_AHEAD:]
    assert whole.shape == (1, FRAMES, HEARD) and whole.std() > 0.1
    torch.testing.assert_close(torch.cat(made, 1), whole, rtol=0, atol=1e-4)


def test_a_frame_looks_as_far_ahead_as_it_may(encoder: audio.AudioEncoder) -> None:
    mel = (torch.randn(1, 4 * FRAMES, MEL_BANDS) * 4 - 7).requires_grad_()
    frame = 10
    encoder.hear(mel)[0, frame].sum().backward()
    assert mel.grad is not None
    seen = mel.grad[0].abs().sum(-1).nonzero()[:, 0]
    last = 4 * (frame + LOOK_AHEAD) + 3
    assert last - 3 <= int(seen.max()) <= last


def test_a_window_of_sound_is_that_of_what_is_said_of_it() -> None:
    """The encoder's first frame is the teacher's first, whose sound ends the first columns."""
    frames = 3 * train_audio.WINDOW
    sounds = train_audio.Sounds(
        torch.arange(4.0 * frames)[:, None],
        torch.arange(float(frames))[:, None],
        torch.ones(frames),
    )
    mel, said = sounds.windows(torch.tensor([20, 50]))
    steps = (mel.shape[1] - MEL_WINDOW) // 4 + 1
    assert said.shape[1] == steps - LOOK_AHEAD
    for first, columns, frame in zip((20, 50), mel[..., 0], said[..., 0], strict=True):
        assert frame.tolist() == list(range(first, first + len(frame)))
        assert columns[MEL_WINDOW - 1] == 4 * first + 3  # the last column of the first frame
        assert (columns.diff() == 1).all()
