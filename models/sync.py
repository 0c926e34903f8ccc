"""Lip-audio synchronisation: contrastive audio and lip embeddings, and lips from audio.

After section 2.2 of the paper. What the audio encoder (`models.audio`) hears becomes an embedding
of what lips have to know. A projection of it and the lip encoder's embedding meet in one space,
trained to tell a window's own audio from that of other times and other clips (InfoNCE). A
deterministic decoder predicts the lip code of a frame from its embedding and those before it: the
160 ms (four frames) that all of it looks ahead are the encoder's.

Every convolution in time is without padding: over a long signal a network gives, frame by frame,
what it gives for each frame's window alone. Training runs over whole stretches, the runtime frame
by frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parlante.contract import CONTEXT, EMBEDDING, HEARD, LIP

LIP_WINDOW = 5  # frames the lip encoder sees


class Embedding(nn.Module):
    """What is heard [N, T, 1024] → embeddings [N, T, 128], not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(HEARD, EMBEDDING)

    def forward(self, heard: Tensor) -> Tensor:
        return F.relu(self.head(self.dropout(heard)))


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
    """Embeddings [N, T + 10, 128] → lip codes [N, T, 16] of the frames 10 … T + 9.

    The runtime has T = 1. A linear map, and a shallow network that corrects it, at first by
    nothing: deeper ones followed the training voices, not others.
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.4)
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
        self.embedding = Embedding()
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

    def project(self, audio: Tensor) -> Tensor:
        """Embeddings [..., 128] of sound where lips' are: unit length."""
        return F.normalize(self.meet(audio), dim=-1)


class SpokenLips(nn.Module):
    """What the runtime runs: embeddings [N, 11, 128] → lip code [N, 1, 16].

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
