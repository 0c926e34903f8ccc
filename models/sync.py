"""Lip-audio synchronisation: contrastive audio and lip encoders, and lips from audio.

After section 2.2 of the paper. The audio encoder and the lip encoder meet in one embedding space, trained
to tell a window's own audio from that of other times and other clips (InfoNCE). A deterministic temporal
decoder then predicts the lip code of a frame from the audio embeddings around it. All of it looks at
most 160 ms (four frames) ahead: 80 ms inside the audio encoder, 80 ms in the decoder.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attributes import LIP

MELS = 80
MEL_PER_FRAME = 4
# The audio encoder of frame i sees mel columns [4i − 20, 4i + 12): 8 columns beyond the frame's own four.
MEL_BEFORE, MEL_AFTER = 20, 12
MEL_WINDOW = MEL_BEFORE + MEL_AFTER
EMBEDDING = 128
# The lip decoder of frame i sees embeddings of frames [i − 17, i + 2].
CONTEXT_BEFORE, CONTEXT_AFTER = 17, 2
CONTEXT = CONTEXT_BEFORE + 1 + CONTEXT_AFTER
LIP_WINDOW = 5  # frames the lip encoder sees
# Log-mel of speech lies in about [-23, 5] with mean −7; the networks want about [−2, 2].
MEL_MEAN, MEL_SCALE = -7.0, 5.0


class _Residual1d(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv1d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.body(x))


class AudioEncoder(nn.Module):
    """Log-mel window [N, 32, 80] → unit-length embedding [N, 128].

    The window's own loudness is taken out and handed over as a separate, bounded input, so that a quiet
    and a loud recording of the same words look alike and silence still looks like silence.
    """

    def __init__(self, width: int = 160) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2 * MELS, width, 3, padding=1)
        self.body = nn.Sequential(
            _Residual1d(width),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            _Residual1d(width),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            _Residual1d(width),
        )
        self.head = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(width * MEL_WINDOW // 4, 256),
            nn.SiLU(),
            nn.Linear(256, EMBEDDING),
        )

    def forward(self, mel: Tensor) -> Tensor:
        scaled = (mel - MEL_MEAN) / MEL_SCALE
        loud = scaled.amax(dim=(1, 2), keepdim=True)
        both = torch.cat([scaled.clamp(-3, 3), (scaled - loud).clamp(-4, 0) + 2], -1)
        x = self.body(F.silu(self.stem(both.transpose(1, 2))))
        return F.normalize(self.head(x.flatten(1)), dim=-1)


class LipEncoder(nn.Module):
    """Lip codes of 5 frames [N, 5, 16] → unit-length embedding [N, 128]. Used in training and measuring."""

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
    """Audio embeddings of 20 frames [N, 20, 128] (the frame's own is number 17) → its lip code [N, 16]."""

    def __init__(self, width: int = 160, layers: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.stem = nn.Linear(EMBEDDING, width)
        self.position = nn.Parameter(torch.randn(CONTEXT, width) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, LIP))

    def forward(self, embeddings: Tensor) -> Tensor:
        x = self.stem(embeddings) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, CONTEXT_BEFORE])


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP over [N, T, width]; ``mask`` [T, T] is added to the attention scores."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n, t, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5
        if mask is not None:
            scores = scores + mask
        attended = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, width)
        x = x + self.dropout(self.out(attended))
        return x + self.dropout(self.mlp(self.norm2(x)))


def mel_windows(mel: Tensor, frames: int) -> Tensor:
    """Encoder inputs [N, frames, 32, 80] of log-mel [N, 4·frames, 80], edges padded with silence."""
    silence = float(torch.log(torch.tensor(1e-10)))
    padded = F.pad(mel, (0, 0, MEL_BEFORE, MEL_AFTER), value=silence)
    return padded.unfold(1, MEL_WINDOW, MEL_PER_FRAME)[:, :frames].transpose(2, 3)


class Sync(nn.Module):
    """The three networks together; parameters are stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.audio = AudioEncoder()
        self.lip = LipEncoder()
        self.decoder = LipDecoder()
        self.temperature = nn.Parameter(torch.tensor(2.7))  # log of the inverse temperature

    def embed(self, mel: Tensor, frames: int) -> Tensor:
        """Audio embeddings [N, frames, 128] of log-mel [N, 4·frames, 80]."""
        windows = mel_windows(mel, frames)
        return self.audio(windows.reshape(-1, MEL_WINDOW, MELS)).view(len(mel), frames, EMBEDDING)

    def decode(self, embeddings: Tensor) -> Tensor:
        """Lip codes [N, T − 19, 16] of the frames 17…T − 3 of embeddings [N, T, 128]."""
        windows = embeddings.unfold(1, CONTEXT, 1).transpose(2, 3)
        n, t = windows.shape[:2]
        return self.decoder(windows.reshape(n * t, CONTEXT, EMBEDDING)).view(n, t, LIP)
