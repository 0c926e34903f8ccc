"""Sound as it may be heard: at other speeds, in other voices, in noise, in front of music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.audio import AudioEncoder
from models.data import music
from parlante import _core
from parlante.contract import MEL_BANDS, MEL_PER_FRAME, SILENCE

MIN_SPEED, MAX_SPEED = 0.85, 1.2  # of augmented speech
FAINTEST = -22.0  # log-mel of noise; white noise of −42 dB is at −8
FAINTEST_MUSIC = -65.0  # dB
PIECES = 240  # of music to hear
TRACT = 0.12  # by how much a vocal tract is longer or shorter, at most


def other_speed(frames: int) -> float:
    """How many times as fast a stretch of ``frames`` is played; it ends with the last of them."""
    speed = float(torch.empty(()).uniform_(MIN_SPEED, MAX_SPEED))
    return (frames - 1) / max(1, round((frames - 1) / speed))


def played(rows: Tensor, speed: float, per_frame: int = 1) -> Tensor:
    """``rows`` [T, C], ``per_frame`` of a frame, ``speed`` times as fast, linearly."""
    frames = len(rows) // per_frame
    count = per_frame * (round((frames - 1) / speed) + 1)
    at = (torch.arange(count, device=rows.device) * speed).clamp(max=len(rows) - 1)
    low = at.long()
    a, b = rows[low], rows[(low + 1).clamp(max=len(rows) - 1)]
    return a + (b - a) * (at - low)[:, None]


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
    first = torch.randint(pieces.shape[1], (n, 1), device=device)
    played = pieces[
        torch.randint(len(pieces), (n, 1), device=device),
        (first + torch.arange(columns, device=device)) % pieces.shape[1],
    ]
    decibel = torch.rand(n, 1, 1, device=device) * (background.level - FAINTEST_MUSIC)
    played = played + (decibel + FAINTEST_MUSIC) * (np.log(10) / 10) + tilt
    choice = torch.rand(n, 1, 1, device=device)
    mel = torch.where(choice < background.noise, torch.logaddexp(mel, noise), mel)
    musical = choice > 1 - background.music
    return torch.where(musical, torch.logaddexp(mel, played), mel).clamp(min=SILENCE)


def elsewhere(mel: Tensor, speed: float, pieces: Tensor) -> Tensor:
    """A stretch's log-mel [C, 80] at another speed, in another voice, in front of ``pieces``."""
    changed = other_tracts(played(mel, speed, MEL_PER_FRAME)[None])
    return augment(changed, pieces, BEHIND_SPEECH)[0]


@torch.no_grad()
def hear(encoder: AudioEncoder, mel: Tensor) -> Tensor:
    """What is heard in each frame [T, 1024] of log-mel [4·T, 80], silence around it."""
    with torch.autocast(mel.device.type, torch.bfloat16):
        return encoder.hear(mel[None])[0].float()


def unspoken(count: int, columns: int, pieces: Tensor) -> Tensor:
    """Log-mel [``count``, ``columns``, 80] in which nobody speaks: silence, noise or music.

    In half of them it begins after a while: what begins is not what has been there.
    """
    device = pieces.device
    quiet = torch.full((count, columns, MEL_BANDS), SILENCE, device=device)
    begins = torch.randint(-columns, columns, (count, 1, 1), device=device)
    before = torch.arange(columns, device=device)[:, None] < begins
    return augment(quiet, pieces, ALONE).masked_fill(before, SILENCE)
