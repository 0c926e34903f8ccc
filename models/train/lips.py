"""How far lip codes are from others, measured by the motion they cause on the mesh."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.attributes import Attributes
from parlante.contract import EXPRESSION, LIP
from parlante.face.model import FaceModel
from parlante.face.topology import LIP_CORNERS, LIP_PAIRS, LIPS_INNER, LIPS_OUTER

USUAL = 2.5  # standard deviations
LEAST_SPREAD = 0.01  # of lip codes along a direction in which people's hardly differ
STILL_OPENING = 0.1  # model units: lips that move less than this say little about the sound


class LipError:
    """Errors of lip codes [N, T, 16], in model units on the lips' landmarks."""

    def __init__(self, attributes: Attributes, model: FaceModel, device: torch.device) -> None:
        lips = list(LIPS_OUTER + LIPS_INNER)
        upper, lower = (list(side) for side in zip(*LIP_PAIRS, strict=True))
        opening = (model.expression[:, upper, 1] - model.expression[:, lower, 1]).mean(1)
        basis = model.expression[:, lips, :2].reshape(EXPRESSION, -1)
        left, right = (model.neutral[corner] for corner in LIP_CORNERS)
        self.mouth_width = float(np.linalg.norm(left - right))
        self.opening = torch.from_numpy(opening).to(device)
        self._basis = torch.from_numpy(basis).to(device)
        self._attributes = attributes
        self._rest = attributes.decoder.lip(torch.zeros(1, LIP, device=device))

    def code(self, expression: Tensor) -> Tensor:
        """Lip codes [..., 16] of expressions [..., 53]."""
        return self._attributes.encoder.lip(expression)

    def motion(self, code: Tensor) -> Tensor:
        """Expression [..., 53] that a code adds."""
        return self._attributes.decoder.lip(code) - self._rest

    def aperture(self, code: Tensor) -> Tensor:
        """Opening [...] of the mouth that a code adds, in model units."""
        return self.motion(code) @ self.opening

    def on_lips(self, expression: Tensor) -> Tensor:
        """Motion [..., 80], x and y of each of the lips' landmarks, of expressions [..., 53]."""
        return expression @ self._basis

    def __call__(self, made: Tensor, true: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """What lips do wrong over the frames to ``keep`` [N, T].

        Position of the lips; their motion around the window's mean, for a speaker's own habitual
        mouth is not in the sound; its opening alone; agreement, how much the openings' correlation
        lacks to 1; velocity.
        """
        kept = keep.float()
        total = kept.sum().clamp(min=1)
        moved, wanted = self.motion(made), self.motion(true)
        miss = moved - wanted
        weight = (kept / kept.sum(1, keepdim=True).clamp(min=1))[..., None]
        around = miss - (miss * weight).sum(1, keepdim=True)
        a, b = (
            (o - (o * weight[..., 0]).sum(1, keepdim=True)) * kept
            for o in (moved @ self.opening, wanted @ self.opening)
        )
        still = STILL_OPENING**2 * kept.shape[1]
        agreement = ((a * b).sum(1) + still) / (
            (a.square().sum(1) + still) * (b.square().sum(1) + still)
        ).sqrt()
        both = kept[:, 1:] * kept[:, :-1]
        velocity = self.on_lips(miss[:, 1:] - miss[:, :-1])
        return {
            "position": (self.on_lips(miss).abs().mean(-1) * kept).sum() / total,
            "motion": (self.on_lips(around).abs().mean(-1) * kept).sum() / total,
            "aperture": ((around @ self.opening).abs() * kept).sum() / total,
            "agreement": (1 - agreement).mean(),
            "velocity": (velocity.abs().mean(-1) * both).sum() / both.sum().clamp(min=1),
        }


class Natural:
    """How far lip codes are from what people's lips do.

    A decoder that is asked for motion alone finds it far from the codes that faces have, where
    modes work against each other and mouths are bent.
    """

    def __init__(self, codes: Tensor) -> None:
        """Of people's ``codes`` [N, 16]."""
        self._mean = codes.mean(0)
        _, spread, self._axes = torch.linalg.svd(codes - self._mean, full_matrices=False)
        self._spread = (spread / len(codes) ** 0.5).clamp(min=LEAST_SPREAD)

    def __call__(self, code: Tensor) -> Tensor:
        """What of codes [..., 16] lies beyond `USUAL` standard deviations of people's; mean."""
        return ((code - self._mean) @ self._axes.T / self._spread).abs().sub(USUAL).relu().mean()


def weighted(parts: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
    """The parts that have a weight, times it."""
    return {k: weight * parts[k] for k, weight in weights.items()}
