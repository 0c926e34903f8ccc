"""Train the dynamics VAE: ``python -m models.train.dynamics --preset cpu|gpu`` (after sync).

Windows of pose, blinks and brows, each relative to the clip's own rest, with the frozen audio
encoder's embeddings; clips without sound are used with the embedding left out (zero), which speech
clips also meet at random.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.audio import AudioEncoder
from models.data.dataset import PreparedClip, load
from models.dynamics import LIDS, MOTION, Dynamics, DynamicsSampler
from models.sync import Sync
from models.train.hearing import hear
from models.train.loop import Settings, arguments, load_weights, train
from parlante.contract import EMBEDDING, LATENT, POSE, TAIL, WINDOW
from parlante.face.model import FaceModel
from parlante.portrait.manner import motion_of
from parlante.runtime.bundle import Bundle

PRESETS = {
    "cpu": Settings(steps=6_000, batch=32, learning_rate=1.5e-3, minutes=5, ema=0.995),
    "gpu": Settings(steps=15_000, batch=256, learning_rate=5e-4),
}
LENGTH = TAIL + WINDOW
KL_WEIGHT = 0.002
KL_FROM = 0.15  # progress at which the KL term sets in: a latent must first be of use to be kept
FREE_NATS = 0.1  # per latent dimension: below this no dimension is pushed towards the prior
DEAF_SHARE = 0.15
# A face and its mirror image move alike: yaw, roll and x change sign, right and left eye and brow
# change places.
MIRROR_SIGN = [1.0, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
MIRROR_ORDER = [0, 1, 2, 3, 4, 5, 7, 6, 8, 10, 9, 12, 11]


@torch.no_grad()
def windows(
    clips: list[PreparedClip], encoder: AudioEncoder, sync: Sync, *, hop: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows of runs of kept frames.

    Motion [W, 35, 13], audio embedding [W, 35, 128] and whether there is audio [W].
    """
    motion, audio, heard = [], [], []
    device = sync.lip_shut.device
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    for clip in clips:
        runs = clip.runs(LENGTH)
        if not runs:
            continue
        brows = model.brows(clip.expression)
        moves = torch.from_numpy(motion_of(clip.pose, clip.closure, brows, clip.keep)).to(device)
        n = len(clip)
        if clip.mel is None:
            embedding = torch.zeros(n, EMBEDDING, device=device)
        else:
            embedding = sync.embedding(hear(encoder, torch.from_numpy(clip.mel).to(device)))
        for a, b in runs:
            motion.append(moves[a:b].unfold(0, LENGTH, hop).transpose(1, 2))
            audio.append(embedding[a:b].unfold(0, LENGTH, hop).transpose(1, 2))
            heard.append(torch.full((len(motion[-1]),), clip.mel is not None, device=device))
    return torch.cat(motion), torch.cat(audio), torch.cat(heard)


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS, ("vae",))
    device = torch.device(parsed.device)
    encoder, sync = (
        load_weights(own, name, parsed.weights).to(device)
        for own, name in ((AudioEncoder(), "audio"), (Sync(), "sync"))
    )
    data = [
        windows(load(parsed.prepared, parsed.data, "train", validation=validation), encoder, sync)
        for validation in (False, True)
    ]
    module = Dynamics().to(device)
    spread = data[0][0].reshape(-1, MOTION).std(0)
    spread[LIDS] = 1
    if parsed.without == "vae":
        module.latent_scale.zero_()  # a regression: the mean answer, whatever is drawn
    module.scale.copy_(spread)

    def terms(net: nn.Module, motion: Tensor, audio: Tensor) -> dict[str, Tensor]:
        motion = motion / net.scale
        if parsed.without == "vae":
            mean = log_variance = torch.zeros(len(motion), LATENT, device=device)
            made = net.decoder(mean, motion[:, :TAIL], audio)
        else:
            made, mean, log_variance = net(motion, audio)
        true = motion[:, TAIL:]
        miss = made - true
        blink_weight = 1 + 6 * true[..., LIDS]
        pose, brows = miss[..., :POSE], miss[..., LIDS.stop :]
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(0)
        return {
            "pose": pose.square().mean(),
            "velocity": 10 * (pose[:, 1:] - pose[:, :-1]).square().mean(),
            "brows": 0.5 * brows.square().mean(),
            "blink": 6 * (miss[..., LIDS].square() * blink_weight).mean(),
            "kl": KL_WEIGHT * kl.clamp(min=FREE_NATS).sum(),
        }

    def losses(progress: float) -> dict[str, Tensor]:
        motion, audio, _ = data[0]
        pick = torch.randint(len(motion), (settings.batch,), device=device)
        deaf = torch.rand(settings.batch, 1, 1, device=device) < DEAF_SHARE
        moves = motion[pick]
        mirror = torch.rand(settings.batch, 1, 1, device=device) < 0.5
        mirrored = (moves * torch.tensor(MIRROR_SIGN, device=device))[..., MIRROR_ORDER]
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
        for part, channels in (("pose", slice(POSE)), ("brows", slice(LIDS.stop, None))):
            spread = (x[..., channels].std(1).mean() for x in (drawn, true))
            scores[f"{part}_spread"] = float(next(spread) / next(spread))
        for label, x in (("drawn", drawn), ("true", true)):
            shut = x[..., LIDS].mean(-1) > 0.5
            starts = (shut[:, 1:] & ~shut[:, :-1]).float().sum() / shut[:, 1:].numel()
            scores[f"blinks_a_minute_{label}"] = float(starts * 25 * 60)
        return scores

    train("dynamics", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
