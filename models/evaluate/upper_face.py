"""Head, lids and brows beside those of people: ``python -m models.evaluate.upper_face``.

Test people who are heard: how far each part moves, and how that goes with the loudness of what they
say and with its pauses; the same of motion that is generated from their sound, the head turned no
further than a renderer turns it. No pictures.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from tqdm import tqdm

from models.data.dataset import PreparedClip, clips_parser, load
from models.evaluate import over_time, report
from models.evaluate.metrics import correlation
from models.evaluate.protocols import Scores, means, motions_of, per_person, speech_of
from parlante.contract import BLINK, POSE, SAMPLES_PER_FRAME, Float
from parlante.face.model import FaceModel
from parlante.portrait.manner import motion_of
from parlante.render.freedom import within
from parlante.runtime.bundle import Bundle

SMOOTH = 5  # frames
PAUSE_DB = 25  # below the loudest twentieth of a clip
NEAR_PAUSE = 8  # frames: a blink begins so near to a pause
SEEDS = 3
LEAST = 75  # frames
MOTION = ("pose", "closure", "brows")  # the parts of a `Motion` that the VAE draws


def loudness(samples: Float) -> Float:
    """Of each frame, dB."""
    power = np.square(samples.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64)).mean(1)
    return np.asarray(10 * np.log10(power + 1e-8), np.float32)


def near_pauses(loud: Float) -> NDArray[np.bool_]:
    """Frames [N] in or near which nobody speaks."""
    quiet = uniform_filter1d(loud, SMOOTH) < np.percentile(loud, 95) - PAUSE_DB
    reach = 2 * NEAR_PAUSE + 1
    return np.asarray(np.convolve(quiet, np.ones(reach), "same") > 0)


def measures(motion: Float, loud: Float) -> Scores:
    """Of motion [N, 13] as the dynamics VAE has it, with the loudness [N] of its sound, dB."""
    pose, closure, brows = np.split(motion, [POSE, POSE + BLINK], 1)
    heard = uniform_filter1d(loud, SMOOTH)[1:]

    def with_loudness(values: Float) -> float:
        speed = np.linalg.norm(np.diff(values, axis=0), axis=1)
        return correlation(uniform_filter1d(speed, SMOOTH), heard)

    shut = closure.mean(1) > over_time.LIDS_SHUT
    begin = np.flatnonzero(shut[1:] & ~shut[:-1])
    near = near_pauses(loud)
    lasted = over_time.blinks(closure.mean(1))
    return {
        "pose_range": over_time.pose_range(pose),
        "brow_range": float(brows[:, :3].std(0).mean()),
        "squint_range": float(brows[:, 3:].std(0).mean()),
        "blinks_a_minute": len(lasted) * 60 * over_time.FPS / len(motion),
        "head_loudness": with_loudness(pose[:, :3]),
        "brows_loudness": with_loudness(brows[:, :3]),
        # 1: blinks come as often near pauses as anywhere.
        "blinks_at_pauses": float(near[begin].mean() / near.mean())
        if len(begin) and 0 < near.mean() < 1
        else float("nan"),
    }


def of_clip(clip: PreparedClip, bundle: Bundle, model: FaceModel) -> dict[str, Scores] | None:
    """Measures of a person in a clip and of what is generated; None of clips too short."""
    runs = sorted(clip.runs(LEAST), key=lambda run: run[0] - run[1])
    if not runs or clip.mel is None:
        return None
    first, last = runs[0]
    samples = speech_of(clip)
    loud = loudness(samples)[first:last]
    brows = model.brows(clip.expression)
    true = motion_of(clip.pose, clip.closure, brows, clip.keep)[first:last]
    made = []
    for seed in range(SEEDS):
        motions = motions_of(bundle, samples, seed=seed)[first:last]
        parts = [np.stack([getattr(m, name) for m in motions]) for name in MOTION]
        parts[0] = within(parts[0])
        made.append(measures(np.concatenate(parts, 1, dtype=np.float32), loud[: len(motions)]))
    return {"people": measures(true, loud), "generated": means(made)}


def main() -> None:
    parser = clips_parser(__doc__)
    parser.add_argument("--bundle", type=Path, help="networks instead of the built-in ones")
    parser.add_argument("--clips", type=int, default=3, help="of a person, at most")
    parser.add_argument("--validation", action="store_true", help="of validation people instead")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.default() if arguments.bundle is None else Bundle.open(arguments.bundle)
    model = FaceModel.of(bundle.arrays("face_model"))
    split = "train" if arguments.validation else "test"
    clips = load(arguments.prepared, arguments.data, split, validation=arguments.validation or None)
    people: dict[str, list[dict[str, Scores]]] = {}
    for clip in tqdm(per_person(clips, arguments.clips), desc="clips"):
        row = of_clip(clip, bundle, model)
        if row is not None:
            people.setdefault(clip.person, []).append(row)
    rows = {
        name: [means([row[name] for row in own]) for own in people.values()]
        for name in ("people", "generated")
    }
    table = {name: report.interval(own) for name, own in rows.items()}
    for label, percentile in (("people, 10th percentile", 10), ("people, 90th", 90)):
        table[label] = {
            name: (float(np.nanpercentile([row[name] for row in rows["people"]], percentile)), 0.0)
            for name in rows["people"][0]
        }
    print(f"\n{len(people)} people, mean ± 95 %\n\n{report.table('motion', table, 3)}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
