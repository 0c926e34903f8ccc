"""Train lip-audio synchronisation: ``python -m models.train.sync --preset cpu|gpu`` (after audio).

What the audio encoder hears is worked out before, of every clip several times: at other speeds, in
other voices' tracts, in noise and music. One batch is a set of windows of 24 frames. InfoNCE pulls
together the embeddings of a frame's audio and of its lips against all other frames of the batch
(other times and other clips). The lip decoder learns people's lip codes by the motion that they
cause on the mesh (`LipError`), and from the lip encoder what that thinks of its output.

That is the first part: networks that differ in chance alone. The second part goes on from the first
of them (``--start``) and adds synthetic voices, which teach what lips have to do for each sound
(`models.train.voices`; needs espeak-ng): they are asked for what the runtime shows, which the first
part's anchors tell. What people's lips teach is then, in part or whole, the mean of what the first
part's networks say, which holds less of each person's own. The mean of two such runs' weights is
what ships.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from models.attributes import Attributes
from models.audio import AudioEncoder
from models.data.dataset import PreparedClip, frame_weights, is_validation, load
from models.data.visemes import lessons
from models.sync import LIP_WINDOW, Sync
from models.train.anchors import calibrate
from models.train.hearing import elsewhere, hear, hear_music, other_speed, played, unspoken
from models.train.lips import LipError, Natural, weighted
from models.train.loop import Peers, Settings, arguments, load_weights, made_by, train
from models.train.voices import FRAMES, WINDOW, Lessons, Shapes, misses, shown
from models.train.voices import WEIGHTS as LESSON
from parlante.contract import CONTEXT, EXPRESSION, LIP, MEL_PER_FRAME, SILENCE
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle

PRESETS = {
    "cpu": Settings(600, 64, learning_rate=1e-3, warmup=100, ema=0.99, weight_decay=0.01),
    "gpu": Settings(600, 256, learning_rate=1e-3, warmup=100, ema=0.99, weight_decay=0.01),
}
HALF_LIP = LIP_WINDOW // 2
PASSES = 4  # how often each clip is heard
LEAST_TOLD = 0.05  # of a clip whose sound tells nothing of lips
TRUE = {"position": 1.0, "motion": 6.0, "aperture": 1.5, "agreement": 1.0, "velocity": 4.0}
PARTS = {
    "contrast": ("contrast", "sync"),
    "voices": tuple(f"lesson_{k}" for k in LESSON),
}
QUIET_SHARE = 0.5  # of a batch: windows beside it of nothing but noise or music, with shut lips
QUIET_PIECES, QUIET_FRAMES = 600, 64  # stretches to draw them from
LESSON_SHARE = 1.5  # of a batch: windows beside it of synthetic voices
LESSON_SECONDS = 8_000.0
QUIET_WEIGHT, NATURAL_WEIGHT = 2.0, 0.1
FIRST = "sync_first"  # file of the first part's networks
FIRST_RUNS = 5
TRUST = (0.5, 1.0)  # in the first part's word, for people's lips, of each run of the second part


@dataclass(frozen=True)
class Speech:
    """Clips end to end, each once for a pass, with silence between.

    heard [F, 1024]; expression [F, 53] and keep [F] of every frame, kept where the sound may teach
    lips; the frames at which a training window may start, and how often each is to be drawn (its
    share).
    """

    heard: Tensor
    expression: Tensor
    keep: Tensor
    starts: Tensor
    share: Tensor

    def windows(self, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The windows at ``starts`` [N]: what is heard; expression and keep, without context.

        [N, 34, 1024], [N, 28, 53] and [N, 28]: the latter reach HALF_LIP beyond the 24 frames.
        """
        device = starts.device
        own = starts[:, None] + torch.arange(FRAMES, device=device)
        lips = torch.arange(CONTEXT - 1 - HALF_LIP, FRAMES + HALF_LIP, device=device)
        at = starts[:, None] + lips
        return self.heard[own], self.expression[at], self.keep[at]


def join(
    clips: list[PreparedClip], encoder: AudioEncoder, pieces: Tensor | None, passes: int
) -> Speech:
    """Clips as they are heard in ``passes``: changed at random in front of ``pieces``, or clean.

    Drawn more often are those of people of whom there is little, and whose sound tells of the lips.
    """
    device = next(encoder.parameters()).device
    before, after = CONTEXT - 1, WINDOW + HALF_LIP
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    starts, share, position = [], [], 0
    for clip, weight in zip(clips, frame_weights(clips), strict=True):
        assert clip.mel is not None
        mel, expression, keep = (
            torch.from_numpy(x).to(device) for x in (clip.mel, clip.expression, clip.keep)
        )
        keep = (keep & clip.lips).float()[:, None]
        for _ in range(passes):
            own, lips, kept = mel, expression, keep
            if pieces is not None:
                speed = other_speed(len(clip))
                own = elsewhere(mel, speed, pieces)
                lips, kept = played(expression, speed), played(keep, speed)
            n = len(lips)
            margin = (0, 0, before * MEL_PER_FRAME, after * MEL_PER_FRAME)
            rows.append(
                (
                    hear(encoder, F.pad(own, margin, value=SILENCE)),
                    F.pad(lips, (0, 0, before, after)),
                    F.pad(kept[:, 0] == 1, (before, after)),
                )
            )
            # Windows that hold at least half a window of the clip.
            first = torch.arange(max(1, n - WINDOW // 2), device=device)
            starts.append(position + first)
            told = weight * max(clip.told, LEAST_TOLD)
            share.append(torch.full((len(first),), told, device=device))
            position += before + n + after
    heard, expression, keep = (torch.cat(part) for part in zip(*rows, strict=True))
    return Speech(heard, expression, keep, torch.cat(starts), torch.cat(share))


def terms(
    net: nn.Module,
    audio: Tensor,
    predicted: Tensor,
    data: tuple[Tensor, Tensor],
    error: LipError,
) -> dict[str, Tensor]:
    """What ``net`` makes wrong of people's windows, given its embeddings and its lips of them.

    ``data``: code [N, 28, 16] and keep [N, 28], as `Speech.windows` gives them.
    """
    code, keep = data
    device = audio.device
    span = slice(HALF_LIP, HALF_LIP + WINDOW)
    out = weighted(error(predicted, code[:, span], keep[:, span]), TRUE)
    # Contrast: 3 frames a window, all kept; other times of the same clip and other clips are
    # the negatives.
    pick = torch.randperm(WINDOW, device=device)[:3]
    around = pick[:, None] + torch.arange(LIP_WINDOW, device=device)
    valid = keep[:, around].all(-1).reshape(-1)
    lip_embedding = net.lip(code[:, around].reshape(-1, LIP_WINDOW, LIP))[valid]
    spoken = audio[:, CONTEXT - 1 :]
    audio_embedding = net.project(spoken[:, pick]).flatten(0, 1)[valid]
    logits = net.temperature.exp().clamp(max=50) * audio_embedding @ lip_embedding.T
    target = torch.arange(len(logits), device=device)
    out["contrast"] = (
        0.1 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    )
    # The lip encoder judges the decoder's lips (it is not itself taught by them).
    shown_lips = predicted.unfold(1, LIP_WINDOW, 1).transpose(2, 3)[:, ::3]
    wanted = net.project(spoken[:, HALF_LIP : WINDOW - HALF_LIP : 3]).detach()
    frozen = {k: v.detach() for k, v in net.lip.named_parameters()}
    judged = torch.func.functional_call(net.lip, frozen, (shown_lips.reshape(-1, LIP_WINDOW, LIP),))
    out["sync"] = 0.05 * (1 - (judged * wanted.reshape(len(judged), -1)).sum(-1)).mean()
    return out


@dataclass(frozen=True)
class Voices:
    """Synthetic voices' lessons, and what they are asked of: lips as ``before``'s anchors show."""

    lessons: Lessons
    shapes: Shapes
    natural: Natural
    before: Sync


@dataclass(frozen=True)
class Course:
    """What a network is trained on: people, sound in which nobody speaks, and synthetic voices.

    ``quiet`` [P, T, 1024]: what is heard where nobody speaks; ``said`` [F, 16]: what the first
    part's networks say of the speech, and how much that counts (``trust``); people's own lips are
    the rest.
    """

    speech: Speech
    quiet: Tensor
    error: LipError
    voices: Voices | None = None
    said: Tensor | None = None
    trust: float = 0.0

    def losses(self, net: nn.Module, batch: int) -> dict[str, Tensor]:
        """Of one batch. All windows go through the network at once."""
        device = self.quiet.device
        chosen = torch.multinomial(self.speech.share, batch, replacement=True)
        starts = self.speech.starts[chosen]
        heard, expression, keep = self.speech.windows(starts)
        count = round(QUIET_SHARE * batch)
        first = torch.randint(self.quiet.shape[1] - FRAMES + 1, (count, 1), device=device)
        piece = torch.randint(len(self.quiet), (count, 1), device=device)
        parts = [self.quiet[piece, first + torch.arange(FRAMES, device=device)], heard]
        if self.voices is not None:
            own, wanted, demands = self.voices.lessons.windows(round(LESSON_SHARE * batch))
            parts.append(own)
        audio = net.embedding(torch.cat(parts))
        predicted = net.decoder(audio)
        people = slice(count, count + batch)
        data = self.error.code(expression), keep
        out = terms(net, audio[people], predicted[people], data, self.error)
        if self.said is not None:
            said = self.said[starts[:, None] + torch.arange(CONTEXT - 1, FRAMES, device=device)]
            every = torch.ones(said.shape[:2], dtype=torch.bool, device=device)
            as_said = weighted(self.error(predicted[people], said, every), TRUE)
            out |= {k: torch.lerp(out[k], own, self.trust) for k, own in as_said.items()}
        if self.voices is not None:
            spoken = shown(predicted[count:], self.voices.before)
            out["natural"] = NATURAL_WEIGHT * self.voices.natural(spoken)
            inner = slice(CONTEXT - 1, None)
            wrong = misses(
                spoken[batch:],
                wanted[:, inner],
                demands[:, inner],
                self.error,
                self.voices.shapes,
            )
            out |= {f"lesson_{k}": v for k, v in weighted(wrong, LESSON).items()}
        # Only the mouth's opening is asked for: shut.
        rest = torch.zeros(1, EXPRESSION, device=device)
        shut = self.error.aperture(self.error.code(rest))
        out["silence"] = QUIET_WEIGHT * (self.error.aperture(predicted[:count]) - shut).abs().mean()
        return out


@torch.no_grad()
def said_by(networks: nn.ModuleList, heard: Tensor) -> Tensor:
    """The mean of networks' lip codes [F, 16] of what is heard [F, 1024]; 0 before all is known."""
    said = torch.stack([net.decoder(net.embedding(heard[None]))[0] for net in networks])
    return F.pad(said.mean(0), (0, 0, CONTEXT - 1, 0))


@torch.no_grad()
def validate(net: nn.Module, held_out: Speech, error: LipError) -> dict[str, float]:
    """Errors on people held out, and how far the lips' opening correlates with theirs."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(held_out.starts), generator=generator)[:512]
    heard, expression, keep = held_out.windows(held_out.starts[chosen.to(held_out.starts.device)])
    code = error.code(expression)
    audio = net.embedding(heard)
    predicted = net.decoder(audio)
    scores = {k: float(v) for k, v in terms(net, audio, predicted, (code, keep), error).items()}
    span = slice(HALF_LIP, HALF_LIP + WINDOW)
    whole = keep[:, span].all(1)
    a, b = (
        o - o.mean(1, keepdim=True)
        for o in (error.aperture(predicted[whole]), error.aperture(code[whole][:, span]))
    )
    like = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)
    return scores | {"correlation": float(like.mean())}


def learn(
    course: Course,
    number: int,
    settings: Settings,
    parsed: Namespace,
    scores: Callable[[nn.Module], dict[str, float]],
) -> Path:
    """Train a network, one of several; the folder that holds its weights."""
    folder = parsed.out / str(number)
    run = Namespace(**{**vars(parsed), "out": folder, "weights": folder})
    torch.manual_seed(parsed.seed + number)
    module = Sync().to(parsed.device)

    def losses(progress: float) -> dict[str, Tensor]:
        out = course.losses(module, settings.batch)
        return {k: v for k, v in out.items() if k not in PARTS.get(parsed.without, ())}

    train("sync", module, losses, settings, run, scores)
    return folder


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS, tuple(PARTS))
    device = torch.device(parsed.device)
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    attributes, encoder = (
        load_weights(own, name, parsed.weights).to(device).requires_grad_(False)
        for own, name in ((Attributes(), "attributes"), (AudioEncoder(), "audio"))
    )
    error = LipError(attributes, model, device)
    clips = load(parsed.prepared, parsed.data, "train")
    clips = [c for c in clips if c.mel is not None and len(c) >= WINDOW]
    training, others = (
        [c for c in clips if is_validation(c.person) == held] for held in (False, True)
    )
    pieces = hear_music(device)
    speech = join(training, encoder, pieces, PASSES)
    held_out = join(others, encoder, None, 1)
    quiet = unspoken(QUIET_PIECES, QUIET_FRAMES * MEL_PER_FRAME, pieces)
    course = Course(speech, torch.stack([hear(encoder, q) for q in quiet]), error)
    courses = [course] * FIRST_RUNS
    if parsed.start is not None:
        first = nn.ModuleList([Sync() for _ in range(FIRST_RUNS)])
        said = said_by(load_weights(first, FIRST, parsed.start).to(device), speech.heard)
        if parsed.without != "voices":
            before = load_weights(Sync(), "sync", parsed.start).to(device).requires_grad_(False)
            shapes = Shapes(error, model, before.lip_shut)
            taught = Lessons.of(lessons(LESSON_SECONDS, parsed.seed), shapes, pieces, encoder)
            natural = Natural(error.code(speech.expression[speech.keep]))
            course = replace(course, voices=Voices(taught, shapes, natural, before))
        courses = [replace(course, said=said, trust=trust) for trust in TRUST]
    folders = [
        learn(course, k, settings, parsed, lambda net: validate(net, held_out, error))
        for k, course in enumerate(courses)
    ]
    if Peers.rank():
        return
    runs = nn.ModuleList([load_weights(Sync(), "sync", folder).to(device) for folder in folders])
    module = runs[0]
    if parsed.start is None:
        save_file(_half(runs), parsed.weights / f"{FIRST}.safetensors")
    else:
        states = [run.state_dict() for run in runs]
        module.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})
    lipped = ([c for c in group if c.lips] for group in (training, others))
    calibrate(module, encoder, error, *lipped)
    save_file(_half(module), parsed.weights / "sync.safetensors", made_by("sync", folders[0]))


def _half(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.half().contiguous() for k, v in module.state_dict().items()}


if __name__ == "__main__":
    main()
