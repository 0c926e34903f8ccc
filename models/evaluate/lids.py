"""Shut lids beside those of people: ``python -m models.evaluate.lids``.

Sharp clips of people, and the same people drawn with shut lids from the frame in which their eyes
are widest. Landmarks are found again in true and in drawn frames. Along the line where lids meet,
from the inner corner of an eye to the outer one: how much darker it is there than the skin around.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from models.data.dataset import PreparedClip, load, read_frames, sharp_clips_parser
from models.evaluate import report
from models.evaluate.metrics import Image
from models.evaluate.protocols import Evaluation, Scores, per_person
from parlante.contract import Float
from parlante.errors import ParlanteError
from parlante.face.model import BLINK_MODES
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, eye_aperture
from parlante.media.photo import Photo
from parlante.render.contact import sides
from parlante.render.tone import LUMA

SIDE = 512
EVERY = 2  # frames: a blink lasts five
SHUT = 0.06  # up to this opening, over the eye's width, lids are shut
# Places along the line, from the inner corner, 0, to the outer one, 1; and how far to both sides of
# it is looked, where skin begins, and how finely, in widths of the eye.
ALONG = {"inner corner": 0.05, "quarter": 0.25, "middle": 0.55, "three quarters": 0.75}
ALONG |= {"outer corner": 0.95}
ACROSS, SKIN, STEP = 0.3, 0.22, 0.01


def darkness(picture: Image, points: Float) -> Scores:
    """Of a picture uint8 [H, W, 3] with shut lids and its landmarks [468, 2+].

    By place along the line: how much darker than skin, summed up across it, over the eye's width.
    """
    luma = np.asarray(picture @ LUMA, np.float32)
    across = np.arange(-ACROSS, ACROSS + STEP / 2, STEP, dtype=np.float32)
    both = []
    for loop, inner_first in ((EYE_RIGHT, False), (EYE_LEFT, True)):
        line = _line(points[:, :2], loop)
        line = line if inner_first else line[::-1]
        way = line[-1] - line[0]
        width = float(np.linalg.norm(way))
        normal = np.array([-way[1], way[0]]) / width
        far = np.linspace(0, 1, len(line))
        middle = np.stack([np.interp(list(ALONG.values()), far, line[:, k]) for k in (0, 1)], 1)
        at = (middle[:, None] + across[:, None] * width * normal).astype(np.float32)
        seen = cv2.remap(luma, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        ends = seen[:, across < -SKIN].mean(1), seen[:, across > SKIN].mean(1)
        skin = np.minimum(*ends)[:, None]
        both.append(STEP * np.maximum(1 - seen / np.maximum(skin, 1), 0).sum(1))
    return dict(zip(ALONG, np.mean(both, axis=0).tolist(), strict=True))


def _line(points: Float, loop: Sequence[int]) -> Float:
    """Midway between the lids: [9, 2]."""
    upper, lower = sides(tuple(loop))
    ends = points[[loop[0], loop[len(loop) // 2]]]
    return np.concatenate([ends[:1], (points[upper] + points[lower]) / 2, ends[1:]])


def of_clip(evaluation: Evaluation, clip: PreparedClip) -> dict[str, Scores]:
    """Of a person whose lids are shut somewhere in a clip, and of what is drawn; else nothing."""
    frames = list(read_frames(clip.path, np.flatnonzero(clip.keep)[::EVERY], SIDE))
    found = evaluation.track(frames)
    openings = [np.nan if p is None else float(eye_aperture(p[None]).mean()) for p in found]
    if np.isnan(openings).all() or not np.nanmin(openings) < SHUT:
        return {}
    shut, open_ = int(np.nanargmin(openings)), int(np.nanargmax(openings))
    try:
        portrait = evaluation.encoder.encode([Photo(frames[open_], None)], face=0)
    except ParlanteError:
        return {}
    renderer, expression = evaluation.renderer(portrait), portrait.expression.copy()
    expression[evaluation.encoder.model.indices(BLINK_MODES)] = renderer.mesh.closed_blink
    drawn = renderer.draw(expression, np.zeros(6, np.float32))
    at = evaluation.track([drawn])[0]
    people = found[shut]
    if at is None or people is None:
        return {}
    return {"people": darkness(frames[shut], people), "drawn": darkness(drawn, at)}


def main() -> None:
    parser = sharp_clips_parser(__doc__)
    parser.add_argument("--split", default="test", choices=["test", "train"])
    parser.add_argument("--clips", type=int, default=4, help="of a person, at most")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    evaluation = Evaluation(arguments.assets, size=SIDE)
    clips = load(arguments.prepared, arguments.data, arguments.split)
    rows: dict[str, list[Scores]] = {}
    for clip in tqdm(per_person(clips, arguments.clips), desc="clips"):
        for who, own in of_clip(evaluation, clip).items():
            rows.setdefault(who, []).append(own)
    table = {f"{who} ({len(own)})": report.interval(own) for who, own in rows.items()}
    print(f"\nClips, mean ± 95 %\n\n{report.table('shut lids of', table, 3)}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
