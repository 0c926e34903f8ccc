"""Scores of many clips into means with intervals, and those into Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tqdm import tqdm

from models.data.dataset import PreparedClip
from models.evaluate import protocols
from models.evaluate.protocols import Evaluation, Scores, per_person

Interval = tuple[float, float]  # mean, half-width
Table = dict[str, dict[str, Interval]]
NOISES = {"digital silence": 0.0, "room noise, −50 dB": 10 ** (-50 / 20)}  # RMS
SILENT_PEOPLE = 8


def attributes(
    evaluation: Evaluation, clips: Sequence[PreparedClip], frames: int, steps: Sequence[int]
) -> Table:
    """`protocols.attributes` by method."""
    rows: dict[str, list[Scores]] = {}
    for clip in tqdm(clips, desc="attributes given"):
        for method, row in protocols.attributes(evaluation, clip, frames, steps).items():
            if row:
                rows.setdefault(method, []).append(row)
    return {method: interval(own) for method, own in rows.items()}


def by_source(
    clips: Sequence[PreparedClip], measure: Callable[[PreparedClip], Scores | None], label: str
) -> Table:
    """``measure`` of each clip, by source of the clips (and their number)."""
    rows: dict[str, list[Scores]] = {}
    for clip in tqdm(clips, desc=label):
        row = measure(clip)
        if row is not None:
            rows.setdefault(clip.source, []).append(row)
    return {f"{source} ({len(own)})": interval(own) for source, own in sorted(rows.items())}


PART_COLUMNS = ("psnr_mouth", "lmd_mouth", "sharpness", "feature_mouth")


def parts(
    evaluations: Mapping[str, Evaluation], clips: Sequence[PreparedClip], frames: int
) -> Table:
    """What bundles that lack a part can still do: `attributes` of the renderer, lips from audio."""
    rows = {}
    for name, evaluation in evaluations.items():
        noiseless = evaluation.bundle.manifest.networks["denoise"]["truncated_start"] == 1
        steps = 1 if noiseless else 2
        given = attributes(evaluation, per_person(clips, 1), frames, [steps])
        drawn = given[protocols.OURS.format(steps)]
        heard = [protocols.lips(evaluation, c, 0) for c in tqdm(clips, desc=name) if c.lips]
        opening = interval([{"aperture": row["mesh"]} for row in heard if row is not None])
        rows[name] = {column: drawn[column] for column in PART_COLUMNS} | opening
    return rows


def silence(evaluation: Evaluation, clips: Sequence[PreparedClip]) -> dict[str, float]:
    """Share of frames with shut lips for each of `NOISES`, over some people."""
    sources = ("grid", "talkvid", "dhface")
    people = per_person([c for c in clips if c.mel is not None and c.source in sources], 1)
    return {
        label: float(
            np.nanmean([protocols.silence(evaluation, c, level) for c in people[:SILENT_PEOPLE]])
        )
        for label, level in NOISES.items()
    }


def interval(rows: Sequence[Scores]) -> dict[str, Interval]:
    """Mean and half-width of its 95 % interval of each column, over clips."""
    out = {}
    for column in dict.fromkeys(k for row in rows for k in row):
        values = np.array([v for r in rows if np.isfinite(v := r.get(column, np.nan))])
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        out[column] = (float(values.mean()), float(1.96 * spread)) if len(values) else (np.nan, 0.0)
    return out


def table(first: str, rows: Mapping[str, Mapping[str, Interval]], digits: int) -> str:
    """One line a row, mean ± half-width in each column; the first column is called ``first``."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {first} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = (f"{mean:.{digits}f} ± {half:.{digits}f}" for mean, half in row.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shares(values: Mapping[str, float]) -> str:
    """One line a share, in per cent."""
    return "\n".join(f"- {name}: {100 * value:.1f} %" for name, value in values.items())
