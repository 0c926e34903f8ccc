"""Train lip-audio synchronisation: ``python -m models.train.sync --preset cpu|gpu``.

After `models.train.teacher`.

One batch is a set of windows of 24 frames. InfoNCE pulls together the embeddings of a frame's audio
and of its lips against all other frames of the batch (other times and other clips); the lip decoder
learns the lip code by the motion it causes on the mesh (`LipError`): a little from the true lips,
more from the lips that `models.train.teacher` heard in the same sound; and by what the lip encoder
thinks of its output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from models.attributes import Attributes
from models.data import music
from models.data.dataset import PreparedClip, frame_weights, is_validation, load
from models.sync import CONTEXT, LIP_WINDOW, Sync
from models.train.lips import LipError, weighted
from models.train.loop import Peers, Settings, arguments, load_weights, made_by, train
from models.train.teacher import HEARD
from parlante import _core
from parlante.contract import (
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    EXPRESSION,
    LIP,
    MEL_BANDS,
    MEL_PER_FRAME,
    SILENCE,
    Float,
)
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle

PRESETS = {
    "cpu": Settings(20_000, 64, learning_rate=1e-3, minutes=11, ema=0.998, weight_decay=0.01),
    "gpu": Settings(15_000, 256, learning_rate=1e-3, minutes=4, weight_decay=0.01),
}
WINDOW = 24
HALF_LIP = LIP_WINDOW // 2
FRAMES = CONTEXT_BEFORE + WINDOW + CONTEXT_AFTER
# How much the true lips count, and those that the teacher heard.
TRUE = {"position": 0.3, "motion": 1.8, "aperture": 0.45, "agreement": 0.3, "velocity": 1.2}
TAUGHT = {"position": 1.0, "motion": 6.0, "aperture": 3.0, "velocity": 4.0}
PARTS = {"contrast": ("contrast", "sync"), "teacher": tuple(f"taught_{k}" for k in TAUGHT)}
SHUT_APERTURE = 0.03  # inner-lip opening over mouth width of lips that touch
PRESS = 0.03  # of the mouth's width that shut lips go beyond touching
ENOUGH_SHUT = 3  # frames of a clip
QUIET_BELOW = 5.0  # nepers of power under a clip's loud frames
GAINS = tuple(float(gain) for gain in np.linspace(1, 3, 41))
MIN_SPEED, MAX_SPEED = 0.85, 1.2  # of augmented speech
QUIET_WINDOWS = 32  # windows of nothing but noise or music beside each batch, whose lips are shut
QUIET_WEIGHT = 1.0
FAINTEST = -22.0  # log-mel of noise; white noise of −42 dB is at −8
PIECES = 240  # of music to hear


@dataclass(frozen=True)
class Speech:
    """All clips end to end.

    mel [C, 80] with silence between clips; expression and keep of every frame, kept where the sound
    may teach lips; the lip code that the teacher heard, and where it was asked; the frames at which
    a training window may start, and how often each is to be drawn (its share).
    """

    mel: Tensor
    expression: Tensor
    keep: Tensor
    heard: Tensor
    asked: Tensor
    starts: Tensor
    share: Tensor

    def draw(self, count: int) -> Tensor:
        """``count`` starts, drawn by share."""
        return self.starts[torch.multinomial(self.share, count, replacement=True)]


def join(clips: list[PreparedClip], heard: dict[str, Float], device: torch.device) -> Speech:
    """Lay clips end to end, each between CONTEXT_BEFORE and WINDOW frames of silence."""
    mel, expression, keep, taught, asked, starts, share = [], [], [], [], [], [], []
    position = 0
    for clip, weight in zip(clips, frame_weights(clips), strict=True):
        assert clip.mel is not None
        n = len(clip)
        before, after = CONTEXT_BEFORE + HALF_LIP, WINDOW + CONTEXT_AFTER
        mel.append(
            np.pad(
                clip.mel,
                ((before * MEL_PER_FRAME, after * MEL_PER_FRAME), (0, 0)),
                constant_values=SILENCE,
            )
        )
        expression.append(np.pad(clip.expression, ((before, after), (0, 0))))
        keep.append(np.pad(clip.keep & clip.lips, (before, after)))
        taught.append(np.pad(heard[clip.name], ((before, after), (0, 0))))
        asked.append(np.pad(np.ones(n, bool), (before, after)))
        # Windows that hold at least half a window of the clip.
        starts.append(
            position
            + np.arange(HALF_LIP, max(HALF_LIP + 1, before + n - WINDOW // 2 - CONTEXT_BEFORE))
        )
        share.append(np.full(len(starts[-1]), weight))
        position += before + n + after
    return Speech(
        torch.from_numpy(np.concatenate(mel)).to(device),
        torch.from_numpy(np.concatenate(expression)).to(device),
        torch.from_numpy(np.concatenate(keep)).to(device),
        torch.from_numpy(np.concatenate(taught)).to(device),
        torch.from_numpy(np.concatenate(asked)).to(device),
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


def hear_music(device: torch.device) -> Tensor:
    """Log-mel [pieces, C, 80] of pieces of music of RMS 1."""
    pieces = [music.piece(np.random.default_rng(i)) for i in range(PIECES)]
    return torch.from_numpy(np.stack([_core.log_mel(p) for p in pieces])).to(device)


@dataclass(frozen=True)
class Background:
    """Noise and music that windows are heard in.

    How often each is there, and the highest log-mel of the noise and the highest level of the music
    in dB.
    """

    noise: float
    music: float
    loudest: float
    level: float


BEHIND_SPEECH = Background(noise=0.2, music=0.15, loudest=-8, level=-36)
ALONE = Background(noise=0.3, music=0.5, loudest=-5, level=-20)
FAINTEST_MUSIC = -65.0  # dB


def augment(mel: Tensor, pieces: Tensor, background: Background) -> Tensor:
    """Gain, tilt, and noise or music in some of the windows; log-mel [N, C, 80] in and out."""
    n, columns, bands = mel.shape
    device = mel.device
    gain = torch.rand(n, 1, 1, device=device) * 6 - 4
    tilt = 0.7 * torch.randn(n, 1, 1, device=device) * torch.linspace(-1, 1, bands, device=device)
    mel = (mel + gain + tilt).clamp(min=SILENCE)
    level = torch.rand(n, 1, 1, device=device) * (background.loudest - FAINTEST) + FAINTEST
    slope = torch.randn(n, 1, 1, device=device) * torch.linspace(-1.5, 1.5, bands, device=device)
    noise = level + slope + torch.randn_like(mel)
    first = torch.randint(pieces.shape[1] - columns, (n, 1), device=device)
    played = pieces[
        torch.randint(len(pieces), (n, 1), device=device),
        first + torch.arange(columns, device=device),
    ]
    decibel = torch.rand(n, 1, 1, device=device) * (background.level - FAINTEST_MUSIC)
    played = played + (decibel + FAINTEST_MUSIC) * (np.log(10) / 10) + tilt
    choice = torch.rand(n, 1, 1, device=device)
    mel = torch.where(choice < background.noise, torch.logaddexp(mel, noise), mel)
    musical = choice > 1 - background.music
    return torch.where(musical, torch.logaddexp(mel, played), mel).clamp(min=SILENCE)


@dataclass
class Answer:
    """What lips do in a clip of N frames.

    ``made`` [N, 16], the decoder's answer; ``code`` [N, 16], the true one; ``opening`` [N], true,
    by landmarks, model units; which frames to keep, and which of them are loud.
    """

    made: Tensor
    code: Tensor
    opening: Tensor
    keep: Tensor
    loud: Tensor


def answer(module: Sync, error: LipError, clip: PreparedClip, device: torch.device) -> Answer:
    """The decoder's answer to a whole clip."""
    assert clip.mel is not None
    mel = torch.from_numpy(clip.mel).to(device)
    margin = (0, 0, CONTEXT_BEFORE * MEL_PER_FRAME, CONTEXT_AFTER * MEL_PER_FRAME)
    made = module.decoder(module.embed(F.pad(mel, margin, value=SILENCE)[None]))[0, : len(clip)]
    keep = torch.from_numpy(clip.keep).to(device)
    loudness = mel.exp().mean(1).clamp(min=1e-9).log().view(-1, MEL_PER_FRAME).mean(1)
    return Answer(
        made=made,
        code=error.code(torch.from_numpy(clip.expression).to(device)),
        opening=torch.from_numpy(clip.aperture).to(device) * error.mouth_width,
        keep=keep,
        loud=keep & (loudness > loudness.quantile(0.9) - QUIET_BELOW),
    )


@torch.no_grad()
def calibrate(
    module: Sync,
    error: LipError,
    clips: list[PreparedClip],
    held_out: list[PreparedClip],
    device: torch.device,
) -> None:
    """Set the anchors of `SpokenLips`.

    From training clips: the mean code of shut lips, and the answer that stands for shut lips, such
    that in speech lips are on average as far open as people's. From people held out: how much
    answers are to be stretched, so that lips open and close as widely as true ones (standard
    deviations in a clip, what lies beyond shut counting as shut), for voices heard in training are
    followed more than others; and what tells how far a code is open. How far people's lips are open
    is measured on their landmarks: what the fit of a face calls an opening is off by a constant.
    """
    shut, opened, spoken, wanted = [], [], [], []
    for clip in clips:
        a = answer(module, error, clip, device)
        closed = a.keep & (a.opening < SHUT_APERTURE * error.mouth_width)
        shut.append(a.code[closed])
        if a.loud.any():
            spoken.append(a.made[a.loud].mean(0))
            wanted.append(a.opening[a.loud].mean())
            # Within a clip: what people's fitted lips have in common is not in the sound.
            if closed.sum() >= ENOUGH_SHUT:
                opened.append(a.code[a.loud].mean(0) - a.code[closed].mean(0))
    mean_shut, mean_spoken = torch.cat(shut).mean(0), torch.stack(spoken).mean(0)
    level, rest = torch.stack(wanted).mean(), error.aperture(mean_spoken)
    others = [answer(module, error, clip, device) for clip in held_out]
    made = [error.aperture(a.made[a.keep]) - rest for a in others]
    true_spread = torch.stack([a.opening[a.keep].std() for a in others]).mean()
    for gain in GAINS:
        spread = [(level + gain * opening).clamp(min=0).std() for opening in made]
        if torch.stack(spread).mean() >= true_spread:
            break
    # From shut to lips as far open as they should be, the way that people's lips open.
    way = torch.stack(opened).mean(0)
    way *= level / (error.aperture(mean_shut + way) - error.aperture(mean_shut))
    module.lip_shut.copy_(mean_shut)
    module.lip_gain.fill_(gain)
    module.lip_anchor.copy_(mean_spoken - way / gain)
    # How far a code is open, as a linear form of its change from shut, fitted where lips are.
    change = gain * torch.cat([a.made[a.keep] - module.lip_anchor for a in others])
    openings = error.aperture(mean_shut + change) - error.aperture(mean_shut)
    form = torch.linalg.lstsq(change, openings[:, None]).solution[:, 0]
    module.lip_opening.copy_(form)
    # From shut to the answer to silence.
    quiet = torch.full((1, CONTEXT * MEL_PER_FRAME, MEL_BANDS), SILENCE, device=device)
    beyond = gain * (module.decoder(module.embed(quiet))[0, 0] - module.lip_anchor)
    module.lip_way.copy_(beyond / (form @ beyond))
    module.lip_press.fill_(PRESS * error.mouth_width)


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS, tuple(PARTS))
    device = torch.device(parsed.device)
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    attributes = (
        load_weights(Attributes(), "attributes", parsed.weights).to(device).requires_grad_(False)
    )
    error = LipError(attributes, model, device)
    shut = error.aperture(error.code(torch.zeros(1, EXPRESSION, device=device)))
    clips = load(parsed.prepared, parsed.data, "train")
    clips = [c for c in clips if c.mel is not None and len(c) >= WINDOW]
    with np.load(parsed.prepared / HEARD, allow_pickle=False) as stored:
        answers = {c.name: stored[c.name] for c in clips}
    speech, held_out = (
        join([c for c in clips if is_validation(c.person) == held], answers, device)
        for held in (False, True)
    )
    module = Sync().to(device)
    pieces = hear_music(device)

    def window(data: Speech, starts: Tensor, speed: Tensor) -> tuple[Tensor, ...]:
        """The windows at ``starts`` [N], played ``speed`` [N] times as fast.

        mel, expression, keep, heard and asked; expression and keep reach HALF_LIP further to both
        sides.
        """
        inside = torch.arange(FRAMES, device=device) * speed[:, None]
        frames = torch.arange(-HALF_LIP, FRAMES + HALF_LIP, device=device) * speed[:, None]
        columns = torch.arange(FRAMES * MEL_PER_FRAME, device=device) * speed[:, None]
        return (
            between(data.mel, starts * MEL_PER_FRAME, columns),
            between(data.expression, starts, frames),
            between(data.keep[:, None].float(), starts, frames)[..., 0] == 1,
            between(data.heard, starts, inside),
            between(data.asked[:, None].float(), starts, inside)[..., 0] == 1,
        )

    def terms(
        net: nn.Module,
        mel: Tensor,
        expression: Tensor,
        keep: Tensor,
        heard: Tensor,
        asked: Tensor,
    ) -> dict[str, Tensor]:
        code = error.code(expression)
        audio = net.embed(mel)
        first = CONTEXT_BEFORE
        span = slice(HALF_LIP + first, HALF_LIP + first + WINDOW)
        inner = slice(first, first + WINDOW)
        predicted = net.decoder(audio)
        out = weighted(error(predicted, code[:, span], keep[:, span]), TRUE)
        told = weighted(error(predicted, heard[:, inner], asked[:, inner]), TAUGHT)
        out |= {f"taught_{k}": v for k, v in told.items()}
        # Contrast: 3 frames a window, all kept; other times of the same clip and other clips are
        # the negatives.
        pick = torch.randperm(WINDOW, device=device)[:3]
        around = pick[:, None] + torch.arange(LIP_WINDOW, device=device)
        lips_seen = code[:, first + around]
        valid = keep[:, first + around].all(-1).reshape(-1)
        lip_embedding = net.lip(lips_seen.reshape(-1, LIP_WINDOW, LIP))[valid]
        audio_embedding = net.project(audio[:, first + pick]).flatten(0, 1)[valid]
        logits = net.temperature.exp().clamp(max=50) * audio_embedding @ lip_embedding.T
        target = torch.arange(len(logits), device=device)
        out["contrast"] = (
            0.1 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        )
        # The lip encoder judges the decoder's lips (it is not itself taught by them).
        shown = predicted.unfold(1, LIP_WINDOW, 1).transpose(2, 3)[:, ::3]
        spoken = net.project(audio[:, first + HALF_LIP : first + WINDOW - HALF_LIP : 3]).detach()
        frozen = {k: v.detach() for k, v in net.lip.named_parameters()}
        judged = torch.func.functional_call(net.lip, frozen, (shown.reshape(-1, LIP_WINDOW, LIP),))
        out["sync"] = 0.05 * (1 - (judged * spoken.reshape(len(judged), -1)).sum(-1)).mean()
        return out

    def losses(progress: float) -> dict[str, Tensor]:
        speed = torch.rand(settings.batch, device=device) * (MAX_SPEED - MIN_SPEED) + MIN_SPEED
        mel, expression, keep, heard, asked = window(speech, speech.draw(settings.batch), speed)
        mel = augment(mel, pieces, BEHIND_SPEECH)
        out = terms(module, mel, expression, keep, heard, asked)
        # Only the mouth's opening is asked for: shut.
        quiet = torch.full(
            (QUIET_WINDOWS, FRAMES * MEL_PER_FRAME, MEL_BANDS), SILENCE, device=device
        )
        made = error.aperture(module.decoder(module.embed(augment(quiet, pieces, ALONE))))
        out["silence"] = QUIET_WEIGHT * (made - shut).abs().mean()
        return {k: v for k, v in out.items() if k not in PARTS.get(parsed.without, ())}

    def validate(average: nn.Module) -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(held_out.starts), generator=generator)[:256].to(device)
        drawn = window(held_out, held_out.starts[chosen], torch.ones(len(chosen), device=device))
        scores = {k: float(v) for k, v in terms(average, *drawn).items()}
        mel, expression, keep, *_ = drawn
        span = slice(HALF_LIP + CONTEXT_BEFORE, HALF_LIP + CONTEXT_BEFORE + WINDOW)
        whole = keep[:, span].all(1)
        a, b = (
            o - o.mean(1, keepdim=True)
            for o in (
                error.aperture(average.decoder(average.embed(mel[whole]))),
                error.aperture(error.code(expression[whole][:, span])),
            )
        )
        scores["correlation"] = float(
            ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)).mean()
        )
        return scores

    train("sync", module, losses, settings, parsed, validate)
    if Peers.rank():
        return
    load_weights(module, "sync", parsed.weights)
    spoken, others = (
        [c for c in clips if c.lips and is_validation(c.person) == held] for held in (False, True)
    )
    calibrate(module, error, spoken, others, device)
    half = {k: v.half().contiguous() for k, v in module.state_dict().items()}
    save_file(half, parsed.weights / "sync.safetensors", made_by("sync", parsed.weights))


if __name__ == "__main__":
    main()
