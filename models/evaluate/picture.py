"""The picture at the output's own size: ``python -m models.evaluate.picture --size 512``.

Sharp clips of test people, attributes given: the second half of each clip is drawn from one frame
of its first half, and from further frames of that as references. And what must not change at all:
a photo with nothing moved, and the colour of a grey one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.dataset import (
    SIZE,
    PreparedClip,
    load,
    read_frames,
    read_landmarks,
    sharp_clips_parser,
)
from models.evaluate import protocols, report
from models.evaluate.metrics import Image
from models.evaluate.protocols import Evaluation, Scores, per_person, portrait_of
from parlante.contract import BANDS, Float
from parlante.face.patches import atlas_of
from parlante.face.pose import Pose
from parlante.face.topology import LIPS_INNER, LIPS_OUTER
from parlante.portrait.portrait import Portrait
from parlante.portrait.references import Look, references_of
from parlante.render.grid import crop_grid
from parlante.runtime.bundle import Bundle

REFERENCES = (1, 4, 32)
LOOKED_AT = 250  # frames of the first half, of which references are chosen
RUN = 12  # frames in a row, for the shimmer
SEAM = 5  # pixels: width of the ring along the edge of what was drawn
# Parts that are filled with the true picture, to see how much of the distance lies in them.
KNOWN = {"inside of the mouth": LIPS_INNER, "lips": LIPS_OUTER}
FINE = 1.5  # pixels of the atlas: shimmer is what is finer


def picture_of(pose: Pose, side: int) -> Pose:
    """Poses on the 256-grid, in pixels of a picture of ``side``."""
    place = np.concatenate([crop_grid(side)(pose.translation[:, :2]), pose.translation[:, 2:]], 1)
    return Pose(pose.rotation, place, pose.scale * np.float32(side / SIZE))


def with_references(
    portrait: Portrait, clip: PreparedClip, prepared: Path, frames: NDArray[np.int64], side: int
) -> Portrait:
    """A portrait with references from ``frames`` of its clip, of which the first is its own."""
    images = list(read_frames(clip.path, np.sort(frames), side))
    order = np.argsort(np.argsort(frames))
    landmarks = read_landmarks(prepared, clip)[frames].copy()
    landmarks[..., :2] = crop_grid(side)(landmarks[..., :2])
    poses = picture_of(clip.pose[frames], side)
    base, *others = (
        Look.of(portrait.patches, images[at], landmarks[k], poses[k : k + 1])
        for k, at in enumerate(order)
    )
    seen = references_of(base, others)
    return replace(portrait, references=seen.atlases, reference_places=seen.places)


def shimmer(made: Sequence[Image], true: Sequence[Image], maps: Sequence[Float]) -> float:
    """How much what is fine in the mouth changes from frame to frame, over the truth's.

    Pictures of frames in a row, and the atlas's maps in each.
    """

    def flicker(frames: Sequence[Image]) -> float:
        mouths = [
            atlas_of(frame, own)[slice(*BANDS[0])].astype(np.float32)
            for frame, own in zip(frames, maps, strict=True)
        ]
        fine = np.stack([mouth - cv2.GaussianBlur(mouth, (0, 0), FINE) for mouth in mouths])
        return float(np.abs(np.diff(fine, axis=0)).mean())

    return flicker(made) / max(flicker(true), 1e-6)


def seam(made: Image, warp: Image, true: Image) -> float:
    """How much edge there is along the edge of what was drawn, over the truth's there.

    made: the picture; warp: the same without what was drawn.
    """
    drawn = (made != warp).any(2).astype(np.uint8)
    ring = cv2.dilate(drawn, np.ones((SEAM, SEAM))) - cv2.erode(drawn, np.ones((SEAM, SEAM)))

    def edge(image: Image) -> float:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        return float(steep[ring > 0].mean()) if ring.any() else 0.0

    return edge(made) / max(edge(true), 1e-6)


def filled(made: Image, true: Image, at: Float | None, loop: Sequence[int]) -> Image:
    """A picture with the true one within a loop of the landmarks ``at``."""
    inside = np.zeros(made.shape[:2], np.uint8)
    if at is not None:
        cv2.fillPoly(inside, [np.round(at[list(loop), :2]).astype(np.int32)], 1)
    share = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1)[..., None]
    return np.asarray(np.round(made + share * (true - made.astype(np.float32))), np.uint8)


def given(
    evaluation: Evaluation, clip: PreparedClip, prepared: Path, count: int, steps: Sequence[int]
) -> dict[str, Scores]:
    """Mean scores of each method on frames of a clip's second half."""
    side, half = evaluation.size, len(clip) // 2
    source = int(clip.source_frames[0])
    later = np.flatnonzero(clip.keep & (np.arange(len(clip)) >= half))
    run = later[len(later) // 2 - RUN // 2 :][:RUN]
    spread = later[np.linspace(0, len(later) - 1, count).astype(int)]
    frames = np.union1d(spread, run)
    images = dict(zip(frames.tolist(), read_frames(clip.path, frames, side), strict=True))
    own = read_frames(clip.path, [source], side)[0]
    portrait = portrait_of(clip, own)
    changes = clip.pose.relative_to(portrait.pose)
    earlier = np.flatnonzero(clip.keep & (np.arange(len(clip)) < half))
    looked_at = earlier[np.linspace(0, len(earlier) - 1, min(LOOKED_AT, len(earlier))).astype(int)]
    own_first = np.r_[source, looked_at[looked_at != source]]
    referred = with_references(portrait, clip, prepared, own_first, side)

    maps = [crop_grid(side).maps(portrait.patches.to_atlas(clip.pose[f : f + 1])) for f in run]
    truth = [images[f] for f in spread]
    points = evaluation.track(truth)

    warp = evaluation.renderer(portrait, steps[0])
    bare = [warp.draw_warp(clip.expression[f], changes[f]) for f in spread]

    def compared(made: list[Image]) -> Scores:
        return protocols.means(
            [
                evaluation.compare(picture, true, seen, at)
                for picture, true, at, seen in zip(
                    made, truth, points, evaluation.track(made), strict=True
                )
                if at is not None and seen is not None
            ]
        )

    def scores(draw: Callable[[int], Image]) -> Scores:
        made = [draw(f) for f in spread]
        fine = shimmer([draw(f) for f in run], [images[f] for f in run], maps)
        seams = [seam(*images) for images in zip(made, bare, truth, strict=True)]
        return compared(made) | {"shimmer": fine, "seam": float(np.mean(seams))}

    rows = {protocols.STILL: compared([own] * len(truth))}
    rows[protocols.WARP] = scores(lambda f: warp.draw_warp(clip.expression[f], changes[f]))
    for k in steps:
        renderer = evaluation.renderer(portrait, k)
        rows[protocols.OURS.format(k)] = scores(
            lambda f, r=renderer: r.draw(clip.expression[f], changes[f])  # type: ignore[misc]
        )
    two = evaluation.renderer(portrait, 2)
    drawn = [two.draw(clip.expression[f], changes[f]) for f in spread]
    for name, loop in KNOWN.items():
        told = [filled(*images, loop) for images in zip(drawn, truth, points, strict=True)]
        rows[f"K = 2, {name} the truth's"] = compared(told)
    for n in REFERENCES:
        few = replace(
            referred,
            references=referred.references[:n],
            reference_places=referred.reference_places[:n],
        )
        renderer = evaluation.renderer(few, 2)
        rows[f"K = 2, {n} references"] = scores(
            lambda f, r=renderer: r.draw(clip.expression[f], changes[f])  # type: ignore[misc]
        )
    return rows


def unchanged(evaluation: Evaluation, clip: PreparedClip) -> Scores:
    """What must stay as it is: a photo with nothing moved (dB), and grey (levels, 99.9 %)."""
    source = int(clip.source_frames[0])
    photo = read_frames(clip.path, [source], evaluation.size)[0]
    portrait = portrait_of(clip, photo)
    still = evaluation.renderer(portrait).draw_warp(portrait.expression, np.zeros(6, np.float32))
    error = np.square(still.astype(np.float64) - photo).mean()
    grey = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    black_and_white = evaluation.renderer(portrait_of(clip, grey))
    moved = clip.expression[int(np.argmax(clip.aperture))]
    drawn = black_and_white.draw(moved, np.zeros(6, np.float32)).astype(int)
    spread = (drawn.max(2) - drawn.min(2)).ravel()
    return {
        "rest_psnr": float(10 * np.log10(255**2 / max(error, 1e-3))),
        "grey_levels": float(np.percentile(spread, 99.9)),
    }


def measured(
    evaluation: Evaluation,
    clips: Sequence[PreparedClip],
    prepared: Path,
    count: int,
    steps: Sequence[int],
) -> dict[str, dict[str, Any]]:
    """Of each method what `given` says of the clips, and what `unchanged` does: mean ± 95 %."""
    rows: dict[str, list[Scores]] = {}
    for clip in tqdm(clips, desc=f"{evaluation.size}²"):
        for method, row in given(evaluation, clip, prepared, count, steps).items():
            rows.setdefault(method, []).append(row)
    fixed = report.interval([unchanged(evaluation, clip) for clip in clips])
    return {"given": {k: report.interval(own) for k, own in rows.items()}, "unchanged": fixed}


def main() -> None:
    parser = sharp_clips_parser(__doc__)
    parser.add_argument("--bundle", type=Path, help="networks instead of the built-in ones")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=5, help="frames a clip")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = None if arguments.bundle is None else Bundle.open(arguments.bundle)
    evaluation = Evaluation(arguments.assets, bundle, size=arguments.size)
    clips = per_person(load(arguments.prepared, arguments.data, "test"), 1)
    made = measured(evaluation, clips, arguments.prepared, arguments.frames, arguments.steps)
    print(f"\n{arguments.size}²: {len(clips)} clips of as many test people, mean ± 95 %\n")
    print(report.table("method", made["given"], 3))
    print("\nNothing moved, and grey photos\n")
    print(report.table("", {"photo": made["unchanged"]}, 2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
