"""Attribute disentanglement: 3DMM expression ↔ lip, blink and residual codes.

After section 2.1 of the paper: a fully connected autoencoder splits the expression coefficients
into codes that can be exchanged between frames. The decoder is a sum of three heads, so a code can
only add its own motion; training swaps codes between frames and asks that only the code's own
landmarks move.
"""

from __future__ import annotations

from torch import Tensor, nn

from parlante.contract import BLINK, EXPRESSION, LIP, RESIDUAL


def _mlp(inputs: int, outputs: int, width: int = 128) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.SiLU(),
        nn.Linear(width, width),
        nn.SiLU(),
        nn.Linear(width, outputs),
    )


class AttributeEncoder(nn.Module):
    """Expression [N, 53] → lip [N, 16], blink [N, 2], residual [N, 12].

    Blinks are right and left, about the eyeBlink mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lip = _mlp(EXPRESSION, LIP)
        self.blink = _mlp(EXPRESSION, BLINK)
        self.residual = _mlp(EXPRESSION, RESIDUAL)

    def forward(self, expression: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.lip(expression), self.blink(expression), self.residual(expression)


class AttributeDecoder(nn.Module):
    """lip [N, 16], blink [N, 2], residual [N, 12] → expression [N, 53]."""

    def __init__(self) -> None:
        super().__init__()
        self.lip = _mlp(LIP, EXPRESSION)
        self.blink = _mlp(BLINK, EXPRESSION, 32)
        self.residual = _mlp(RESIDUAL, EXPRESSION)

    def forward(self, lip: Tensor, blink: Tensor, residual: Tensor) -> Tensor:
        return self.lip(lip) + self.blink(blink) + self.residual(residual)


class Attributes(nn.Module):
    """Both halves; parameters are stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AttributeEncoder()
        self.decoder = AttributeDecoder()
