"""Scores of many clips into means with intervals, and those into Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.data import music
from models.data.dataset import PreparedClip
from models.evaluate import over_time, protocols
from models.evaluate.protocols import Evaluation, Scores, per_person
from models.expert import OFFSETS, WINDOW
from parlante.contract import SAMPLE_RATE, Float

Interval = tuple[float, float]  # mean, half-width
Table = dict[str, dict[str, Interval]]
SILENT_PEOPLE = 8
SILENT_SECONDS = 8
UNHEARD = 10_000  # pieces of music from here on are none that sync is trained with
MIN_SYNC_FRAMES = WINDOW + 2 * OFFSETS
LONG_SEEDS = 4
LONG_FRAMES = 3 * over_time.FPS  # of clips whose lids and head are measured


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


def lips(evaluation: Evaluation, clips: Sequence[PreparedClip]) -> Table:
    """`protocols.lips` by source; the mesh's also over people, each of whom counts once."""
    people: dict[str, dict[str, list[float]]] = {}

    def measure(clip: PreparedClip) -> Scores | None:
        row = protocols.lips(evaluation, clip, 0)
        if row is not None:
            people.setdefault(clip.source, {}).setdefault(clip.person, []).append(row["mesh"])
        return row

    rows = by_source(clips, measure, "lips")
    for row, (_, own) in zip(rows.values(), sorted(people.items()), strict=True):
        of_each = [{"mesh, of people": float(np.nanmean(values))} for values in own.values()]
        row.update(interval(of_each))
    return rows


def real_synchrony(evaluation: Evaluation, clips: list[PreparedClip], prepared: Path) -> Table:
    """`protocols.real_synchrony` by source.

    The other sound is that of the next clip that is long enough and of somebody else.
    """
    others = {clip.name: clips[i + 1 :] + clips[:i] for i, clip in enumerate(clips)}

    def measure(clip: PreparedClip) -> Scores | None:
        long = (c for c in others[clip.name] if len(c) >= MIN_SYNC_FRAMES)
        other = next(c for c in long if c.person != clip.person)
        return protocols.real_synchrony(evaluation, clip, other, prepared) or None

    return by_source(clips, measure, "Sync expert")


PICTURE = ("psnr_mouth", "lmd_mouth", "csim", "sharpness", "feature_mouth")
# What a part of the networks has to do with; any other has to do with all of it.
TOUCHED = dict.fromkeys(("diffusion", "shift", "warp"), ("picture",)) | {
    "contrast": ("lips",),
    "vae": ("head",),
    "disentanglement": ("codes",),
}


def parts(
    evaluations: Mapping[str, Evaluation], clips: Sequence[PreparedClip], frames: int
) -> Table:
    """What bundles that lack a part can still do, of what the part touches.

    `attributes` of the renderer, lips, lids and head from audio.
    """
    rows: Table = {}
    heard = [c for c in clips if c.lips]
    long = per_person([c for c in heard if len(c) >= LONG_FRAMES], 1)
    for name, evaluation in evaluations.items():
        touched = TOUCHED.get(evaluation.without, ("picture", "lips", "head", "codes"))
        rows[name] = {}
        if "picture" in touched:
            steps = 1 if evaluation.without == "diffusion" else 2
            given = attributes(evaluation, per_person(clips, 1), frames, [steps])
            drawn = given[protocols.OURS.format(steps)]
            rows[name] |= {column: drawn[column] for column in PICTURE}
        if "lips" in touched:
            own = [protocols.lips(evaluation, c, 0) for c in tqdm(heard, desc=name)]
            rows[name] |= interval([{"aperture": row["mesh"]} for row in own if row is not None])
        if "head" in touched:
            moved = [protocols.moves(evaluation, c, seed) for seed, c in enumerate(long)]
            rows[name] |= interval(moved)
        if "codes" in touched:
            people = per_person(clips, 1)
            swapped = [protocols.swap(evaluation, c, seed) for seed, c in enumerate(people)]
            rows[name] |= interval(swapped)
    return rows


def free(evaluation: Evaluation, clips: Sequence[PreparedClip], count: int) -> Table:
    """`protocols.free` of each clip's first ``count`` frames, another seed each."""
    rows = [
        protocols.free(evaluation, clip, count, seed)
        for seed, clip in enumerate(tqdm(clips, desc="audio only"))
    ]
    return {name: interval([r[name] for r in rows if r]) for name in ("generated", "true")}


def manners(evaluation: Evaluation, clips: Sequence[PreparedClip], prepared: Path) -> Table:
    """`protocols.manners` of each person's second long clip in the manner of the first.

    Means, and the correlation with the truth over people (of logarithms; 95 % by Fisher's z).
    """
    own: dict[str, list[PreparedClip]] = {}
    for clip in clips:
        if clip.runs(LONG_FRAMES):
            own.setdefault(clip.person, []).append(clip)
    pairs = [(of_one[0], of_one[1]) for of_one in own.values() if len(of_one) > 1]
    rows = [protocols.manners(evaluation, *pair, prepared) for pair in tqdm(pairs, desc="manners")]
    table: Table = {}
    for name in rows[0]:
        table[name] = interval([row[name] for row in rows])
        for column in [] if name == "true" else list(table[name]):
            made, true = (np.log1p([row[k][column] for row in rows]) for k in (name, "true"))
            r = float(np.corrcoef(made, true)[0, 1])
            table[name][f"r_{column}"] = r, 1.96 * (1 - r**2) / max(len(rows) - 3, 1) ** 0.5
    return table


def long(evaluation: Evaluation, clips: Sequence[PreparedClip], minutes: int) -> Table:
    """`protocols.long` of speech and of silence, over some seeds."""
    spoken = np.concatenate([protocols.speech_of(c) for c in clips if c.mel is not None])
    minute = 60 * SAMPLE_RATE
    sounds = {"speech": np.resize(spoken, minute), "silence": np.zeros(minute, np.float32)}
    table: Table = {}
    for sound, samples in sounds.items():
        runs = [
            protocols.long(evaluation, samples, minutes, seed)
            for seed in tqdm(range(LONG_SEEDS), desc=f"{minutes} minutes of {sound}")
        ]
        table |= {f"{sound}, {part}": interval([run[part] for run in runs]) for part in runs[0]}
    return table


def silence(evaluation: Evaluation, clips: Sequence[PreparedClip]) -> dict[str, float]:
    """Share of frames with shut lips while nobody speaks, over some people."""
    sources = ("grid", "talkvid", "dhface")
    people = per_person([c for c in clips if c.mel is not None and c.source in sources], 1)
    shut: dict[str, list[float]] = {}
    for i, clip in enumerate(tqdm(people[:SILENT_PEOPLE], desc="silence", unit="person")):
        for sound, samples in speechless(i).items():
            shut.setdefault(sound, []).append(protocols.silence(evaluation, clip, samples))
    return {sound: float(np.nanmean(values)) for sound, values in shut.items()}


def speechless(number: int) -> dict[str, Float]:
    """Sounds in which nobody speaks, at 16 kHz; decibels are of RMS below full scale."""
    count = SILENT_SECONDS * SAMPLE_RATE
    noise = np.random.default_rng(number).standard_normal(count).astype(np.float32)
    piece = music.piece(np.random.default_rng(UNHEARD + number))[:count]
    return {
        "digital silence": 0 * noise,
        "room noise, −50 dB": noise * np.float32(10 ** (-50 / 20)),
        "room noise, −40 dB": noise * np.float32(10 ** (-40 / 20)),
        "music, −30 dB": piece * np.float32(10 ** (-30 / 20)),
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
    """One line a row, mean ± half-width in each column that it has.

    The first column is called ``first``.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"| {first} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = (
            f"{row[c][0]:.{digits}f} ± {row[c][1]:.{digits}f}" if c in row else "" for c in columns
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shares(values: Mapping[str, float]) -> str:
    """One line a share, in per cent."""
    return "\n".join(f"- {name}: {100 * value:.1f} %" for name, value in values.items())
