"""Turn clips of talking people into training data: ``python -m models.data.prepare --data DIR``.

Three resumable passes, each with a progress bar:

1. *track*: every frame's 478 landmarks (unsmoothed), one npz a clip;
2. *fit*: 3DMM identity, expression and pose, blink, log-mel at the runtime's settings, mattes of
   four source frames; frames are kept or dropped by rule and every drop is counted;
3. *align*: the audio-video offset of each source, person and clip (`models.data.alignment`).

``DIR`` holds ``manifest.csv`` (file, split, source, person, audio, …) and the clips it names. Needs
``pip install ".[teacher]"``.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.alignment import align, said_of
from models.data.dataset import (
    DEFAULT_DATA,
    DEFAULT_PREPARED,
    LANDMARK_UNIT,
    MIN_FRAMES,
    SIZE,
    Clip,
    read_frames,
    read_manifest,
)
from parlante import _core
from parlante.errors import ParlanteError
from parlante.face.detection import FaceDetector
from parlante.face.landmarks import FaceLandmarks, LandmarkTracker
from parlante.face.model import FaceModel
from parlante.face.topology import NOSE_TIP, lip_aperture
from parlante.portrait.manner import lid_closures
from parlante.portrait.matte import Matte
from parlante.runtime.bundle import Bundle
from parlante.speech.audio import decode_audio

SOURCES = 4  # candidate source frames a clip, each with its matte
MIN_PRESENCE = 0.5
MIN_FACE = 45  # pixels of the 256² crop across the face
MAX_YAW = 0.9  # radians: beyond, half the mouth is hidden
MAX_JUMP = 0.15  # of the face's width between two frames: a cut or a lost track


@functools.lru_cache(maxsize=1)
def _networks() -> tuple[FaceDetector, FaceLandmarks, Matte, FaceModel]:
    cv2.setNumThreads(1)
    bundle = Bundle.default()
    return (
        FaceDetector(bundle.session("face_detector", threads=1)),
        FaceLandmarks(bundle.session("face_landmarks", threads=1)),
        Matte(*bundle.sessions("matte", "salience")),
        FaceModel.of(bundle.arrays("face_model")),
    )


def track(job: tuple[Clip, Path, Path]) -> str:
    """Pass 1 of one clip: landmarks int16 [N, 478, 3] (1/64 px) and presence float16 [N]."""
    clip, data, out = job
    target = out / "track" / f"{clip.name}.npz"
    if target.exists():
        return clip.name
    detector, landmarks, _, _ = _networks()
    try:
        frames = read_frames(data / clip.file)
    except ValueError:  # no picture at all: the report counts the clip with 0 frames
        frames = np.zeros((0, SIZE, SIZE, 3), np.uint8)
    found = list(LandmarkTracker(detector, landmarks).track(frames))
    points = np.zeros((len(found), 478, 3), np.int16)
    presence = np.zeros(len(found), np.float16)
    for i, result in enumerate(found):
        if result is not None:
            points[i] = np.clip(np.round(result[0] * LANDMARK_UNIT), -32768, 32767)
            presence[i] = result[1]
    _save(target, landmarks=points, presence=presence)
    return clip.name


def kept_frames(
    landmarks: NDArray[np.float32], presence: NDArray[np.float32], yaw: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Which frames [N] are usable, and how many each rule dropped.

    The first rule that applies counts.
    """
    width = np.linalg.norm(landmarks[:, 234, :2] - landmarks[:, 454, :2], axis=-1)
    centre = landmarks[:, :468, :2].mean(1)
    jump = np.r_[0, np.linalg.norm(np.diff(centre, axis=0), axis=-1)] / np.maximum(width, 1)
    jump[1:][presence[:-1] < MIN_PRESENCE] = 0
    inside = (landmarks[:, :468, :2].min((1, 2)) > -8) & (
        landmarks[:, :468, :2].max((1, 2)) < SIZE + 8
    )
    rules = {
        "no face": presence < MIN_PRESENCE,
        "cut or jump": jump > MAX_JUMP,
        "face too small": width * np.maximum(np.cos(yaw), 0.4) ** -1 < MIN_FACE,
        "profile": np.abs(yaw) > MAX_YAW,
        "face leaves the picture": ~inside,
    }
    keep = np.ones(len(presence), bool)
    dropped: Counter[str] = Counter()
    for name, hit in rules.items():
        dropped[name] += int((keep & hit).sum())
        keep &= ~hit
    return keep, dropped


def fit(job: tuple[Clip, Path, Path]) -> str:
    """Pass 2 of one clip; see `models.data.dataset.load` for what it writes."""
    clip, data, out = job
    target = out / "fit" / f"{clip.name}.npz"
    if target.exists():
        return clip.name
    _, _, matte, model = _networks()
    with np.load(out / "track" / f"{clip.name}.npz", allow_pickle=False) as tracked:
        landmarks = tracked["landmarks"].astype(np.float32) / LANDMARK_UNIT
        presence = tracked["presence"].astype(np.float32)
    n = len(landmarks)
    mel = np.zeros((0, 80), np.float16)
    if clip.audio and n:
        try:
            samples = np.concatenate(list(decode_audio(data / clip.file)))
            samples = np.pad(samples, (0, max(0, n * 640 - len(samples))))[: n * 640]
            mel = _core.log_mel(np.ascontiguousarray(samples, np.float32)).astype(np.float16)
        except ParlanteError:
            pass
    present = presence >= MIN_PRESENCE
    arrays: dict[str, Any] = {
        "mel": mel,
        "keep": np.zeros(n, bool),
        "dropped": json.dumps({"no face": n}),
    }
    if present.sum() >= MIN_FRAMES:
        fitted = model.fit(landmarks[present])
        expression = np.zeros((n, fitted.expression.shape[1]), np.float32)
        rotation, translation, scale = (
            np.zeros((n, 3), np.float32),
            np.zeros((n, 3), np.float32),
            np.ones(n, np.float32),
        )
        expression[present] = fitted.expression
        rotation[present], translation[present], scale[present] = (
            fitted.pose.rotation,
            fitted.pose.translation,
            fitted.pose.scale,
        )
        keep, dropped = kept_frames(landmarks, presence, rotation[:, 1])
        arrays |= {
            "keep": keep,
            "dropped": json.dumps(dropped),
            "identity": fitted.identity,
            "expression": expression.astype(np.float16),
            "rotation": rotation,
            "translation": translation,
            "scale": scale,
            "aperture": lip_aperture(landmarks),
            "closure": lid_closures(landmarks, keep).astype(np.float16),
        }
        if keep.sum() >= MIN_FRAMES:
            usable = np.flatnonzero(keep)
            chosen = usable[np.linspace(0, len(usable) - 1, SOURCES + 2).astype(int)[1:-1]]
            frames = read_frames(data / clip.file)
            arrays["source_frames"] = chosen
            arrays["source_landmarks"] = landmarks[chosen, :468]
            arrays["source_mattes"] = np.stack(
                [
                    np.round(
                        matte.predict(frames[i], at=tuple(landmarks[i, NOSE_TIP, :2])) * 255
                    ).astype(np.uint8)
                    for i in chosen
                ]
            )
    _save(target, **arrays)
    return clip.name


def _save(target: Path, **arrays: Any) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(target)


# --- report -----------------------------------------------------------------------------------


def report(clips: list[Clip], out: Path, alignment: dict[str, Any]) -> dict[str, Any]:
    """Frames kept and dropped by source and rule; offsets by source."""
    table: dict[str, Any] = {}
    for clip in clips:
        row = table.setdefault(
            clip.source,
            {
                "clips": 0,
                "frames": 0,
                "kept": 0,
                "dropped": Counter(),
                "audio": 0,
                "lips": 0,
                "moved": 0,
                "correlation": [],
            },
        )
        with np.load(out / "fit" / f"{clip.name}.npz", allow_pickle=False) as arrays:
            row["clips"] += 1
            row["frames"] += len(arrays["keep"])
            row["kept"] += int(arrays["keep"].sum())
            row["dropped"].update(json.loads(str(arrays["dropped"])))
        if clip.name in alignment["clips"]:
            entry = alignment["clips"][clip.name]
            row["audio"] += 1
            row["lips"] += entry["lips"]
            row["moved"] += entry["moved"]
            row["correlation"].append(entry["correlation"])
    for source, row in table.items():
        row["offset"] = alignment["sources"].get(source)
        row["correlation"] = (
            round(float(np.mean(row["correlation"])), 3) if row["correlation"] else None
        )
        row["dropped"] = {rule: count for rule, count in row["dropped"].items() if count}
    return table


def table_text(table: dict[str, Any]) -> str:
    """The report for people, a line a source."""
    lines = [
        f"{'source':<12}{'clips':>6}{'frames':>8}{'kept':>8}  {'audio':>5}{'lips':>5}"
        f"{'moved':>6}{'offset':>7}{'corr':>7}  dropped"
    ]
    for source, row in sorted(table.items()):
        offset = "" if row["offset"] is None else f"{row['offset']:+.0f}"
        correlation = "" if row["correlation"] is None else f"{row['correlation']:.2f}"
        lines.append(
            f"{source:<12}{row['clips']:>6}{row['frames']:>8}{row['kept']:>8}  "
            f"{row['audio']:>5}{row['lips']:>5}{row['moved']:>6}{offset:>7}"
            f"{correlation:>7}  {row['dropped']}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="folder with manifest.csv and clips"
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_PREPARED)
    parser.add_argument("--split", choices=("train", "test"), help="only this half of the people")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    clips = [c for c in read_manifest(arguments.data) if arguments.split in (None, c.split)]
    jobs = [(clip, arguments.data, arguments.out) for clip in clips]
    # One BLAS thread a process: more fight over the same cores and are slower by half.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with get_context("spawn").Pool(arguments.jobs) as pool:
        for name, step in (("track", track), ("fit", fit)):
            for _ in tqdm(
                pool.imap_unordered(step, jobs, chunksize=4),
                total=len(jobs),
                desc=name,
                smoothing=0,
            ):
                pass
    said = dict(tqdm(said_of(clips, arguments.data, arguments.out), desc="align"))
    alignment = align(clips, arguments.out, said)
    (arguments.out / "alignment.json").write_text(json.dumps(alignment, indent=1))
    table = report(clips, arguments.out, alignment)
    (arguments.out / "report.json").write_text(json.dumps(table, indent=1))
    print(table_text(table))


if __name__ == "__main__":
    main()
