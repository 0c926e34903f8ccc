"""Mouths beside those of people: ``python -m models.evaluate.mouths``.

Sharp clips of test people who are heard, and the same people drawn from the frame in which their
lips are nearest to each other, and from their sound. Landmarks are found again in true and in drawn
frames. By how far lips are parted: the shape of the mouth, and how bright it is inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from models.data.dataset import PreparedClip, load, read_frames, sharp_clips_parser
from models.evaluate import report
from models.evaluate.metrics import Image
from models.evaluate.protocols import Evaluation, Scores, motions_of, per_person, speech_of
from parlante.contract import Float
from parlante.errors import ParlanteError
from parlante.face.topology import LIPS_INNER
from parlante.media.photo import Photo
from parlante.render.tone import LUMA

SIDE = 512
EVERY = 3  # frames
# How far lips are parted, widths of the mouth.
OPEN = {"little": (0.05, 0.15), "half": (0.15, 0.25), "wide": (0.25, 1.0)}
LEAST = 3  # frames of a person that are open so far
# Landmarks between which is measured, over the distance of the eyes' outer corners: how wide a
# mouth is, how thick its lips are, how far the chin is below the nose.
EYES = 33, 263
PARTED = 13, 14
SPANS = {"width": (61, 291), "upper_lip": (0, 13), "lower_lip": (14, 17), "chin": (1, 152)}
CHEEKS = 50, 280, 205, 425


def span(points: Float, ends: tuple[int, int]) -> float:
    return float(np.linalg.norm(np.subtract(*points[list(ends), :2])))


def shape(points: Float) -> Scores:
    """Of landmarks [≥468, 2+]: `SPANS`, and how far lips are parted, widths of the mouth."""
    eyes = span(points, EYES)
    spans = {name: span(points, ends) / eyes for name, ends in SPANS.items()}
    return {**spans, "parted": span(points, PARTED) / eyes / spans["width"]}


def brightness(picture: Image, points: Float) -> Scores:
    """Between the lips: median, and the brightest tenth, over that of the cheeks."""
    luma = (picture @ LUMA).astype(np.float32)
    inside = np.zeros(luma.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(points[list(LIPS_INNER), :2]).astype(np.int32)], 1)
    at = np.clip(np.round(points[list(CHEEKS), :2]), 0, len(luma) - 1).astype(int)
    cheeks = cv2.blur(luma, (7, 7))[at[:, 1], at[:, 0]].mean()
    dark, bright = np.percentile(luma[inside > 0], (50, 90)) / max(float(cheeks), 1.0)
    return {"inside": float(dark), "brightest_tenth": float(bright)}


def measures(
    pictures: Iterable[Image], found: Iterable[Float | None], rest: Scores
) -> list[Scores]:
    """Of each picture in which a face was found: shape over that at ``rest``, and brightness."""
    rows = []
    for picture, points in zip(pictures, found, strict=True):
        if points is not None:
            own = shape(points)
            change = {name: own[name] / rest[name] for name in SPANS}
            rows.append({"parted": own["parted"], **change, **brightness(picture, points)})
    return rows


def by_opening(rows: list[Scores]) -> dict[str, Scores]:
    """Medians of each measure in the frames that are open so far, where there are enough."""
    out = {}
    for label, (least, most) in OPEN.items():
        own = [row for row in rows if least <= row["parted"] < most]
        if len(own) >= LEAST:
            out[label] = {name: float(np.median([row[name] for row in own])) for name in own[0]}
    return out


def of_clip(evaluation: Evaluation, clip: PreparedClip) -> dict[str, dict[str, Scores]] | None:
    """Of a person in a clip and of what is drawn; None where there is no face to draw from."""
    kept = np.flatnonzero(clip.keep)
    still = int(kept[clip.aperture[kept].argmin()])
    base = read_frames(clip.path, [still], SIDE)[0]
    at_rest = evaluation.track([base])[0]
    try:
        portrait = evaluation.encoder.encode([Photo(base, None)], face=0)
    except ParlanteError:
        return None
    if at_rest is None:
        return None
    rest, renderer = shape(at_rest), evaluation.renderer(portrait)
    true = list(read_frames(clip.path, kept[::EVERY], SIDE))
    motions = motions_of(evaluation.bundle, speech_of(clip))
    drawn = [renderer.render(motion) for motion in motions[::EVERY]]
    return {
        name: by_opening(measures(pictures, evaluation.track(pictures), rest))
        for name, pictures in (("people", true), ("drawn", drawn))
    }


def main() -> None:
    parser = sharp_clips_parser(__doc__)
    parser.add_argument("--clips", type=int, default=2, help="of a person, at most")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    evaluation = Evaluation(arguments.assets, size=SIDE)
    clips = [c for c in load(arguments.prepared, arguments.data, "test") if c.mel is not None]
    rows: dict[str, list[Scores]] = {}
    for clip in tqdm(per_person(clips, arguments.clips), desc="clips"):
        for who, openings in (of_clip(evaluation, clip) or {}).items():
            for label, own in openings.items():
                rows.setdefault(f"{label}, {who}", []).append(own)
    table = {
        f"{name} ({len(rows[name])})": report.interval(rows[name])
        for label in OPEN
        for name in (f"{label}, people", f"{label}, drawn")
        if name in rows
    }
    print(f"\nClips, mean ± 95 %\n\n{report.table('parted', table, 2)}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
