"""What synthetic voices teach lips: sounds that are known to the moment, in voices by the thousand.

People's lips say how far and how softly lips move; but few people are filmed, and which lips belong
to a sound is drowned in what each of them does besides. `models.data.visemes` knows it of any
voice. It is asked of what the runtime shows (`SpokenLips`): of the decoder's answer, stretched and
anchored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.audio import AudioEncoder
from models.data.visemes import Lesson
from models.sync import Sync
from models.train.hearing import elsewhere, hear, other_speed, played
from models.train.lips import LipError
from parlante.contract import CONTEXT, EXPRESSION
from parlante.face.model import FaceModel

# Modes of the 3DMM that a measure of a viseme moves, at 1.
JAW = {"jawOpen": 1.0}
ROUNDED = {"mouthFunnel": 0.25, "mouthPucker": 0.5}
SPREAD = {"mouthStretch": 0.25, "mouthSmile": 0.15}
TUCKED = {"mouthRollLower": 0.35, "mouthUpperUp": 0.1}
WINDOW = 24  # frames that are learnt from together
FRAMES = CONTEXT - 1 + WINDOW
MEET, PART = -0.01, 0.14  # widths of the mouth: at most where lips meet, at least where they do not
WEIGHTS = {"lips": 0.5, "opening": 6.0, "velocity": 1.0, "touch": 16.0, "apart": 16.0}


class Shapes:
    """Lip codes of visemes, as far from ``shut`` [16] as the 3DMM's modes take them."""

    def __init__(self, error: LipError, model: FaceModel, shut: Tensor) -> None:
        self._error, self._model, self._shut = error, model, shut
        self._rest = error.code(torch.zeros(1, EXPRESSION, device=shut.device))[0]
        self._jaw, *others = (self._change(modes) for modes in (JAW, ROUNDED, SPREAD, TUCKED))
        self._others = torch.stack(others)

    def _change(self, modes: dict[str, float]) -> Tensor:
        names = self._model.expression_names
        expression = torch.zeros(1, EXPRESSION, device=self._shut.device)
        for name, value in modes.items():
            for k, own in enumerate(names):
                if own in (name, f"{name}_L", f"{name}_R"):
                    expression[0, k] = value
        return self._error.code(expression)[0] - self._rest

    def opening(self, code: Tensor) -> Tensor:
        """How far codes [..., 16] are open, in widths of the mouth, from shut."""
        moved = self._error.aperture(code) - self._error.aperture(self._shut)
        return moved / self._error.mouth_width

    def codes(self, opening: Tensor, rounding: Tensor, tuck: Tensor) -> Tensor:
        """Codes [F, 16] of visemes: the jaw opens lips as far as is asked, for all else they do."""
        measures = torch.stack([rounding.clamp(min=0), (-rounding).clamp(min=0), tuck], -1)
        shaped = self._shut + measures @ self._others
        unit = self.opening(self._shut + self._jaw)
        return shaped + ((opening - self.opening(shaped)) / unit)[:, None] * self._jaw


@dataclass(frozen=True)
class Lessons:
    """Lessons end to end: what is heard [F, 1024], the code [F, 16], and demands [F, 2].

    Demands: 1 where lips have to meet, and where they must not. ``starts``: where a window may
    begin.
    """

    heard: Tensor
    code: Tensor
    demands: Tensor
    starts: Tensor

    @classmethod
    def of(
        cls, lessons: list[Lesson], shapes: Shapes, pieces: Tensor, encoder: AudioEncoder
    ) -> Lessons:
        """Of ``lessons`` of at least `FRAMES`, each at another speed, in another's voice."""
        heard, code, demands, starts, first = [], [], [], [], 0
        for own in lessons:
            speed = other_speed(len(own))
            asked = torch.tensor(
                np.stack([own.opening, own.rounding, own.tuck, own.touch, own.apart], -1),
                dtype=torch.float32,
                device=pieces.device,
            )
            asked = played(asked, speed)
            if len(asked) < FRAMES:
                continue
            mel = torch.from_numpy(own.mel).to(pieces.device)
            heard.append(hear(encoder, elsewhere(mel, speed, pieces)))
            code.append(shapes.codes(*asked[:, :3].unbind(-1)))
            demands.append(asked[:, 3:])
            starts.append(first + torch.arange(len(asked) - FRAMES + 1, device=pieces.device))
            first += len(asked)
        return cls(*map(torch.cat, (heard, code, demands, starts)))

    def windows(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` windows of `FRAMES`: what is heard, codes and demands."""
        pick = torch.randint(len(self.starts), (count, 1), device=self.starts.device)
        at = self.starts[pick] + torch.arange(FRAMES, device=pick.device)
        return self.heard[at], self.code[at], self.demands[at]


def shown(decoded: Tensor, before: Sync) -> Tensor:
    """What the runtime shows of a decoder's answer, before lips press each other."""
    return before.lip_shut + before.lip_gain * (decoded - before.lip_anchor)


def misses(
    code: Tensor, wanted: Tensor, demands: Tensor, error: LipError, shapes: Shapes
) -> dict[str, Tensor]:
    """What shown lips [N, T, 16] do wrong: in position, opening and velocity, and where they meet.

    In model units; openings in widths of the mouth.
    """
    miss = error.motion(code) - error.motion(wanted)
    moved = error.on_lips(miss)
    opening = shapes.opening(code)
    touch, apart = demands.unbind(-1)
    touch, apart = (touch >= 0.5).float(), (apart == 1).float()

    def over(value: Tensor, where: Tensor) -> Tensor:
        return (value * where).sum() / where.sum().clamp(min=1)

    return {
        "lips": moved.abs().mean(),
        "opening": (opening - shapes.opening(wanted)).abs().mean(),
        "velocity": (moved[:, 1:] - moved[:, :-1]).abs().mean(),
        "touch": over((opening - MEET).relu(), touch),
        "apart": over((PART - opening).relu(), apart),
    }
