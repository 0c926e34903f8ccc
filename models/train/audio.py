"""Train the audio encoder: ``python -m models.train.audio --preset cpu|gpu`` (after data.teacher).

It begins as the first layers of Whisper's encoder, and learns to say what they say of the whole of
a sound from a second before and 140 ms after. It hears windows in other voices' tracts, at other
levels, in noise and music; the teacher heard them clean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.audio import AudioEncoder
from models.data import whisper
from models.data.teacher import TEACHER
from models.train.hearing import BEHIND_SPEECH, augment, hear_music, other_tracts
from models.train.loop import Settings, arguments, train
from parlante.contract import HEARD, LOOK_AHEAD, MEL_PER_FRAME, MEL_WINDOW

PRESETS = {
    "cpu": Settings(20_000, 12, learning_rate=5e-4, minutes=14, ema=0.995),
    "gpu": Settings(20_000, 96, learning_rate=5e-4, minutes=6),
}
WINDOW = 100  # frames
ALONE = 10  # frames at a window's beginning that know too little of what was before
EASY = 4.0  # standard deviations of a number: what lies beyond is not learnt from


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


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS)
    device = torch.device(parsed.device)
    with np.load(parsed.prepared / TEACHER, allow_pickle=False) as stored:
        mel, said, share, held, mean, spread = (
            torch.from_numpy(stored[k]).to(device)
            for k in ("mel", "said", "share", "held_out", "mean", "spread")
        )
    said = said.reshape(-1, HEARD)
    inside = torch.arange(len(share), device=device) < len(share) - WINDOW
    taught, held_out = (Sounds(mel, said, share * (held == own) * inside) for own in (False, True))
    pieces = hear_music(device)
    module = AudioEncoder().to(device)
    whisper.begin(module, whisper.parameters())
    with torch.no_grad():
        module.norm.weight.copy_(1 / spread)
        module.norm.bias.copy_(-mean / spread)

    def miss(net: nn.Module, mel: Tensor, said: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            heard = net(mel)
        return (heard.float() - said.clamp(-EASY, EASY))[:, ALONE:].square().mean()

    def losses(progress: float) -> dict[str, Tensor]:
        mel, said = taught.windows(torch.multinomial(taught.share, settings.batch))
        return {"said": miss(module, augment(other_tracts(mel), pieces, BEHIND_SPEECH), said)}

    generator = torch.Generator(device).manual_seed(0)
    chosen = torch.multinomial(held_out.share, 48, generator=generator)

    def validate(average: nn.Module) -> dict[str, float]:
        return {"said": float(miss(average, *held_out.windows(chosen)))}

    train("audio", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
