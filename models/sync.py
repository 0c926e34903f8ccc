"""Lip-audio synchronisation: contrastive audio and lip encoders, and lips from audio.

After section 2.2 of the paper. The audio encoder and the lip encoder meet in one embedding space,
trained to tell a window's own audio from that of other times and other clips (InfoNCE). A
deterministic temporal decoder then predicts the lip code of a frame from the audio embeddings
around it. All of it looks at most 160 ms (four frames) ahead: 80 ms inside the audio encoder, 80 ms
in the decoder.

Every convolution in time is without padding: over a long signal a network gives, frame by frame,
what it gives for each frame's window alone. Training runs over whole stretches, the runtime frame
by frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attributes import LIP
from parlante.motion import (
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    EMBEDDING,
    MEL_AFTER,
    MEL_BEFORE,
    MEL_PER_FRAME,
    MELS,
    SILENCE,
)

MEL_WINDOW = MEL_BEFORE + MEL_AFTER
CONTEXT = CONTEXT_BEFORE + 1 + CONTEXT_AFTER
LIP_WINDOW = 5  # frames the lip encoder sees
# Log-mel of speech lies in about [-23, 5] with mean −7; the networks want about [−2, 2].
MEL_MEAN, MEL_SCALE = -7.0, 5.0


class ValidBlock(nn.Module):
    """Residual block of one unpadded convolution in time; the skip loses the same margin."""

    def __init__(self, channels: int, kernel: int, dilation: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)
        self.margin = (kernel - 1) * dilation // 2

    def forward(self, x: Tensor) -> Tensor:
        skip = x[..., self.margin : x.shape[-1] - self.margin]
        return skip + self.mix(self.dropout(F.silu(self.conv(F.silu(x)))))


class AudioEncoder(nn.Module):
    """Log-mel [N, 4·(T − 1) + 32, 80] → unit-length embeddings [N, T, 128]; the runtime has T =
    1."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.stem = nn.Conv1d(MEL_PER_FRAME * MELS, width, 1)  # frames: 8
        self.body = nn.Sequential(
            ValidBlock(width, 3, dropout=0.15),  # → 6
            ValidBlock(width, 3, dropout=0.15),  # → 4
            ValidBlock(width, 3, dropout=0.15),  # → 2
            nn.SiLU(),
            nn.Conv1d(width, 256, 2),  # → 1
            nn.SiLU(),
            nn.Dropout(0.15),
            nn.Conv1d(256, EMBEDDING, 1),
        )

    def forward(self, mel: Tensor) -> Tensor:
        scaled = ((mel - MEL_MEAN) / MEL_SCALE).clamp(-3, 3)
        frames = scaled.reshape(len(mel), -1, MEL_PER_FRAME * MELS)
        return F.normalize(self.body(self.stem(frames.transpose(1, 2))).transpose(1, 2), dim=-1)


class LipEncoder(nn.Module):
    """Lip codes of 5 frames [N, 5, 16] → unit-length embedding [N, 128]. Used in training and
    measuring."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(LIP_WINDOW * LIP, width),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, EMBEDDING),
        )

    def forward(self, lip: Tensor) -> Tensor:
        return F.normalize(self.body(lip.flatten(1)), dim=-1)


class LipDecoder(nn.Module):
    """Audio embeddings [N, T + 19, 128] → lip codes [N, T, 16] of the frames 17 … T + 16; the
    runtime has T = 1."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(EMBEDDING, width, 2),  # 20 → 19
            ValidBlock(width, 3, dropout=0.15),  # → 17
            ValidBlock(width, 3, 2, dropout=0.15),  # → 13
            ValidBlock(width, 3, 3, dropout=0.15),  # → 7
            ValidBlock(width, 3, dropout=0.15),  # → 5
            ValidBlock(width, 5, dropout=0.15),  # → 1
            nn.SiLU(),
            nn.Conv1d(width, LIP, 1),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        # Unit length over 128 numbers is small; bring them to about 1.
        scaled = embeddings * EMBEDDING**0.5
        return self.body(scaled.transpose(1, 2)).transpose(1, 2)


class Sync(nn.Module):
    """The three networks together; parameters are stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.audio = AudioEncoder()
        self.lip = LipEncoder()
        self.decoder = LipDecoder()
        self.temperature = nn.Parameter(torch.tensor(2.7))  # log of the inverse temperature
        # Set after training by `models.train.sync.calibrate`, used by `SpokenLips`.
        self.register_buffer("lip_quiet", torch.zeros(LIP))
        self.register_buffer("lip_shut", torch.zeros(LIP))
        self.register_buffer("lip_gain", torch.ones(()))

    def embed(self, mel: Tensor) -> Tensor:
        """Audio embeddings [N, T, 128] of log-mel [N, 4·T, 80], with silence around it."""
        padded = F.pad(mel, (0, 0, MEL_BEFORE, MEL_AFTER - MEL_PER_FRAME), value=SILENCE)
        return self.audio(padded)


class SpokenLips(nn.Module):
    """What the runtime runs: embeddings [N, 20, 128] → lip code [N, 1, 16].

    A network that predicts the likeliest lips moves them too little, about a mouth ajar. Its answer
    to quiet is put where people's lips are shut, and its excursions are stretched to theirs.
    """

    def __init__(self, sync: Sync) -> None:
        super().__init__()
        self.decoder = sync.decoder
        self.register_buffer("quiet", sync.lip_quiet)
        self.register_buffer("shut", sync.lip_shut)
        self.register_buffer("gain", sync.lip_gain)

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.shut + self.gain * (self.decoder(embeddings) - self.quiet)
