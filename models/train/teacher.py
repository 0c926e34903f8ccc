"""Lips from what a speech recogniser hears: ``python -m models.train.teacher``.

After `models.train.attributes` and `models.data.teacher`.

A shallow network predicts lip codes from the recogniser's features, which see seconds to both sides
and know many voices, and the log-mel: too slow and too late for the runtime, but a better teacher
than the lips themselves, half of whose motion is not in the sound. Four networks, each trained
without a quarter of the people, say what those people's sound alone would make of their lips; a
fifth, trained on all, answers for the validation people. `models.train.sync` learns from the
answers.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.attributes import Attributes
from models.data.dataset import PreparedClip, frame_weights, is_validation, load
from models.sync import MEL_MEAN, MEL_SCALE
from models.train.lips import LipError, weighted
from models.train.loop import Settings, arguments, load_weights, train
from parlante.contract import LIP, MEL_BANDS, MEL_PER_FRAME, Float
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle

PRESETS = {
    name: Settings(1_000, 64, 1e-3, warmup=100, ema=0.99, weight_decay=0.05)
    for name in ("cpu", "gpu")
}
FOLDS = 4
TOKENS, WIDTH = 2, 384  # the recogniser's features of a frame
FEATURE_SCALE = 3.0
SIDE = 10  # frames that the network sees to both sides
WINDOW = 24
MARGIN = (SIDE, SIDE + WINDOW)  # frames of nothing around a clip
WEIGHTS = {"position": 1.0, "motion": 6.0, "aperture": 1.5, "agreement": 1.0, "velocity": 4.0}
HEARD = "heard.npz"  # of every clip: lip codes float32 [N, 16]


class Listener(nn.Module):
    """Features [N, T + 20, 1088] → lip codes [N, T, 16] of the frames 10 … T + 9.

    A deeper one, or less dropout, learns the voices.
    """

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.stem = nn.Conv1d(TOKENS * WIDTH + MEL_PER_FRAME * MEL_BANDS, width, 1)
        self.head = nn.Conv1d(width, LIP, 2 * SIDE + 1)

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            features = features + 0.1 * torch.randn_like(features)
        x = functional.dropout(features, 0.5, self.training).transpose(1, 2)
        x = functional.dropout(self.stem(x).relu(), 0.6, self.training)
        return self.head(x).transpose(1, 2)


def frames_of(features: Float, clip: PreparedClip) -> Float:
    """Features [≥ 2·N, 384], moved by the clip's offset, and its log-mel as [N, 1088]."""
    assert clip.mel is not None
    n = len(clip)
    at = TOKENS * (np.arange(TOKENS * n) / TOKENS - clip.offset)
    low, last = np.floor(at).astype(int), len(features) - 1
    share = (at - low)[:, None].astype(np.float32)
    a, b = (features[i.clip(0, last)].astype(np.float32) for i in (low, low + 1))
    heard = ((a + (b - a) * share) / FEATURE_SCALE).reshape(n, -1)
    mel = ((clip.mel - MEL_MEAN) / MEL_SCALE).reshape(n, -1)
    return np.concatenate([heard, mel], 1)


def fit(
    name: str,
    clips: list[PreparedClip],
    features: dict[str, Tensor],
    error: LipError,
    settings: Settings,
    parsed: argparse.Namespace,
) -> nn.Module:
    """A `Listener` trained on the lips of ``clips``; ``features`` are padded by `MARGIN`."""
    device = torch.device(parsed.device)
    lengths = torch.tensor([len(c) for c in clips])
    share = lengths * torch.tensor(frame_weights(clips))
    heard = torch.cat([features[c.name] for c in clips]).to(device)
    first = torch.tensor(np.cumsum([0, *(len(features[c.name]) for c in clips)])[:-1])
    expression = np.concatenate([np.pad(c.expression, (MARGIN, (0, 0))) for c in clips])
    code = error.code(torch.from_numpy(expression).to(device))
    keep = torch.from_numpy(np.concatenate([np.pad(c.keep, MARGIN) for c in clips])).to(device)
    module = Listener().to(device)

    def losses(progress: float) -> dict[str, Tensor]:
        chosen = torch.multinomial(share, settings.batch, replacement=True)
        room = lengths[chosen] - WINDOW // 2 + 1
        start = first[chosen] + (torch.rand(settings.batch) * room).long()
        rows = (start[:, None] + torch.arange(WINDOW + 2 * SIDE)).to(device)
        inner = rows[:, SIDE : SIDE + WINDOW]
        parts = error(module(heard[rows]), code[inner], keep[inner])
        return weighted(parts, WEIGHTS)

    own = argparse.Namespace(**{**vars(parsed), "weights": parsed.out / name})
    train(name, module, losses, settings, own)
    return load_weights(module, name, own.weights)


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS)
    device = torch.device(parsed.device)
    attributes = load_weights(Attributes(), "attributes", parsed.weights)
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    error = LipError(attributes.to(device).requires_grad_(False), model, device)
    clips = [c for c in load(parsed.prepared, parsed.data, "train") if c.mel is not None]
    with np.load(parsed.prepared / "teacher.npz", allow_pickle=False) as stored:
        features = {
            c.name: torch.from_numpy(np.pad(frames_of(stored[c.name], c), (MARGIN, (0, 0))))
            for c in clips
        }
    training = [c for c in clips if not is_validation(c.person)]
    people = sorted({c.person for c in training})
    fold = {person: i % FOLDS for i, person in enumerate(people)}
    answers: dict[str, Float] = {}
    for k in range(FOLDS + 1):
        taught = [c for c in training if c.lips and len(c) >= WINDOW and fold.get(c.person) != k]
        asked = [c for c in clips if fold.get(c.person, FOLDS) == k]
        listener = fit(f"teacher{k}", taught, features, error, settings, parsed)
        with torch.no_grad():
            for clip in asked:
                heard = features[clip.name][None, : len(clip) + 2 * SIDE].to(device)
                answers[clip.name] = listener(heard)[0].cpu().numpy()
    np.savez(parsed.prepared / HEARD, **answers)


if __name__ == "__main__":
    main()
