"""Train lip-audio synchronisation: ``python -m models.train.sync --preset cpu|gpu`` (after
attributes).

One batch is a set of windows of 24 frames. InfoNCE pulls together the embeddings of a frame's audio
and of its lips against all other frames of the batch (other times and other clips); the lip decoder
learns the lip code by the motion it causes on the mesh (position, velocity, aperture), and by what
the lip encoder thinks of its output.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from models.attributes import EXPRESSION, LIP, Attributes
from models.data.dataset import PreparedClip, load
from models.sync import LIP_WINDOW, Sync
from models.train.loop import Peers, Settings, arguments, load_weights, train
from parlante.bundle import Bundle
from parlante.face_model import LIP_PAIRS, LIPS_INNER, LIPS_OUTER, FaceModel
from parlante.motion import CONTEXT_AFTER, CONTEXT_BEFORE, MEL_PER_FRAME, MELS, SILENCE

PRESETS = {
    "cpu": Settings(
        20_000, 40, learning_rate=1e-3, minutes=28, ema=0.998, weight_decay=0.05, muon=True
    ),
    "gpu": Settings(15_000, 256, learning_rate=1e-3, minutes=4, weight_decay=0.05, muon=True),
}
WINDOW = 24
HALF_LIP = LIP_WINDOW // 2
FRAMES = CONTEXT_BEFORE + WINDOW + CONTEXT_AFTER
STILL_OPENING = 0.1  # model units: lips that move less than this say little about the sound
SHUT_APERTURE = 0.03  # inner-lip opening over mouth width of lips that touch
QUIET_BELOW = 5.0  # nepers of power under a clip's loud frames
MAX_GAIN = 1.6
MIN_SPEED, MAX_SPEED = 0.85, 1.2  # of augmented speech
SILENT_SHARE = 0.06  # windows of nothing but (faint) noise, whose lips are shut


@dataclass(frozen=True)
class Speech:
    """All clips end to end.

    mel [C, 80] with silence between clips; expression and keep of every frame; the frames at which
    a training window may start, and how often each is to be drawn (its share).
    """

    mel: Tensor
    expression: Tensor
    keep: Tensor
    starts: Tensor
    share: Tensor

    def draw(self, count: int) -> Tensor:
        """``count`` starts, drawn by share."""
        return self.starts[torch.multinomial(self.share, count, replacement=True)]


def join(clips: list[PreparedClip], device: torch.device) -> Speech:
    """Lay clips end to end, each between CONTEXT_BEFORE and WINDOW frames of silence."""
    mel, expression, keep, starts, share = [], [], [], [], []
    # A person with a thousand sentences must not become the voice of all.
    spoken = Counter({c.person: 0 for c in clips})
    for clip in clips:
        spoken[clip.person] += len(clip)
    position = 0
    for clip in clips:
        assert clip.mel is not None
        n = len(clip)
        before, after = CONTEXT_BEFORE + HALF_LIP, WINDOW + CONTEXT_AFTER
        mel.append(
            np.pad(
                clip.mel[: n * MEL_PER_FRAME],
                (
                    (
                        before * MEL_PER_FRAME,
                        (after * MEL_PER_FRAME) + max(0, n * MEL_PER_FRAME - len(clip.mel)),
                    ),
                    (0, 0),
                ),
                constant_values=SILENCE,
            )
        )
        expression.append(np.pad(clip.expression, ((before, after), (0, 0))))
        keep.append(np.pad(clip.keep, (before, after)))
        # Windows that hold at least half a window of the clip.
        starts.append(
            position
            + np.arange(HALF_LIP, max(HALF_LIP + 1, before + n - WINDOW // 2 - CONTEXT_BEFORE))
        )
        share.append(np.full(len(starts[-1]), spoken[clip.person] ** -0.25))
        position += before + n + after
    return Speech(
        torch.from_numpy(np.concatenate(mel)).to(device),
        torch.from_numpy(np.concatenate(expression)).to(device),
        torch.from_numpy(np.concatenate(keep)).to(device),
        torch.from_numpy(np.concatenate(starts)).to(device),
        torch.from_numpy(np.concatenate(share)).float().to(device),
    )


def between(rows: Tensor, starts: Tensor, steps: Tensor) -> Tensor:
    """``rows`` [R, C] at fractional positions starts [N] + steps [N, T], linearly: [N, T, C]."""
    low = steps.floor()
    share = (steps - low)[..., None]
    first = starts[:, None] + low.long()
    last = len(rows) - 1
    a, b = rows[first.clamp(0, last)], rows[(first + 1).clamp(0, last)]
    return a + (b - a) * share


def augment(mel: Tensor) -> Tensor:
    """Gain, tilt, vocal-tract shift, band masks, noise, another voice; log-mel [N, C, 80] in and
    out."""
    n, columns, bands = mel.shape
    device = mel.device
    warp = torch.rand(n, 1, device=device) * 0.16 + 0.92
    at = (torch.arange(bands, device=device) * warp).clamp(0, bands - 1)
    low = at.floor().long()
    fraction = (at - low)[:, None]
    shifted = mel.gather(2, low[:, None].expand(-1, columns, -1)) * (1 - fraction)
    mel = (
        shifted
        + mel.gather(2, (low + 1).clamp(max=bands - 1)[:, None].expand(-1, columns, -1)) * fraction
    )
    gain = torch.rand(n, 1, 1, device=device) * 7 - 4.5
    tilt = torch.randn(n, 1, 1, device=device) * torch.linspace(-1, 1, bands, device=device)
    mel = (mel + gain + tilt).clamp(min=SILENCE)
    for _ in range(2):
        start = torch.rand(n, 1, device=device) * bands
        hit = (torch.arange(bands, device=device) - start).abs() < torch.rand(
            n, 1, device=device
        ) * 7
        mel = torch.where(hit[:, None], mel.amin(2, keepdim=True), mel)
    level = torch.rand(n, 1, 1, device=device) * 11 - 21
    slope = torch.randn(n, 1, 1, device=device) * torch.linspace(-1.5, 1.5, bands, device=device)
    noise = level + slope + torch.randn_like(mel)
    noisy = torch.rand(n, 1, 1, device=device) < 0.4
    mel = torch.where(noisy, torch.logaddexp(mel, noise), mel)
    # Another voice, far away.
    babble = mel.roll(1, 0) - (torch.rand(n, 1, 1, device=device) * 4 + 3)
    crowded = torch.rand(n, 1, 1, device=device) < 0.2
    return torch.where(crowded, torch.logaddexp(mel, babble), mel)


@torch.no_grad()
def calibrate(
    module: Sync,
    attributes: Attributes,
    clips: list[PreparedClip],
    opening: Tensor,
    device: torch.device,
) -> None:
    """Set the anchors of `SpokenLips` from training clips: the mean answer to quiet, the mean code
    of shut lips, and how much wider true lips open and close than predicted ones (standard
    deviations in a clip)."""
    quiet, shut, made_spread, true_spread = [], [], [], []
    for clip in clips:
        assert clip.mel is not None
        n = min(len(clip), len(clip.mel) // MEL_PER_FRAME)
        mel = torch.from_numpy(clip.mel[: n * MEL_PER_FRAME]).to(device)
        margin = (0, 0, CONTEXT_BEFORE * MEL_PER_FRAME, CONTEXT_AFTER * MEL_PER_FRAME)
        made = module.decoder(module.embed(F.pad(mel, margin, value=SILENCE)[None]))[0, :n]
        true = attributes.encoder.lip(torch.from_numpy(clip.expression[:n]).to(device))
        keep = torch.from_numpy(clip.keep[:n]).to(device)
        loudness = mel.exp().mean(1).clamp(min=1e-9).log().view(n, MEL_PER_FRAME).mean(1)
        quiet.append(made[keep & (loudness < loudness.quantile(0.9) - QUIET_BELOW)])
        closed = torch.from_numpy(clip.aperture[:n] < SHUT_APERTURE).to(device)
        shut.append(true[keep & closed])
        made_spread.append((attributes.decoder.lip(made[keep]) @ opening).std())
        true_spread.append((attributes.decoder.lip(true[keep]) @ opening).std())
    module.lip_quiet.copy_(torch.cat(quiet).mean(0))
    module.lip_shut.copy_(torch.cat(shut).mean(0))
    gain = torch.stack(true_spread).mean() / torch.stack(made_spread).mean()
    module.lip_gain.copy_(gain.clamp(1, MAX_GAIN))


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS)
    device = torch.device(parsed.device)
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    lips = list(LIPS_OUTER + LIPS_INNER)
    basis = torch.from_numpy(model.expression[:, lips, :2].reshape(EXPRESSION, -1)).to(device)
    upper, lower = (list(side) for side in zip(*LIP_PAIRS, strict=True))
    opening = torch.from_numpy(
        (model.expression[:, upper, 1] - model.expression[:, lower, 1]).mean(1)
    ).to(device)
    attributes = (
        load_weights(Attributes(), "attributes", parsed.weights).to(device).requires_grad_(False)
    )
    zero_rest = attributes.decoder.lip(torch.zeros(1, LIP, device=device))
    shut = attributes.encoder.lip(torch.zeros(1, EXPRESSION, device=device))

    def usable(*, validation: bool) -> Speech:
        clips = load(parsed.prepared, parsed.data, "train", validation=validation)
        return join([c for c in clips if c.lips and c.mel is not None and len(c) >= WINDOW], device)

    speech, held_out = usable(validation=False), usable(validation=True)
    module = Sync().to(device)

    def lip_motion(code: Tensor) -> Tensor:
        return attributes.decoder.lip(code) - zero_rest

    def window(data: Speech, starts: Tensor, speed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mel, expression and keep of the windows at ``starts`` [N], played ``speed`` [N] times as
        fast."""
        frames = torch.arange(-HALF_LIP, FRAMES + HALF_LIP, device=device) * speed[:, None]
        columns = torch.arange(FRAMES * MEL_PER_FRAME, device=device) * speed[:, None]
        expression = between(data.expression, starts, frames)
        keep = between(data.keep[:, None].float(), starts, frames)[..., 0] == 1
        return between(data.mel, starts * MEL_PER_FRAME, columns), expression, keep

    def terms(net: nn.Module, mel: Tensor, expression: Tensor, keep: Tensor) -> dict[str, Tensor]:
        n = len(mel)
        code = attributes.encoder.lip(expression.reshape(-1, EXPRESSION)).view(n, -1, LIP)
        audio = net.embed(mel)
        first = CONTEXT_BEFORE
        span = slice(HALF_LIP + first, HALF_LIP + first + WINDOW)
        kept = keep[:, span].float()
        total = kept.sum().clamp(min=1)
        predicted = net.decoder(audio)
        wanted = code[:, span]
        made, true = lip_motion(predicted), lip_motion(wanted)
        miss = made - true
        weight = kept[..., None] / kept.sum(1).clamp(min=1)[:, None, None]
        # A speaker's own habitual mouth is not in the sound: what counts is the motion around it.
        around = miss - (miss * weight).sum(1, keepdim=True)
        opened, open_true = made @ opening, true @ opening
        a = (opened - (opened * weight[..., 0]).sum(1, keepdim=True)) * kept
        b = (open_true - (open_true * weight[..., 0]).sum(1, keepdim=True)) * kept
        still = STILL_OPENING**2 * WINDOW
        agreement = ((a * b).sum(1) + still) / (
            (a.square().sum(1) + still) * (b.square().sum(1) + still)
        ).sqrt()
        out = {
            "position": ((miss @ basis).abs().mean(-1) * kept).sum() / total,
            "motion": ((around @ basis).abs().mean(-1) * kept).sum() / total * 6,
            "aperture": ((around @ opening).abs() * kept).sum() / total * 1.5,
            "agreement": 1.0 * (1 - agreement).mean(),
        }
        both = kept[:, 1:] * kept[:, :-1]
        velocity = (miss[:, 1:] - miss[:, :-1]) @ basis
        out["velocity"] = (velocity.abs().mean(-1) * both).sum() / both.sum().clamp(min=1) * 4
        # Contrast: 3 frames a window, all kept; other times of the same clip and other clips are
        # the negatives.
        pick = torch.stack([torch.randperm(WINDOW, device=device)[:3] for _ in range(1)])[0]
        around = pick[:, None] + torch.arange(LIP_WINDOW, device=device)
        lips_seen = code[:, first + around]
        valid = keep[:, first + around].all(-1).reshape(-1)
        lip_embedding = net.lip(lips_seen.reshape(-1, LIP_WINDOW, LIP))[valid]
        audio_embedding = audio[:, first + pick].reshape(-1, audio.shape[-1])[valid]
        logits = net.temperature.exp().clamp(max=50) * audio_embedding @ lip_embedding.T
        target = torch.arange(len(logits), device=device)
        out["contrast"] = (
            0.1 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        )
        # The lip encoder judges the decoder's lips (it is not itself taught by them).
        inner = predicted.unfold(1, LIP_WINDOW, 1).transpose(2, 3)[:, ::3]
        heard = audio[:, first + HALF_LIP : first + WINDOW - HALF_LIP][:, ::3].detach()
        frozen = {k: v.detach() for k, v in net.lip.named_parameters()}
        judged = torch.func.functional_call(net.lip, frozen, (inner.reshape(-1, LIP_WINDOW, LIP),))
        out["sync"] = 0.05 * (1 - (judged * heard.reshape(len(judged), -1)).sum(-1)).mean()
        return out

    def losses(progress: float) -> dict[str, Tensor]:
        speed = torch.rand(settings.batch, device=device) * (MAX_SPEED - MIN_SPEED) + MIN_SPEED
        mel, expression, keep = window(speech, speech.draw(settings.batch), speed)
        silent = torch.rand(settings.batch, device=device) < SILENT_SHARE
        mel = torch.where(silent[:, None, None], torch.full_like(mel, SILENCE), mel)
        out = terms(module, augment(mel), expression, keep & ~silent[:, None])
        if silent.any():
            # Only the mouth's opening is asked for: shut.
            quiet = torch.full((16, FRAMES * MEL_PER_FRAME, MELS), SILENCE, device=device)
            motion = lip_motion(module.decoder(module.embed(augment(quiet))))
            out["silence"] = 0.3 * ((motion - lip_motion(shut)) @ opening).abs().mean()
        return out

    def validate(average: nn.Module) -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(held_out.starts), generator=generator)[:256].to(device)
        unchanged = torch.ones(len(chosen), device=device)
        mel, expression, keep = window(held_out, held_out.starts[chosen], unchanged)
        scores = {k: float(v) for k, v in terms(average, mel, expression, keep).items()}
        predicted = lip_motion(average.decoder(average.embed(mel))) @ opening
        span = slice(HALF_LIP + CONTEXT_BEFORE, HALF_LIP + CONTEXT_BEFORE + WINDOW)
        true = (
            lip_motion(
                attributes.encoder.lip(expression[:, span].reshape(-1, EXPRESSION)).view(
                    len(mel), WINDOW, LIP
                )
            )
            @ opening
        )
        whole = keep[:, span].all(1)
        a, b = (
            predicted[whole] - predicted[whole].mean(1, keepdim=True),
            true[whole] - true[whole].mean(1, keepdim=True),
        )
        scores["correlation"] = float(
            ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)).mean()
        )
        return scores

    train("sync", module, losses, settings, parsed, validate)
    if Peers.rank():
        return
    load_weights(module, "sync", parsed.weights)
    spoken = load(parsed.prepared, parsed.data, "train", validation=False)
    calibrate(module, attributes, [c for c in spoken if c.lips], opening, device)
    half = {k: v.half().contiguous() for k, v in module.state_dict().items()}
    save_file(half, parsed.weights / "sync.safetensors")


if __name__ == "__main__":
    main()
