"""Sound as it may be heard: at other speeds, in noise, and in front of music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.data import music
from parlante import _core
from parlante.contract import MEL_BANDS, SILENCE

MIN_SPEED, MAX_SPEED = 0.85, 1.2  # of augmented speech
FAINTEST = -22.0  # log-mel of noise; white noise of −42 dB is at −8
FAINTEST_MUSIC = -65.0  # dB
PIECES = 240  # of music to hear
TRACT = 0.12  # by how much a vocal tract is longer or shorter, at most


def speeds(count: int, device: torch.device) -> Tensor:
    """How many times as fast each of ``count`` windows is played."""
    return torch.rand(count, device=device) * (MAX_SPEED - MIN_SPEED) + MIN_SPEED


def between(rows: Tensor, starts: Tensor, steps: Tensor) -> Tensor:
    """``rows`` [R, C] at fractional positions starts [N] + steps [N, T], linearly: [N, T, C]."""
    low = steps.floor()
    share = (steps - low)[..., None]
    first = starts[:, None] + low.long()
    last = len(rows) - 1
    a, b = rows[first.clamp(0, last)], rows[(first + 1).clamp(0, last)]
    return a + (b - a) * share


def other_tracts(mel: Tensor) -> Tensor:
    """Log-mel [N, C, 80] of somebody with a longer or a shorter vocal tract: bands moved."""
    count, columns, _ = mel.shape
    scale = 1 + TRACT * (2 * torch.rand(count, 1, device=mel.device) - 1)
    at = (torch.arange(MEL_BANDS, device=mel.device) * scale).clamp(max=MEL_BANDS - 1)
    low = at.floor()
    share = (at - low)[:, None]
    first = low.long()[:, None].expand(-1, columns, -1)
    a, b = mel.gather(2, first), mel.gather(2, (first + 1).clamp(max=MEL_BANDS - 1))
    return a + (b - a) * share


def hear_music(device: torch.device) -> Tensor:
    """Log-mel [pieces, C, 80] of pieces of music of RMS 1."""
    pieces = [music.piece(np.random.default_rng(i)) for i in range(PIECES)]
    return torch.from_numpy(np.stack([_core.log_mel(p) for p in pieces])).to(device)


@dataclass(frozen=True)
class Background:
    """Noise and music that windows are heard in.

    How often each is there, and the highest log-mel of the noise and the highest level of the music
    in dB.
    """

    noise: float
    music: float
    loudest: float
    level: float


BEHIND_SPEECH = Background(noise=0.2, music=0.15, loudest=-8, level=-36)
ALONE = Background(noise=0.3, music=0.5, loudest=-5, level=-20)


def augment(mel: Tensor, pieces: Tensor, background: Background) -> Tensor:
    """Gain, tilt, and noise or music in some of the windows; log-mel [N, C, 80] in and out."""
    n, columns, bands = mel.shape
    device = mel.device
    gain = torch.rand(n, 1, 1, device=device) * 6 - 4
    tilt = 0.7 * torch.randn(n, 1, 1, device=device) * torch.linspace(-1, 1, bands, device=device)
    mel = (mel + gain + tilt).clamp(min=SILENCE)
    level = torch.rand(n, 1, 1, device=device) * (background.loudest - FAINTEST) + FAINTEST
    slope = torch.randn(n, 1, 1, device=device) * torch.linspace(-1.5, 1.5, bands, device=device)
    noise = level + slope + torch.randn_like(mel)
    first = torch.randint(pieces.shape[1] - columns, (n, 1), device=device)
    played = pieces[
        torch.randint(len(pieces), (n, 1), device=device),
        first + torch.arange(columns, device=device),
    ]
    decibel = torch.rand(n, 1, 1, device=device) * (background.level - FAINTEST_MUSIC)
    played = played + (decibel + FAINTEST_MUSIC) * (np.log(10) / 10) + tilt
    choice = torch.rand(n, 1, 1, device=device)
    mel = torch.where(choice < background.noise, torch.logaddexp(mel, noise), mel)
    musical = choice > 1 - background.music
    return torch.where(musical, torch.logaddexp(mel, played), mel).clamp(min=SILENCE)


def unspoken(count: int, columns: int, pieces: Tensor) -> Tensor:
    """Log-mel [``count``, ``columns``, 80] in which nobody speaks: silence, noise or music."""
    quiet = torch.full((count, columns, MEL_BANDS), SILENCE, device=pieces.device)
    return augment(quiet, pieces, ALONE)
