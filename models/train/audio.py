"""Train the audio encoder: ``python -m models.train.audio --preset cpu|gpu`` (after data.teacher).

It begins as the first layers of Whisper's encoder, and learns to say what they say of the whole of
a sound from a second before and 140 ms after, or 60 or 20 where the look-ahead is shorter; most of
all that from which lips can be told, by a ridge regression on training people. It hears windows in
other voices' tracts, at other levels, in noise and music; the teacher heard them clean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.attributes import Attributes
from models.audio import AudioEncoder
from models.data import whisper
from models.data.teacher import TEACHER
from models.train.hearing import BEHIND_SPEECH, augment, hear_music, other_tracts
from models.train.lips import LipError
from models.train.loop import Settings, arguments, load_weights, train
from parlante.contract import HEARD, LOOK_AHEAD, MEL_PER_FRAME, MEL_WINDOW
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle

PRESETS = {
    "cpu": Settings(20_000, 12, learning_rate=5e-4, minutes=70, ema=0.995),
    "gpu": Settings(20_000, 96, learning_rate=5e-4, minutes=6),
}
WINDOW = 100  # frames
ALONE = 10  # frames at a window's beginning that know too little of what was before
EASY = 4.0  # standard deviations of a number: what lies beyond is not learnt from
RIDGE = 1e4  # of the regression from what is said to lips
# How often a batch is heard with a look-ahead, frames.
AHEAD = {4: 0.7, 2: 0.2, 1: 0.1}


@dataclass(frozen=True)
class Sounds:
    """Log-mel [4·F, 80], what is said of it [F, 1024], and how often a window begins at a frame."""

    mel: Tensor
    said: Tensor
    share: Tensor

    def windows(self, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel [N, 403, 80] and what is said [N, 96, 1024] from frames ``starts`` [N] on."""
        device = self.mel.device
        before = MEL_WINDOW - MEL_PER_FRAME
        columns = torch.arange(-before, WINDOW * MEL_PER_FRAME, device=device)
        frames = torch.arange(WINDOW - LOOK_AHEAD, device=device)
        at = (starts[:, None] * MEL_PER_FRAME + columns).clamp(min=0)
        return self.mel[at].float(), self.said[starts[:, None] + frames].float()


class LipsTold:
    """What lips do as a matrix tells from what is said of two frames, least squares on people."""

    def __init__(self, said: Tensor, expression: Tensor, error: LipError) -> None:
        """Said [F, 1024]; expression [F, 53], zeros where it is not known."""
        at = torch.where(expression.abs().sum(1) > 0)[0]
        at = at[at > 0]
        lips = error.on_lips(error.motion(error.code(expression[at].float())))
        # A speaker's habitual mouth is not in the sound.
        _, clip = torch.unique_consecutive(
            at - torch.arange(len(at), device=at.device), return_inverse=True
        )
        lips = lips - _mean_of(lips, clip)
        x = torch.cat([said[at - 1], said[at]], -1).float().clamp(-EASY, EASY)
        x = x - _mean_of(x, clip)
        square = x.T @ x + RIDGE * torch.eye(x.shape[1], device=x.device)
        matrix = torch.linalg.solve(square, x.T @ lips)
        self._matrix = matrix / (x @ matrix).square().sum(1).mean().sqrt()

    def miss(self, wrong: Tensor) -> Tensor:
        """How far off lips are for what is ``wrong`` [N, T, 1024]; 1: as if they stood still."""
        two = torch.cat([wrong[:, :-1], wrong[:, 1:]], -1)
        return (two @ self._matrix).square().sum(-1).mean()


def _mean_of(x: Tensor, group: Tensor) -> Tensor:
    """The mean over the rows of ``x`` [N, C] of a row's group [N], for each row."""
    count = torch.bincount(group).float()[:, None]
    total = torch.zeros(len(count), x.shape[1], device=x.device).index_add_(0, group, x)
    return (total / count)[group]


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS)
    device = torch.device(parsed.device)
    with np.load(parsed.prepared / TEACHER, allow_pickle=False) as stored:
        mel, said, expression, share, held, mean, spread = (
            torch.from_numpy(stored[k]).to(device)
            for k in ("mel", "said", "expression", "share", "held_out", "mean", "spread")
        )
    said = said.reshape(-1, HEARD)
    inside = torch.arange(len(share), device=device) < len(share) - WINDOW
    taught, held_out = (Sounds(mel, said, share * (held == own) * inside) for own in (False, True))
    pieces = hear_music(device)
    attributes = load_weights(Attributes(), "attributes", parsed.weights).to(device)
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    error = LipError(attributes.requires_grad_(False), model, device)
    lips = LipsTold(said, expression * ~held[:, None], error)
    module = AudioEncoder().to(device)
    whisper.begin(module, whisper.parameters())
    with torch.no_grad():
        module.norm.weight.copy_(1 / spread)
        module.norm.bias.copy_(-mean / spread)

    def miss(net: nn.Module, mel: Tensor, said: Tensor, ahead: int) -> dict[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16):
            heard = net(mel, ahead)[:, : said.shape[1]]
        wrong = (heard.float() - said.clamp(-EASY, EASY))[:, ALONE:]
        return {"said": wrong.square().mean(), "lips": lips.miss(wrong)}

    def losses(progress: float) -> dict[str, Tensor]:
        mel, said = taught.windows(torch.multinomial(taught.share, settings.batch))
        ahead = list(AHEAD)[torch.multinomial(often, 1)]
        return miss(module, augment(other_tracts(mel), pieces, BEHIND_SPEECH), said, ahead)

    often = torch.tensor(list(AHEAD.values()))
    generator = torch.Generator(device).manual_seed(0)
    chosen = torch.multinomial(held_out.share, 48, generator=generator)

    def validate(average: nn.Module) -> dict[str, float]:
        mel, said = held_out.windows(chosen)
        return {
            f"{k} {ahead}": float(v)
            for ahead in AHEAD
            for k, v in miss(average, mel, said, ahead).items()
        }

    train("audio", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
