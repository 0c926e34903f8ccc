"""Train the dynamics VAE: ``python -m models.train.dynamics --preset cpu|gpu`` (after sync).

Windows of pose and blink, each relative to the clip's own rest pose, with the frozen audio
encoder's embeddings; clips without sound are used with the embedding left out (zero), which speech
clips also meet at random.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.data.dataset import PreparedClip, load
from models.dynamics import MOTION, Dynamics, DynamicsSampler
from models.sync import Sync
from models.train.loop import Settings, arguments, load_weights, train
from parlante.contract import BLINK, EMBEDDING, LATENT, POSE, TAIL, WINDOW
from parlante.portrait.manner import motion_of

PRESETS = {
    "cpu": Settings(steps=6_000, batch=32, learning_rate=1.5e-3, minutes=5, ema=0.995),
    "gpu": Settings(steps=15_000, batch=256, learning_rate=5e-4),
}
LENGTH = TAIL + WINDOW
KL_WEIGHT = 0.002
KL_FROM = 0.15  # progress at which the KL term sets in: a latent must first be of use to be kept
FREE_NATS = 0.1  # per latent dimension: below this no dimension is pushed towards the prior
DEAF_SHARE = 0.15


@torch.no_grad()
def windows(
    clips: list[PreparedClip], sync: Sync, device: torch.device, *, hop: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows of runs of kept frames.

    Motion [W, 35, 8], audio embedding [W, 35, 128] and whether there is audio [W].
    """
    motion, audio, heard = [], [], []
    for clip in clips:
        runs = clip.runs(LENGTH)
        if not runs:
            continue
        moves = torch.from_numpy(motion_of(clip.pose, clip.closure, clip.keep)).to(device)
        n = len(clip)
        if clip.mel is None:
            embedding = torch.zeros(n, EMBEDDING, device=device)
        else:
            embedding = sync.embed(torch.from_numpy(clip.mel).to(device)[None])[0]
        for a, b in runs:
            motion.append(moves[a:b].unfold(0, LENGTH, hop).transpose(1, 2))
            audio.append(embedding[a:b].unfold(0, LENGTH, hop).transpose(1, 2))
            heard.append(torch.full((len(motion[-1]),), clip.mel is not None, device=device))
    return torch.cat(motion), torch.cat(audio), torch.cat(heard)


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS, ("vae",))
    device = torch.device(parsed.device)
    sync = load_weights(Sync(), "sync", parsed.weights).to(device)
    data = [
        windows(load(parsed.prepared, parsed.data, "train", validation=validation), sync, device)
        for validation in (False, True)
    ]
    module = Dynamics().to(device)
    spread = data[0][0].reshape(-1, MOTION)
    if parsed.without == "vae":
        module.latent_scale.zero_()  # a regression: the mean answer, whatever is drawn
    module.scale.copy_(torch.cat([spread[:, :POSE].std(0), torch.ones(BLINK, device=device)]))

    def terms(net: nn.Module, motion: Tensor, audio: Tensor) -> dict[str, Tensor]:
        motion = motion / net.scale
        if parsed.without == "vae":
            mean = log_variance = torch.zeros(len(motion), LATENT, device=device)
            made = net.decoder(mean, motion[:, :TAIL], audio)
        else:
            made, mean, log_variance = net(motion, audio)
        true = motion[:, TAIL:]
        miss = made - true
        blink_weight = 1 + 6 * true[..., POSE:]
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(0)
        return {
            "pose": miss[..., :POSE].square().mean(),
            "velocity": 10 * (miss[:, 1:, :POSE] - miss[:, :-1, :POSE]).square().mean(),
            "blink": 4 * (miss[..., POSE:].square() * blink_weight).mean(),
            "kl": KL_WEIGHT * kl.clamp(min=FREE_NATS).sum(),
        }

    def losses(progress: float) -> dict[str, Tensor]:
        motion, audio, _ = data[0]
        pick = torch.randint(len(motion), (settings.batch,), device=device)
        deaf = torch.rand(settings.batch, 1, 1, device=device) < DEAF_SHARE
        moves = motion[pick]
        # A face and its mirror image move alike: yaw, roll and x change sign, the eyes change
        # places.
        mirror = torch.rand(settings.batch, 1, 1, device=device) < 0.5
        sign = torch.tensor([1.0, -1, -1, -1, 1, 1, 1, 1], device=device)
        mirrored = (moves * sign)[..., [0, 1, 2, 3, 4, 5, 7, 6]]
        parts = terms(
            module, torch.where(mirror, mirrored, moves), audio[pick].masked_fill(deaf, 0)
        )
        return parts | {"kl": parts["kl"] * float(progress > KL_FROM)}

    def validate(average: nn.Module) -> dict[str, float]:
        motion, audio, _ = data[1]
        scores = {k: float(v) for k, v in terms(average, motion[:512], audio[:512]).items()}
        sampler = DynamicsSampler(average)
        drawn = sampler(
            torch.randn(len(motion), 32, device=device), motion[:, :TAIL] / average.scale, audio
        )
        true = motion[:, TAIL:] / average.scale
        scores["pose_spread"] = float(
            drawn[..., :POSE].std(1).mean() / true[..., :POSE].std(1).mean()
        )
        for label, x in (("drawn", drawn), ("true", true)):
            shut = x[..., POSE:].mean(-1) > 0.5
            starts = (shut[:, 1:] & ~shut[:, :-1]).float().sum() / shut[:, 1:].numel()
            scores[f"blinks_a_minute_{label}"] = float(starts * 25 * 60)
        return scores

    train("dynamics", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
