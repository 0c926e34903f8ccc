"""Lip-audio synchronisation: contrastive audio and lip encoders, and lips from audio.

After section 2.2 of the paper. A projection of the audio encoder's embeddings and the lip encoder's
meet in one space, trained to tell a window's own audio from that of other times and other clips
(InfoNCE). A deterministic decoder predicts the lip code of a frame from the audio embeddings around
it. All of it looks at most 160 ms (four frames) ahead: 40 ms inside the audio encoder, 120 ms in
the decoder.

Every convolution in time is without padding: over a long signal a network gives, frame by frame,
what it gives for each frame's window alone. Training runs over whole stretches, the runtime frame
by frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parlante.contract import (
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    EMBEDDING,
    LIP,
    MEL_AFTER,
    MEL_BANDS,
    MEL_BEFORE,
    MEL_PER_FRAME,
    SILENCE,
)

MEL_WINDOW = MEL_BEFORE + MEL_AFTER
CONTEXT = CONTEXT_BEFORE + 1 + CONTEXT_AFTER
LIP_WINDOW = 5  # frames the lip encoder sees
# Log-mel of speech lies in about [-23, 5] with mean −7; the networks want about [−2, 2].
MEL_MEAN, MEL_SCALE = -7.0, 5.0


class AudioEncoder(nn.Module):
    """Log-mel [N, 4·(T − 1) + 17, 80] → embeddings [N, T, 128], not negative.

    The runtime has T = 1.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(MEL_BANDS, width, 5),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(width, width, 5, stride=2),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(width, EMBEDDING, 5, stride=2),
            nn.ReLU(),
        )

    def forward(self, mel: Tensor) -> Tensor:
        scaled = ((mel - MEL_MEAN) / MEL_SCALE).clamp(-3, 3)
        return self.body(scaled.transpose(1, 2)).transpose(1, 2)


class LipEncoder(nn.Module):
    """Lip codes of 5 frames [N, 5, 16] → unit-length embedding [N, 128].

    Used in training and measuring.
    """

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
    """Audio embeddings [N, T + 15, 128] → lip codes [N, T, 16] of the frames 12 … T + 11.

    The runtime has T = 1. A linear map, and a shallow network that corrects it, at first by
    nothing: deeper ones followed the training voices, not others.
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Conv1d(EMBEDDING, LIP, CONTEXT)
        self.hidden = nn.Conv1d(EMBEDDING, width, CONTEXT)
        self.correction = nn.Conv1d(width, LIP, 1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        heard = self.dropout(embeddings).transpose(1, 2)
        corrected = self.correction(self.dropout(self.hidden(heard).relu()))
        return (self.head(heard) + corrected).transpose(1, 2)


class Sync(nn.Module):
    """The three networks together; parameters are stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.audio = AudioEncoder()
        self.lip = LipEncoder()
        self.decoder = LipDecoder()
        self.meet = nn.Linear(EMBEDDING, EMBEDDING)
        self.temperature = nn.Parameter(torch.tensor(2.7))  # log of the inverse temperature
        # Set after training by `models.train.anchors.calibrate`, used by `SpokenLips`.
        self.register_buffer("lip_anchor", torch.zeros(LIP))
        self.register_buffer("lip_shut", torch.zeros(LIP))
        self.register_buffer("lip_gain", torch.ones(()))
        self.register_buffer("lip_opening", torch.zeros(LIP))
        self.register_buffer("lip_way", torch.zeros(LIP))
        self.register_buffer("lip_press", torch.zeros(()))

    def embed(self, mel: Tensor) -> Tensor:
        """Audio embeddings [N, T, 128] of log-mel [N, 4·T, 80], with silence around it."""
        padded = F.pad(mel, (0, 0, MEL_BEFORE, MEL_AFTER - MEL_PER_FRAME), value=SILENCE)
        return self.audio(padded)

    def project(self, audio: Tensor) -> Tensor:
        """Audio embeddings [..., 128] where lips' embeddings are: unit length."""
        return F.normalize(self.meet(audio), dim=-1)


class SpokenLips(nn.Module):
    """What the runtime runs: embeddings [N, 16, 128] → lip code [N, 1, 16].

    A network that predicts the likeliest lips moves them too little, about a mouth ajar. Its
    excursions are stretched towards people's, and moved so that in speech lips are on average as
    far from shut as people's. What then lies beyond lips that press each other is brought back, the
    way from its answer to silence to shut lips: jaws do not pass through each other.
    """

    def __init__(self, sync: Sync) -> None:
        super().__init__()
        self.decoder = sync.decoder
        self.register_buffer("anchor", sync.lip_anchor)
        self.register_buffer("shut", sync.lip_shut)
        self.register_buffer("gain", sync.lip_gain)
        self.register_buffer("opening", sync.lip_opening)
        self.register_buffer("way", sync.lip_way)
        self.register_buffer("press", sync.lip_press)

    def forward(self, embeddings: Tensor) -> Tensor:
        change = self.gain * (self.decoder(embeddings) - self.anchor)
        beyond = F.relu(-(change * self.opening).sum(-1, keepdim=True) - self.press)
        return self.shut + change + beyond * self.way
