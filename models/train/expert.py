"""Train the Sync expert: ``python -m models.train.expert --preset cpu|gpu``.

It learns from people that the generator never saw: those reserved for it, and the validation
people. One batch holds a few windows of one second from each of some clips; InfoNCE tells the sound
of a window from that of other times of the same clip and from other clips.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.dataset import frame_weights, load, read_landmarks
from models.expert import WINDOW, Expert, lip_shape
from models.train.hearing import BEHIND_SPEECH, augment, hear_music
from models.train.loop import Settings, arguments, train
from parlante.contract import MEL_PER_FRAME

PRESETS = {
    name: Settings(2_500, 96, 1e-3, warmup=100, ema=0.995, weight_decay=0.05)
    for name in ("cpu", "gpu")
}
OF_A_CLIP = 6  # windows
APART = 2  # frames between windows of a clip: sound and lips of neighbours are alike
SIZES = (0.8, 1.3)  # range of a factor on the shapes
TRACKING_NOISE = 0.15


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS)
    device = torch.device(parsed.device)
    own = load(parsed.prepared, parsed.data, "reserved")
    own += load(parsed.prepared, parsed.data, "train", validation=True)
    clips = [c for c in own if c.mel is not None and c.lips and len(c) > WINDOW + APART]
    mels, shapes, kept = [], [], []
    for clip in clips:
        assert clip.mel is not None
        mels.append(torch.from_numpy(clip.mel).to(device))
        shapes.append(torch.from_numpy(lip_shape(read_landmarks(parsed.prepared, clip))).to(device))
        kept.append(torch.from_numpy(clip.keep))
    share = torch.tensor([len(c) for c in clips]) * torch.tensor(frame_weights(clips))
    module = Expert().to(device)
    pieces = hear_music(device)

    def draw() -> tuple[Tensor, Tensor]:
        """Log-mel [N, 100, 80] and lip shapes [N, 25, 20] of windows whose frames are all kept."""
        heard, seen = [], []
        for i in torch.multinomial(share, settings.batch // OF_A_CLIP).tolist():
            starts = torch.arange(0, len(kept[i]) - WINDOW + 1, APART)
            for start in starts[torch.randperm(len(starts))[:OF_A_CLIP]].tolist():
                if kept[i][start : start + WINDOW].all():
                    first = start * MEL_PER_FRAME
                    heard.append(mels[i][first : first + WINDOW * MEL_PER_FRAME])
                    seen.append(shapes[i][start : start + WINDOW])
        return torch.stack(heard), torch.stack(seen)

    def losses(progress: float) -> dict[str, Tensor]:
        mel, shape = draw()
        size = torch.rand(len(shape), 1, 1, device=device) * (SIZES[1] - SIZES[0]) + SIZES[0]
        shape = shape * size + TRACKING_NOISE * torch.randn_like(shape)
        near = module.temperature.exp().clamp(max=50) * module.agreement(
            module.audio(augment(mel, pieces, BEHIND_SPEECH)), module.lips(shape)
        )
        target = torch.arange(len(shape), device=device).expand(len(near), -1)
        return {"contrast": (F.cross_entropy(near, target) + F.cross_entropy(near.mT, target)) / 2}

    train("expert", module, losses, settings, parsed)


if __name__ == "__main__":
    main()
