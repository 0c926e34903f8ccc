"""Train lip-audio synchronisation: ``python -m models.train.sync --preset cpu|gpu``.

One batch is a set of windows of 24 frames. InfoNCE pulls together the embeddings of a frame's audio
and of its lips against all other frames of the batch (other times and other clips). The lip decoder
learns from people the lip code by the motion it causes on the mesh (`LipError`): a little from the
true lips, more from lips that are all in the sound: those that `models.train.teacher` heard, or,
without its file, the answers of finished weights (``--teacher``). From synthetic voices it learns
which lips belong to which sound (`models.train.voices`; needs espeak-ng); and from the lip encoder,
what that thinks of its output.

The built-in weights come of ``--start models/weights``: they went on from those before them, and
are the mean with them (`KEPT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from models.attributes import Attributes
from models.data.dataset import PreparedClip, frame_weights, is_validation, load
from models.data.visemes import lessons
from models.sync import LIP_WINDOW, Sync
from models.train.anchors import answer, calibrate
from models.train.hearing import BEHIND_SPEECH, augment, between, hear_music, speeds, unspoken
from models.train.lips import LipError, Natural, weighted
from models.train.loop import WEIGHTS, Peers, Settings, arguments, load_weights, made_by, train
from models.train.teacher import HEARD
from models.train.voices import WEIGHTS as LESSON
from models.train.voices import Lessons, Shapes, misses, shown
from parlante.contract import (
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    EXPRESSION,
    LIP,
    MEL_PER_FRAME,
    SILENCE,
    Float,
)
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle

PRESETS = {
    "cpu": Settings(20_000, 40, learning_rate=1e-3, minutes=22, ema=0.998, weight_decay=0.01),
    "gpu": Settings(15_000, 256, learning_rate=1e-3, minutes=4, weight_decay=0.01),
}
WINDOW = 24
HALF_LIP = LIP_WINDOW // 2
FRAMES = CONTEXT_BEFORE + WINDOW + CONTEXT_AFTER
# How much the true lips count, and those that are all in the sound.
TRUE = {"position": 0.3, "motion": 1.8, "aperture": 0.45, "agreement": 0.3, "velocity": 1.2}
TAUGHT = {"position": 1.0, "motion": 6.0, "aperture": 3.0, "velocity": 4.0}
PARTS = {
    "contrast": ("contrast", "sync"),
    "teacher": tuple(f"taught_{k}" for k in TAUGHT),
    "voices": tuple(f"lesson_{k}" for k in LESSON),
}
QUIET_SHARE = 0.5  # of a batch: windows beside it of nothing but noise or music, with shut lips
LESSON_SHARE = 1.5  # of a batch: windows beside it of synthetic voices
LESSON_SECONDS = 8_000.0
QUIET_WEIGHT, NATURAL_WEIGHT = 2.0, 0.1
# Of the teacher's weights in the mean that is kept, where training went on from them: voices are
# followed as before, sounds as they have been learnt.
KEPT = 0.25


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

    def windows(self, starts: Tensor, speed: Tensor) -> tuple[Tensor, ...]:
        """The windows at ``starts`` [N], played ``speed`` [N] times as fast.

        mel, expression, keep, heard and asked; expression and keep reach HALF_LIP further to both
        sides.
        """
        device = self.mel.device
        inside = torch.arange(FRAMES, device=device) * speed[:, None]
        frames = torch.arange(-HALF_LIP, FRAMES + HALF_LIP, device=device) * speed[:, None]
        columns = torch.arange(FRAMES * MEL_PER_FRAME, device=device) * speed[:, None]
        return (
            between(self.mel, starts * MEL_PER_FRAME, columns),
            between(self.expression, starts, frames),
            between(self.keep[:, None].float(), starts, frames)[..., 0] == 1,
            between(self.heard, starts, inside),
            between(self.asked[:, None].float(), starts, inside)[..., 0] == 1,
        )


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


def terms(
    net: nn.Module,
    audio: Tensor,
    predicted: Tensor,
    data: tuple[Tensor, ...],
    error: LipError,
) -> dict[str, Tensor]:
    """What ``net`` makes wrong of people's windows, given its embeddings and its lips of them.

    ``data``: code [N, FRAMES + 4, 16] and keep, heard and asked, as `Speech.windows` gives them.
    """
    code, keep, heard, asked = data
    device = audio.device
    first = CONTEXT_BEFORE
    span = slice(HALF_LIP + first, HALF_LIP + first + WINDOW)
    inner = slice(first, first + WINDOW)
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
    shown_lips = predicted.unfold(1, LIP_WINDOW, 1).transpose(2, 3)[:, ::3]
    spoken = net.project(audio[:, first + HALF_LIP : first + WINDOW - HALF_LIP : 3]).detach()
    frozen = {k: v.detach() for k, v in net.lip.named_parameters()}
    judged = torch.func.functional_call(net.lip, frozen, (shown_lips.reshape(-1, LIP_WINDOW, LIP),))
    out["sync"] = 0.05 * (1 - (judged * spoken.reshape(len(judged), -1)).sum(-1)).mean()
    return out


@dataclass(frozen=True)
class Course:
    """What a network is trained on: people, synthetic voices, and sound in which nobody speaks."""

    speech: Speech
    lessons: Lessons | None
    pieces: Tensor
    error: LipError
    shapes: Shapes
    natural: Natural
    teacher: Sync

    def losses(self, net: nn.Module, batch: int) -> dict[str, Tensor]:
        """Of one batch. All windows go through the network at once."""
        device = self.pieces.device
        mel, *data = self.speech.windows(self.speech.draw(batch), speeds(batch, device))
        heard = [mel]
        if self.lessons is not None:
            taught = round(LESSON_SHARE * batch)
            own, wanted, demands = self.lessons.windows(speeds(taught, device), FRAMES)
            heard.append(own)
        heard = [augment(torch.cat(heard), self.pieces, BEHIND_SPEECH)]
        heard.append(unspoken(round(QUIET_SHARE * batch), FRAMES * MEL_PER_FRAME, self.pieces))
        with torch.autocast(device.type, torch.bfloat16):
            audio = net.embed(torch.cat(heard))
        audio = audio.float()
        predicted = net.decoder(audio)
        data[0] = self.error.code(data[0])
        out = terms(net, audio[:batch], predicted[:batch], tuple(data), self.error)
        spoken = shown(predicted[: len(audio) - round(QUIET_SHARE * batch)], self.teacher)
        out["natural"] = NATURAL_WEIGHT * self.natural(spoken)
        if self.lessons is not None:
            made = spoken[batch:]
            inner = slice(CONTEXT_BEFORE, CONTEXT_BEFORE + WINDOW)
            wrong = misses(made, wanted[:, inner], demands[:, inner], self.error, self.shapes)
            out |= {f"lesson_{k}": v for k, v in weighted(wrong, LESSON).items()}
        # Only the mouth's opening is asked for: shut.
        quiet = self.error.aperture(predicted[-round(QUIET_SHARE * batch) :])
        shut = self.error.aperture(self.error.code(self.rest))
        out["silence"] = QUIET_WEIGHT * (quiet - shut).abs().mean()
        return out

    @property
    def rest(self) -> Tensor:
        """The expression of a face that does nothing."""
        return torch.zeros(1, EXPRESSION, device=self.pieces.device)


@torch.no_grad()
def validate(net: nn.Module, held_out: Speech, error: LipError) -> dict[str, float]:
    """Errors on people held out, and how far the lips' opening correlates with theirs."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(held_out.starts), generator=generator)[:256]
    chosen = chosen.to(held_out.starts.device)
    ones = torch.ones(len(chosen), device=chosen.device)
    mel, *data = held_out.windows(held_out.starts[chosen], ones)
    data[0] = error.code(data[0])
    audio = net.embed(mel)
    predicted = net.decoder(audio)
    scores = {k: float(v) for k, v in terms(net, audio, predicted, tuple(data), error).items()}
    code, keep, *_ = data
    span = slice(HALF_LIP + CONTEXT_BEFORE, HALF_LIP + CONTEXT_BEFORE + WINDOW)
    whole = keep[:, span].all(1)
    a, b = (
        o - o.mean(1, keepdim=True)
        for o in (error.aperture(predicted[whole]), error.aperture(code[whole][:, span]))
    )
    like = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)
    return scores | {"correlation": float(like.mean())}


def answers_of(
    clips: list[PreparedClip], prepared: Path, teacher: Sync, error: LipError, device: torch.device
) -> dict[str, Float]:
    """Lips [N, 16] that are all in each clip's sound: a recogniser's, or the teacher's answers."""
    if (prepared / HEARD).exists():
        with np.load(prepared / HEARD, allow_pickle=False) as stored:
            return {c.name: stored[c.name] for c in clips}
    with torch.no_grad():
        return {c.name: answer(teacher, error, c, device).made.cpu().numpy() for c in clips}


def main() -> None:
    paths = {"--teacher": (WEIGHTS, "folder of finished weights, whose answers are learnt from")}
    parsed, settings = arguments(__doc__, PRESETS, tuple(PARTS), paths)
    device = torch.device(parsed.device)
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    attributes = (
        load_weights(Attributes(), "attributes", parsed.weights).to(device).requires_grad_(False)
    )
    error = LipError(attributes, model, device)
    teacher = load_weights(Sync(), "sync", parsed.teacher).to(device).requires_grad_(False)
    clips = load(parsed.prepared, parsed.data, "train")
    clips = [c for c in clips if c.mel is not None and len(c) >= WINDOW]
    answers = answers_of(clips, parsed.prepared, teacher, error, device)
    speech, held_out = (
        join([c for c in clips if is_validation(c.person) == held], answers, device)
        for held in (False, True)
    )
    shapes = Shapes(error, model, teacher.lip_shut)
    taught = None
    if parsed.without != "voices":
        taught = Lessons.of(lessons(LESSON_SECONDS, parsed.seed), shapes, FRAMES, device)
    natural = Natural(error.code(speech.expression[speech.keep]))
    course = Course(speech, taught, hear_music(device), error, shapes, natural, teacher)
    module = Sync().to(device)

    def losses(progress: float) -> dict[str, Tensor]:
        out = course.losses(module, settings.batch)
        return {k: v for k, v in out.items() if k not in PARTS.get(parsed.without, ())}

    train(
        "sync", module, losses, settings, parsed, lambda average: validate(average, held_out, error)
    )
    if Peers.rank():
        return
    load_weights(module, "sync", parsed.weights)
    if parsed.start is not None:
        with torch.no_grad():
            for own, before in zip(module.parameters(), teacher.parameters(), strict=True):
                own.copy_(own.lerp(before, KEPT).half())  # as it is stored
    spoken, others = (
        [c for c in clips if c.lips and is_validation(c.person) == held] for held in (False, True)
    )
    calibrate(module, error, spoken, others, device)
    half = {k: v.half().contiguous() for k, v in module.state_dict().items()}
    save_file(half, parsed.weights / "sync.safetensors", made_by("sync", parsed.weights))


if __name__ == "__main__":
    main()
