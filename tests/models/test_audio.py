"""The audio encoder, whole and step by step."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import numpy as np
import torch
from torch import nn

from models import audio
from models.attributes import Attributes
from models.data import teacher
from models.train import audio as train_audio
from models.train.lips import LipError
from parlante.contract import (
    FUTURES,
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
from tests.support.portrait_samples import model

FRAMES = 30


@pytest.fixture(scope="module")
def encoder() -> audio.AudioEncoder:
    torch.manual_seed(0)
    made: audio.AudioEncoder = randomised(audio.AudioEncoder(), 0.02)
    return made


@pytest.mark.parametrize("ahead", FUTURES)
@torch.no_grad()
def test_a_stream_hears_what_a_clip_says(encoder: audio.AudioEncoder, ahead: int) -> None:
    """After a long silence steps give, frame by frame, what the whole gives."""
    mel = torch.randn(1, 4 * FRAMES, MEL_BANDS) * 4 - 7
    warm = torch.full((1, 4 * 90, MEL_BANDS), SILENCE)  # longer than anything is remembered
    whole = encoder.hear(torch.cat([warm, mel], 1), ahead)[:, 90:]
    stream = audio.Streaming(encoder, nn.Identity())
    future = torch.tensor(FUTURES[ahead])
    memory = torch.zeros(len(REMEMBERED), MEMORY, TOKEN)
    for _ in range(len(encoder.layers)):
        _, fresh = stream(torch.full((1, 7, MEL_BANDS), SILENCE), future, *memory)
        memory = fresh[:, :1].repeat(1, MEMORY, 1)
    columns = nn.functional.pad(mel, (0, 0, 3, 4 * ahead), value=SILENCE)
    made = []
    for step in range(FRAMES + ahead):
        heard, fresh = stream(columns[:, 4 * step : 4 * step + 7], future, *memory)
        memory = torch.cat([memory, fresh], 1)[:, -MEMORY:]
        made.append(heard)
    made = made[ahead:]
    assert whole.shape == (1, FRAMES, HEARD) and whole.std() > 0.1
    torch.testing.assert_close(torch.cat(made, 1), whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("ahead", FUTURES)
def test_a_frame_looks_as_far_ahead_as_it_may(encoder: audio.AudioEncoder, ahead: int) -> None:
    mel = (torch.randn(1, 4 * FRAMES, MEL_BANDS) * 4 - 7).requires_grad_()
    frame = 10
    encoder.hear(mel, ahead)[0, frame].sum().backward()
    assert mel.grad is not None
    seen = mel.grad[0].abs().sum(-1).nonzero()[:, 0]
    last = 4 * (frame + ahead) + 3
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


@torch.no_grad()
def test_what_tells_nothing_of_lips_is_no_miss() -> None:
    """Of a thousand numbers, two of which lips follow."""
    torch.manual_seed(0)
    error = LipError(Attributes().eval(), model(), torch.device("cpu"))
    frames = 12_000
    said = torch.randn(frames, HEARD)
    expression = torch.zeros(frames, 53)
    modes = list(model().mode_groups["lip"])[:2]
    expression[:, modes] = 0.5 + 0.2 * said[:, :2]
    expression[::100] = 0  # clips of 99 frames
    lips = train_audio.LipsTold(said, expression, error)
    wrong = torch.zeros(2, 50, HEARD)
    wrong[0, :, :2] = said[:50, :2]
    wrong[1, :, 2:] = said[50:100, 2:]
    told, untold = lips.miss(wrong[:1]), lips.miss(wrong[1:])
    assert 0.5 < told < 2
    assert untold < 0.3 * told


def test_a_sound_is_played_faster_and_higher() -> None:
    seconds = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 400 * seconds).astype(np.float32)
    faster = teacher.played(tone, 1.25)
    assert abs(len(faster) - 12_800) < 16
    peak = np.abs(np.fft.rfft(faster * np.hanning(len(faster)))).argmax() * 16_000 / len(faster)
    assert abs(peak - 500) < 2
