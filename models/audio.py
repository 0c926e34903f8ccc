"""The audio encoder: what a speech recogniser hears, frame by frame and with little delay.

Few people are filmed; a recogniser has heard thousands, and knows which differences are of the
sounds and which of the speaker. This network is the first half of Whisper base's encoder (Radford
et al. 2022; `models.data.whisper`). There a token sees 30 seconds, before it and after it. Here it
sees the last second, and of what follows as much as the look-ahead allows: with four frames 140 ms
in all three layers together. `models.train.audio` teaches it to say the same nevertheless.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parlante.contract import (
    FUTURES,
    LAYERS,
    LOOK_AHEAD,
    MEL_BANDS,
    MEL_PER_FRAME,
    MEL_WINDOW,
    MEMORY,
    SILENCE,
    TOKENS,
)

WIDTH, HEADS = 512, 8
INNER = 2048  # numbers between the matrices of an MLP
PAST = 50  # tokens that a token sees before its own
FUTURE = max(map(max, FUTURES.values()))  # and after it in a layer, at most
WARM = 25  # frames of silence before a clip
# Whisper's scale of a log-mel, whose logarithms are decimal.
MEL_SCALE, MEL_SHIFT = 4 * 2.302585, 1.0
MEL_RANGE = (-1.0, 2.0)

assert PAST + FUTURE == MEMORY
for ahead, future in FUTURES.items():
    # Tokens that the last layer is behind: in a step of the stream the first of its tokens is of
    # the frame that many frames before.
    assert len(future) == LAYERS and sum(future) + 1 == TOKENS * ahead


def scaled(mel: Tensor) -> Tensor:
    """A log-mel as Whisper scales it."""
    return (mel / MEL_SCALE + MEL_SHIFT).clamp(*MEL_RANGE)


def rowwise(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of width 3 over rows [T, C], as the one matrix that it is: [T', 512].

    Faster than a convolution for few rows, and can be stored in 8 bits.
    """
    (stride,) = convolution.stride
    parts = [x[i : len(x) - 2 + i : stride] for i in range(3)]
    weight = convolution.weight.transpose(1, 2).flatten(1)
    return F.linear(torch.cat(parts, 1), weight, convolution.bias)


class Layer(nn.Module):
    """A layer of Whisper's encoder over a band of tokens, with a bias for each distance.

    The scale of the attention is in ``query``. ``future``: tokens that a token sees after its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.distance = nn.Parameter(torch.zeros(HEADS, PAST + 1 + FUTURE))
        self.mlp = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH))
        heads = torch.eye(HEADS).repeat_interleave(WIDTH // HEADS, 1)
        self.register_buffer("heads", heads, persistent=False)  # which numbers are a head's

    def forward(self, x: Tensor, future: int) -> Tensor:
        """Tokens [N, T, 512] in and out."""
        seen = self.norm1(x)
        q, k, v = (
            part(seen).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        own = torch.arange(x.shape[1], device=x.device)
        scores = q @ k.transpose(-1, -2) + self._band(len(own), own, future)
        attended = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self._on(x, attended)

    def step(self, x: Tensor, memory: list[Tensor], future: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The next two tokens [2, 512] in, those that now see all they may out.

        ``memory``: tokens, keys and values [53, 512] before these; second, those of these.
        """
        tokens, keys, values = memory
        seen = self.norm1(x)
        key, value = self.key(seen), self.value(seen)
        own = MEMORY - future + torch.arange(len(x), device=x.device)
        behind = torch.cat([tokens, x])[own]
        # A row for each head, with nothing of the others: no transposition of what is remembered.
        query = self.query(self.norm1(behind))[:, None] * self.heads
        query = query.flatten(0, 1)
        band = self._band(MEMORY + len(x), own, future)
        scores = torch.cat([query @ keys.T, query @ key.T], -1)
        share = (scores + band.transpose(0, 1).flatten(0, 1)).softmax(-1)
        attended = share[:, :MEMORY] @ values + share[:, MEMORY:] @ value
        attended = (attended.unflatten(0, (len(x), HEADS)) * self.heads).sum(1)
        return self._on(behind, attended), [x, key, value]

    def _on(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.out(attended)
        return x + self.mlp(self.norm2(x))

    def _band(self, tokens: int, own: Tensor, future: int | Tensor) -> Tensor:
        """What is added to scores [heads, N, tokens] of the tokens ``own`` [N].

        A bias for the distance where a token is seen.
        """
        at = torch.arange(tokens, device=own.device) - own[:, None] + PAST
        inside = (at >= 0) & (at <= PAST + future)
        return self.distance[:, at.clamp(0, PAST + FUTURE)].masked_fill(~inside, -1e4)


class AudioEncoder(nn.Module):
    """Log-mel [N, 4·(S − 1) + 7, 80] → what is heard in S − A frames [N, S − A, 1024].

    The first seven columns end with the first frame; the last A frames, the look-ahead, are what
    the others see of what follows: 1, 2 or 4. Of a frame's two tokens what Whisper's third layer
    says of them, each number of mean zero and variance one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem1 = nn.Conv1d(MEL_BANDS, WIDTH, 3)
        self.stem2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def tokens(self, mel: Tensor) -> Tensor:
        """Tokens [N, 2·S, 512] of a log-mel, before the layers."""
        x = scaled(mel).transpose(1, 2)
        return F.gelu(self.stem2(F.gelu(self.stem1(x)))).transpose(1, 2)

    def frames(self, tokens: Tensor) -> Tensor:
        """The last layer's tokens [..., 2·T, 512], two a frame, as what is heard [..., T, 1024]."""
        return self.norm(tokens).unflatten(-2, (-1, TOKENS)).flatten(-2)

    def forward(self, mel: Tensor, ahead: int = LOOK_AHEAD) -> Tensor:
        x = self.tokens(mel)
        for layer, future in zip(self.layers, FUTURES[ahead], strict=True):
            x = layer(x, future)
        return self.frames(x[:, 1 : x.shape[1] - sum(FUTURES[ahead])])

    def hear(self, mel: Tensor, ahead: int = LOOK_AHEAD) -> Tensor:
        """What is heard in each frame [N, T, 1024] of log-mel [N, 4·T, 80], silence around it."""
        before = WARM * MEL_PER_FRAME + MEL_WINDOW - MEL_PER_FRAME
        around = (0, 0, before, ahead * MEL_PER_FRAME)
        return self(F.pad(mel, around, value=SILENCE), ahead)[:, WARM:]


class Streaming(nn.Module):
    """What the runtime runs, a step a frame.

    mel [1, 7, 80], the columns that end with a frame; future int64 [3], how many tokens a token
    sees after its own in each layer (`FUTURES`); and what is remembered of the 53 tokens before: of
    each layer tokens, keys and values, [53, 512] each → embedding [1, 1, 128] of the frame that the
    look-ahead is before, and what is to be remembered of the frame's own tokens, [9, 2, 512].
    """

    def __init__(self, encoder: AudioEncoder, embedding: nn.Module) -> None:
        super().__init__()
        self.encoder, self.embedding = encoder, embedding

    def forward(self, mel: Tensor, future: Tensor, *memory: Tensor) -> tuple[Tensor, Tensor]:
        x = F.gelu(rowwise(self.encoder.stem1, scaled(mel[0])))
        x = F.gelu(rowwise(self.encoder.stem2, x))
        kinds = len(memory) // LAYERS
        fresh: list[Tensor] = []
        for i, layer in enumerate(self.encoder.layers):
            x, own = layer.step(x, list(memory[kinds * i : kinds * (i + 1)]), future[i])
            fresh += own
        remembered = torch.cat(fresh).unflatten(0, (len(fresh), -1))
        return self.embedding(self.encoder.frames(x)[None]), remembered
