"""Turn clips of talking people into training data: ``python -m models.data.prepare --data DIR``.

Three resumable passes, each with a progress bar:

1. *track*: every frame's 478 landmarks (unsmoothed), one npz a clip;
2. *fit*: 3DMM identity, expression and pose, blink, log-mel at the runtime's settings, mattes of
   four source frames; frames are kept or dropped by rule and every drop is counted;
3. *align*: the audio-video offset of each source, person and clip, estimated by predicting the lip
   aperture from the log-mel (ridge regression, each person predicted from other people only), and
   repaired.

``DIR`` holds ``manifest.csv`` (file, split, source, person, audio, …) and the clips it names.
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
from parlante.contract import MEL_PER_FRAME
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
MIN_SOURCE_CORRELATION = 0.15  # below, a source's sound and picture were never in step
MAX_OFFSET = 6  # frames searched to either side
LAGS = np.arange(-MAX_OFFSET, MAX_OFFSET + 1)
PERSON_SPREAD, CLIP_SPREAD = 1.0, 0.5  # frames: people around their source, clips around theirs


@functools.lru_cache(maxsize=1)
def _networks() -> tuple[FaceDetector, FaceLandmarks, Matte, FaceModel]:
    cv2.setNumThreads(1)
    bundle = Bundle.default()
    return (
        FaceDetector(bundle.session("face_detector", threads=1)),
        FaceLandmarks(bundle.session("face_landmarks", threads=1)),
        Matte(*bundle.sessions("matte", "salience")),
        FaceModel.load(bundle.path("face_model.npz")),
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


# --- pass 3: audio-video offset ---------------------------------------------------------------


def mel_context(mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Ridge inputs [frames, D]: band means of the log-mel around each, loudness removed.

    From 12 frames before to 8 after.
    """
    bands = mel.reshape(-1, 16, 5).mean(-1)
    bands = bands - np.percentile(bands, 90)
    per_frame = bands[: frames * MEL_PER_FRAME].reshape(frames, MEL_PER_FRAME, 16).mean(1)
    padded = np.pad(per_frame, ((12, 8), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + frames] for k in range(0, 21, 1)], 1)


def correlation_by_lag(
    predicted: NDArray[np.float32], observed: NDArray[np.float32], keep: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Correlation of predicted[t] with observed[t + lag] over kept frames.

    For lag −MAX_OFFSET…MAX_OFFSET.
    """
    out = np.zeros(len(LAGS), np.float32)
    n = len(predicted)
    for i, lag in enumerate(LAGS):
        t = np.arange(max(0, -lag), min(n, n - lag))
        t = t[keep[t + lag]]
        if len(t) >= MIN_FRAMES:
            a, b = predicted[t] - predicted[t].mean(), observed[t + lag] - observed[t + lag].mean()
            out[i] = (a * b).sum() / np.sqrt(max((a * a).sum() * (b * b).sum(), 1e-12))
    return out


def evidence(curve: NDArray[np.float32], frames: float) -> NDArray[np.float64]:
    """Log-likelihood of each lag, from the correlation at it over ``frames`` frames.

    About four of them say the same.
    """
    return -frames / 8 * np.log1p(-(np.clip(curve, 0, 0.95).astype(np.float64) ** 2))


def likeliest(likelihood: NDArray[np.float64], around: float, spread: float) -> float:
    """Most probable lag in quarters of a frame, given the log-likelihood of each.

    Lags lie normally around ``around``.
    """
    posterior = likelihood - 0.5 * ((LAGS - around) / spread) ** 2
    best = int(posterior[1:-1].argmax()) + 1
    left, middle, right = posterior[best - 1 : best + 2]
    vertex = (left - right) / (2 * min(left - 2 * middle + right, -1e-9))
    return float(np.round(4 * (LAGS[best] + np.clip(vertex, -1, 1))) / 4 + 0.0)  # no minus zero


def align(clips: list[Clip], out: Path) -> dict[str, Any]:
    """Pass 3: offset of every clip with audio, in quarters of a frame.

    Positive: the picture is late.

    A source's offset is the lag at which its mean correlation peaks. A person's clips, cut from one
    recording, lie around it, and a clip around its person: each departs as far as its own
    correlations outweigh that. A clip serves the lips only when it correlates at all.
    """
    loaded = []
    for clip in clips:
        with np.load(out / "fit" / f"{clip.name}.npz", allow_pickle=False) as arrays:
            if len(arrays["mel"]) and arrays["keep"].sum() >= MIN_FRAMES:
                keep, aperture = arrays["keep"], arrays["aperture"].astype(np.float32)
                context = mel_context(arrays["mel"].astype(np.float32), len(keep))
                spread = max(float(aperture[keep].std()), 0.02)
                loaded.append((clip, context, (aperture - aperture[keep].mean()) / spread, keep))
    if not loaded:  # no clip has sound
        return {"sources": {}, "clips": {}}
    people = sorted({clip.person for clip, *_ in loaded})
    fold = {person: i % 4 for i, person in enumerate(people)}
    source_offset = {clip.source: 0.0 for clip, *_ in loaded}
    person_offset = {(clip.source, clip.person): 0.0 for clip, *_ in loaded}
    curves: dict[str, NDArray[np.float32]] = {}
    for _ in range(4):  # offsets and regression sharpen each other
        weights = []
        for k in range(4):
            dimension = loaded[0][1].shape[1] + 1
            gram, right = np.eye(dimension) * 300.0, np.zeros(dimension)
            for clip, context, aperture, keep in loaded:
                if fold[clip.person] == k or clip.split == "test":
                    continue
                lag = round(person_offset[clip.source, clip.person])
                t = np.arange(max(0, -lag), min(len(keep), len(keep) - lag))
                t = t[keep[t + lag]]
                x = np.c_[context[t], np.ones(len(t))]
                gram += x.T @ x
                right += x.T @ aperture[t + lag]
            weights.append(np.linalg.solve(gram, right))
        by_source: dict[str, list[NDArray[np.float32]]] = {}
        by_person: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        for clip, context, aperture, keep in loaded:
            predicted = context @ weights[fold[clip.person]][:-1] + weights[fold[clip.person]][-1]
            curve = correlation_by_lag(predicted, aperture, keep)
            curves[clip.name] = curve
            by_source.setdefault(clip.source, []).append(curve * np.sqrt(keep.sum()))
            by_person.setdefault((clip.source, clip.person), []).append(evidence(curve, keep.sum()))
        source_offset = {
            source: float(LAGS[np.mean(all_curves, 0).argmax()])
            for source, all_curves in by_source.items()
        }
        person_offset = {
            key: likeliest(np.sum(of_clips, 0), source_offset[key[0]], PERSON_SPREAD)
            for key, of_clips in by_person.items()
        }
    mean = {
        source: float(
            np.mean(
                [curves[c.name][int(lag) + MAX_OFFSET] for c, *_ in loaded if c.source == source]
            )
        )
        for source, lag in source_offset.items()
    }
    offsets: dict[str, Any] = {}
    for clip, _, _, keep in loaded:
        curve, common = curves[clip.name], person_offset[clip.source, clip.person]
        own = int(curve.argmax()) - MAX_OFFSET
        lag = likeliest(evidence(curve, keep.sum()), common, CLIP_SPREAD)
        # Standard error of a correlation over n frames that are correlated over about 4 frames.
        error = 2.0 / np.sqrt(keep.sum())
        correlation = float(np.interp(lag, LAGS, curve))
        offsets[clip.name] = {
            "offset": lag,
            "correlation": round(correlation, 3),
            "moved": abs(lag - source_offset[clip.source]) >= 1,
            "lips": mean[clip.source] >= MIN_SOURCE_CORRELATION
            and bool((correlation > -error and abs(own - common) <= 4) or keep.sum() < 50),
        }
    return {"sources": source_offset, "clips": offsets}


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
    alignment = align(clips, arguments.out)
    (arguments.out / "alignment.json").write_text(json.dumps(alignment, indent=1))
    table = report(clips, arguments.out, alignment)
    (arguments.out / "report.json").write_text(json.dumps(table, indent=1))
    print(table_text(table))


if __name__ == "__main__":
    main()
