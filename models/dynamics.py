"""Personal dynamics: a transformer VAE over head pose and blink sequences.

After section 2.3 of the paper: pose, blinks and, beyond it, brows are not determined by speech, so
they are drawn. A
window of 25 frames is generated at a time from a latent z ~ N(0, I), the audio embeddings, and the
last 10 frames of what came before. The decoder is causal in time, so a frame needs no audio beyond
its own embedding and the sequence runs for ever, window by window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from parlante.contract import BLINK, BROWS, EMBEDDING, LATENT, POSE, TAIL, WINDOW

# Rotation vector (3), translation x, y and log scale, relative to the person's rest; lid closures;
# brows, relative to rest, too.
MOTION = POSE + BLINK + BROWS
LIDS = slice(POSE, POSE + BLINK)


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP over [N, T, width].

    ``mask`` [T, T] is added to the attention scores.
    """

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


class DynamicsEncoder(nn.Module):
    """Motion [N, 35, 13], audio [N, 35, 128] → mean and log-variance [N, 32] of z.

    Motion is the tail, then the window.
    """

    def __init__(self, width: int = 96, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.stem = nn.Linear(MOTION + EMBEDDING, width)
        self.position = nn.Parameter(torch.randn(TAIL + WINDOW + 1, width) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * LATENT))

    def forward(self, motion: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(torch.cat([motion, audio], -1))
        x = torch.cat([torch.zeros_like(x[:, :1]), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        mean, log_variance = self.head(x[:, 0]).chunk(2, -1)
        return mean, log_variance.clamp(-8, 4)


class DynamicsDecoder(nn.Module):
    """z [N, 32], tail [N, 10, 13], audio [N, 35, 128] → motion [N, 25, 13].

    Frame t sees audio up to t only.
    """

    def __init__(self, width: int = 96, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.tail = nn.Linear(MOTION, width)
        self.audio = nn.Linear(EMBEDDING, width)
        self.latent = nn.Linear(LATENT, width)
        self.position = nn.Parameter(torch.randn(TAIL + WINDOW, width) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, MOTION))
        causal = torch.full((TAIL + WINDOW, TAIL + WINDOW), float("-inf")).triu(1)
        causal[:TAIL, :TAIL] = 0
        self.register_buffer("causal", causal.nan_to_num(neginf=-1e4), persistent=False)

    def forward(self, latent: Tensor, tail: Tensor, audio: Tensor) -> Tensor:
        known = torch.cat([self.tail(tail), torch.zeros_like(self.audio(audio[:, TAIL:]))], 1)
        x = known + self.audio(audio) + self.latent(latent)[:, None] + self.position
        for block in self.blocks:
            x = block(x, self.causal)
        change = self.head(x[:, TAIL:])
        # Pose and brows continue from the last frame; the blink is drawn outright.
        going_on = tail[:, -1:] + change
        shut = torch.sigmoid(change[..., LIDS] - 2)
        return torch.cat([going_on[..., :POSE], shut, going_on[..., LIDS.stop :]], -1)


class Dynamics(nn.Module):
    """Both halves.

    ``scale`` [13] is the spread of each channel of motion over the training people. ``latent_mean``
    and ``latent_scale`` [32] describe the latents that training meets (the aggregate posterior):
    drawing from them instead of N(0, I) lets a weak KL term keep the latent informative.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = DynamicsEncoder()
        self.decoder = DynamicsDecoder()
        self.register_buffer("scale", torch.ones(MOTION))
        self.register_buffer("latent_mean", torch.zeros(LATENT))
        self.register_buffer("latent_scale", torch.ones(LATENT))

    def forward(self, motion: Tensor, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction [N, 25, 13], mean and log-variance [N, 32] of motion [N, 35, 13]."""
        mean, log_variance = self.encoder(motion, audio)
        latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        if self.training:
            with torch.no_grad():
                self.latent_mean.lerp_(latent.mean(0), 0.02)
                self.latent_scale.lerp_(latent.std(0), 0.02)
        return self.decoder(latent, motion[:, :TAIL], audio), mean, log_variance


class DynamicsReader(nn.Module):
    """Motion [N, 35, 13] of a person → mean and deviation [N, 32] of its latent.

    In units of what `DynamicsSampler` takes. The sound is left out: with it, manners are told apart
    no better.
    """

    def __init__(self, dynamics: Dynamics) -> None:
        super().__init__()
        self.encoder = dynamics.encoder
        self.register_buffer("mean", dynamics.latent_mean)
        self.register_buffer("scale", dynamics.latent_scale.clamp(min=1e-6))

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        silent = torch.zeros(*motion.shape[:2], EMBEDDING, device=motion.device)
        mean, log_variance = self.encoder(motion, silent)
        return (mean - self.mean) / self.scale, (log_variance / 2).exp() / self.scale


class DynamicsSampler(nn.Module):
    """What the runtime runs: latent, tail and audio → motion [N, 25, 13].

    Latent ~ N(0, I) [N, 32], tail [N, 10, 13], audio [N, 35, 128].
    """

    def __init__(self, dynamics: Dynamics) -> None:
        super().__init__()
        self.decoder = dynamics.decoder
        self.register_buffer("mean", dynamics.latent_mean)
        self.register_buffer("scale", dynamics.latent_scale)

    def forward(self, latent: Tensor, tail: Tensor, audio: Tensor) -> Tensor:
        return self.decoder(self.mean + self.scale * latent, tail, audio)
