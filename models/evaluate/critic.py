"""Can a small network tell drawn mouths from true ones? ``python -m models.evaluate.critic``.

Half of the test people, and the validation people, teach it what real and drawn mouths look like at
the picture's own size; of the other half it has to say which is which; then the halves change
places. Half of its answers wrong: nothing to be told apart. ``--sheet`` shows where it looks: the
pixels that its answer depends on most.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from models.data.dataset import PreparedClip, load, read_frames, sharp_clips_parser
from models.evaluate.protocols import Evaluation, per_person, portrait_of
from parlante.contract import TILE
from parlante.face.patches import atlas_of
from parlante.render.grid import crop_grid
from parlante.runtime.bundle import Bundle

FRAMES = 24  # of a person
STEPS, BATCH, LEARNING_RATE = 250, 32, 1e-3
LIGHT = 0.3  # range of the changes of light while it learns
SHOWN = 12


class Judge(nn.Module):
    """Mouths [N, 3, 128, 128] in [−1, 1] → [N], above 0 where one seems true."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.GroupNorm(8, after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, mouths: Tensor) -> Tensor:
        return self.head(self.layers(mouths))[:, 0]


def mouths(evaluation: Evaluation, clip: PreparedClip) -> NDArray[np.uint8]:
    """True and drawn mouths of one clip, attributes given: [2, n, 128, 128, 3]."""
    source = int(clip.source_frames[0])
    kept = np.flatnonzero(clip.keep & (np.arange(len(clip)) != source))
    frames = kept[np.linspace(0, len(kept) - 1, min(FRAMES, len(kept))).astype(int)]
    side = evaluation.size
    portrait = portrait_of(clip, read_frames(clip.path, [source], side)[0])
    renderer = evaluation.renderer(portrait)
    changes = clip.pose.relative_to(portrait.pose)
    out = np.empty((2, len(frames), TILE, TILE, 3), np.uint8)
    for k, (frame, true) in enumerate(
        zip(frames, read_frames(clip.path, frames, side), strict=True)
    ):
        maps = crop_grid(side).maps(portrait.patches.to_atlas(clip.pose[frame : frame + 1]))
        drawn = renderer.draw(clip.expression[frame], changes[frame])
        out[:, k] = [atlas_of(image, maps)[:TILE] for image in (true, drawn)]
    return out


def tensor(images: NDArray[np.uint8]) -> Tensor:
    """[n, H, W, 3] as [n, 3, H, W] in [−1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def taught(people: list[NDArray[np.uint8]], seed: int) -> Judge:
    """A judge of the mouths of these people, each as `mouths` gives them."""
    torch.manual_seed(seed)
    judge = Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, STEPS)
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        chosen = [people[int(rng.integers(len(people)))] for _ in range(BATCH // 2)]
        at = [int(rng.integers(p.shape[1])) for p in chosen]
        x = torch.cat([tensor(p[:, k]) for p, k in zip(chosen, at, strict=True)])  # true, drawn, …
        # A pair shares its change of light: brightness must not tell.
        light = 1 + LIGHT * (torch.rand(len(x) // 2, 3, 1, 1) - 0.5).repeat_interleave(2, 0)
        x = x * light
        if rng.random() < 0.5:
            x = x.flip(-1)
        wanted = torch.tensor([1.0, 0.0]).repeat(len(x) // 2)
        loss = F.binary_cross_entropy_with_logits(judge(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


def looked_at(judge: Judge, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each image over the same with the pixels marked that the answer depends on most."""
    x = tensor(images).requires_grad_()
    judge(x).sum().backward()
    assert x.grad is not None
    heat = (x.grad * x.detach()).abs().sum(1).numpy()
    heat = np.stack([cv2.GaussianBlur(h, (0, 0), 2) for h in heat])
    heat /= heat.max((1, 2), keepdims=True)
    marked = images * (1 - heat[..., None]) + heat[..., None] * np.float32([255, 40, 0])
    rows = [np.hstack(list(images)), np.hstack(list(marked.astype(np.uint8)))]
    return np.asarray(np.vstack(rows), np.uint8)


def main() -> None:
    parser = sharp_clips_parser(__doc__)
    parser.add_argument("--bundle", type=Path, help="networks instead of the built-in ones")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sheet", type=Path, help="picture of where it looks")
    arguments = parser.parse_args()
    bundle = None if arguments.bundle is None else Bundle.open(arguments.bundle)
    evaluation = Evaluation(arguments.assets, bundle, size=arguments.size)
    given = arguments.prepared, arguments.data
    test = per_person(load(*given, "test"), 1)
    more = per_person(load(*given, "train", validation=True), 1)
    seen = [mouths(evaluation, clip) for clip in tqdm(test + more, desc="mouths")]
    wrong: dict[str, list[float]] = {"true": [], "drawn": []}
    rows = []
    for half in (0, 1):
        asked = [p for k, p in enumerate(seen[: len(test)]) if k % 2 == half]
        taught_by = [p for k, p in enumerate(seen) if k >= len(test) or k % 2 != half]
        judge = taught(taught_by, half)
        with torch.no_grad():
            for person in asked:
                wrong["true"].append(float((judge(tensor(person[0])) <= 0).float().mean()))
                wrong["drawn"].append(float((judge(tensor(person[1])) > 0).float().mean()))
        drawn = np.stack([p[1, p.shape[1] // 2] for p in asked])
        rows.append(looked_at(judge, drawn[: SHOWN // 2]))
    errors = np.mean([wrong["true"], wrong["drawn"]], 0)
    margin = 1.96 * errors.std(ddof=1) / len(errors) ** 0.5
    print(
        f"{arguments.size}²: of the mouths of {len(errors)} test people {errors.mean():.0%} ± "
        f"{margin:.0%} are judged wrongly (50 %: nothing to be told apart); true ones taken for "
        f"drawn {np.mean(wrong['true']):.0%}, drawn ones for true {np.mean(wrong['drawn']):.0%}"
    )
    if arguments.sheet is not None:
        width = min(row.shape[1] for row in rows)
        sheet = np.vstack([row[:, :width] for row in rows])
        cv2.imwrite(str(arguments.sheet), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
