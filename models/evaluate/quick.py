"""How good is it? ``python -m models.evaluate.quick`` on the test people, through the runtime that
ships.

Two protocols. *Attributes given*: the truth's 3DMM coefficients and pose drive one source frame;
still photo, warp only and the renderer are compared with the true frame. *Audio only*: a portrait
is encoded from one frame, everything else is generated from the sound; lips are compared by their
opening over the whole clip.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.dataset import (
    DEFAULT_DATA,
    DEFAULT_PREPARED,
    SIZE,
    PreparedClip,
    load,
    read_frames,
)
from models.evaluate import metrics
from parlante.audio import decode_audio
from parlante.bundle import Bundle
from parlante.detection import FaceDetector
from parlante.engine import SAMPLE_RATE
from parlante.errors import ParlanteError
from parlante.face_model import FaceModel, Float, lip_aperture
from parlante.image import Photo
from parlante.landmarks import FaceLandmarks, LandmarkTracker
from parlante.motion import LOOK_AHEAD, SAMPLES_PER_FRAME, Motion, MotionStream
from parlante.plate import background_plate
from parlante.portrait import Portrait, PortraitEncoder
from parlante.renderer import FrameRenderer

STILL, WARP, OURS = "still photo", "warp only", "renderer, K = {}"
COLUMNS = (
    "psnr_mouth",
    "ssim_mouth",
    "psnr_head",
    "ssim_head",
    "lmd",
    "lmd_mouth",
    "csim",
    "sharpness",
)
SILENT_SECONDS = 4
SHUT = 0.06  # inner-lip opening over mouth width under which lips look closed


class Evaluation:
    """Networks, landmarks and identity, loaded once."""

    def __init__(self, assets: Path, steps: int) -> None:
        self.bundle = Bundle.default()
        self.steps = steps
        self.encoder = PortraitEncoder(self.bundle)
        self.model: FaceModel = self.encoder.model
        self.identity = metrics.Identity(assets / "face_recognition_sface_2021dec_int8bq.onnx")
        self._detector = FaceDetector(self.bundle.session("face_detector"))
        self._landmarks = FaceLandmarks(self.bundle.session("face_landmarks"))

    def track(self, frames: list[NDArray[np.uint8]]) -> list[Float | None]:
        """Landmarks [478, 3] of each frame, None where no face is found."""
        found = LandmarkTracker(self._detector, self._landmarks).track(frames)
        return [None if f is None else f[0] for f in found]

    def portrait(self, clip: PreparedClip, image: NDArray[np.uint8], slot: int = 0) -> Portrait:
        """The prepared source frame ``slot`` of a clip as a portrait, with the clip's own fit."""
        frame = clip.source_frames[slot]
        tensor = (image.transpose(2, 0, 1)[None] / np.float32(127.5) - 1).astype(np.float32)
        features, style = self.bundle.session("source_encode").run(
            ["features", "style"], {"source": tensor}
        )
        matte, pose = clip.source_mattes[slot], clip.pose[frame : frame + 1]
        return Portrait(
            image=np.dstack([image, matte]),
            plate=background_plate(image, matte),
            landmarks=clip.source_landmarks[slot],
            identity=clip.identity,
            expression=clip.expression[frame],
            rotation=pose.rotation,
            translation=pose.translation,
            scale=pose.scale,
            features=features[0],
            style=style,
            key=clip.name,
        )

    def renderer(self, portrait: Portrait) -> FrameRenderer:
        return FrameRenderer(self.bundle, self.model, portrait, size=SIZE, steps=self.steps)


def given(evaluation: Evaluation, clip: PreparedClip, count: int) -> dict[str, list[list[float]]]:
    """Scores (`COLUMNS`) of each method on up to ``count`` frames of a clip, attributes given."""
    kept = np.flatnonzero(clip.keep & (np.arange(len(clip)) != clip.source_frames[0]))
    frames = kept[np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(int)]
    wanted = np.union1d(frames, clip.source_frames[:1])
    images = dict(zip(wanted.tolist(), read_frames(clip.path, wanted), strict=True))
    source = int(clip.source_frames[0])
    portrait = evaluation.portrait(clip, images[source])
    renderer = evaluation.renderer(portrait)
    audio = embeddings(evaluation, clip)
    changes = clip.pose.relative_to(portrait.pose)
    truth = [images[f] for f in frames]
    made: dict[str, list[NDArray[np.uint8]]] = {
        STILL: [images[source]] * len(frames),
        WARP: [renderer.draw_warp(clip.expression[f], changes[f]) for f in frames],
        OURS.format(evaluation.steps): [
            renderer.draw(clip.expression[f], changes[f], audio[f]) for f in frames
        ],
    }
    points = evaluation.track(truth)
    scores: dict[str, list[list[float]]] = {}
    for method, pictures in made.items():
        rows = scores.setdefault(method, [])
        for picture, true, at, seen in zip(
            pictures, truth, points, evaluation.track(pictures), strict=True
        ):
            if at is None or seen is None:
                continue
            mouth, head = metrics.mouth_box(at), metrics.head_box(at)
            rows.append(
                [
                    metrics.psnr(metrics.cut(picture, mouth), metrics.cut(true, mouth)),
                    metrics.ssim(metrics.cut(picture, mouth), metrics.cut(true, mouth)),
                    metrics.psnr(metrics.cut(picture, head), metrics.cut(true, head)),
                    metrics.ssim(metrics.cut(picture, head), metrics.cut(true, head)),
                    metrics.landmark_distance(seen, at),
                    metrics.landmark_distance(seen, at, metrics.MOUTH_POINTS),
                    metrics.Identity.similarity(
                        evaluation.identity.embed(picture, seen),
                        evaluation.identity.embed(true, at),
                    ),
                    metrics.sharpness(metrics.cut(picture, mouth))
                    / max(metrics.sharpness(metrics.cut(true, mouth)), 1e-6),
                ]
            )
    return scores


def speech_of(clip: PreparedClip) -> Float:
    """The clip's sound, moved to match its picture: float32 [640 · frames]."""
    samples = np.concatenate(list(decode_audio(clip.path)))
    shifted = np.zeros(len(clip) * SAMPLES_PER_FRAME, np.float32)
    start = clip.offset * SAMPLES_PER_FRAME
    source = samples[max(0, -start) :][: max(0, len(shifted) - max(0, start))]
    shifted[max(0, start) : max(0, start) + len(source)] = source
    return shifted


def motions_of(bundle: Bundle, samples: Float, seed: int = 0) -> list[Motion]:
    """One motion for each whole frame of ``samples``."""
    stream = MotionStream(bundle, seed=seed)
    return stream.push(np.pad(samples, (0, LOOK_AHEAD * SAMPLES_PER_FRAME)))


def embeddings(evaluation: Evaluation, clip: PreparedClip) -> Float:
    """Audio embedding of each frame [N, 128]; zeros without sound."""
    out = np.zeros((len(clip), 128), np.float32)
    if clip.mel is not None:
        for i, motion in enumerate(motions_of(evaluation.bundle, speech_of(clip))):
            out[i] = motion.audio
    return out


def mesh_aperture(
    renderer: FrameRenderer, portrait: Portrait, motions: list[Motion]
) -> NDArray[np.float32]:
    """Lip opening [N] of the moved mesh."""
    mesh = portrait.mesh(renderer.model)
    expressions = np.stack([renderer.expression(m) for m in motions])
    poses = portrait.pose.changed_by(np.stack([m.pose for m in motions]))
    return lip_aperture(mesh.move(expressions, poses)[0])


def audio_only(evaluation: Evaluation, clip: PreparedClip, count: int) -> dict[str, float] | None:
    """Correlation of the lip opening with the truth over a clip: of the mesh, and in up to
    ``count`` consecutive drawn frames; and the same for loudness."""
    image = read_frames(clip.path, clip.source_frames[:1])[0]
    try:
        portrait = evaluation.encoder.encode([Photo(image, None)], face=0)
    except ParlanteError:
        return None
    samples = speech_of(clip)
    motions = motions_of(evaluation.bundle, samples)
    n = min(len(motions), len(clip))
    keep = clip.keep[:n]
    renderer = evaluation.renderer(portrait)
    mesh = mesh_aperture(renderer, portrait, motions[:n])
    loud = np.log(np.square(samples[: n * 640].reshape(n, 640)).mean(1) + 1e-7)
    out = {
        "mesh": metrics.correlation(mesh[keep], clip.aperture[:n][keep]),
        "loudness": metrics.correlation(loud[keep], clip.aperture[:n][keep]),
    }
    drawn = [renderer.render(replace(m, pose=m.pose * 0)) for m in motions[: min(n, count)]]
    seen = evaluation.track(drawn)
    rows = [i for i, s in enumerate(seen) if s is not None and keep[i]]
    if len(rows) > 10:
        opening = lip_aperture(np.stack([seen[i] for i in rows]))  # type: ignore[arg-type]
        out["drawn"] = metrics.correlation(opening, clip.aperture[rows])
    return out


def silence(evaluation: Evaluation, clip: PreparedClip, level: float) -> float:
    """Share of drawn frames with shut lips while noise of RMS ``level`` plays."""
    image = read_frames(clip.path, clip.source_frames[:1])[0]
    portrait = evaluation.encoder.encode([Photo(image, None)], face=0)
    noise = (
        np.random.default_rng(0).standard_normal(SILENT_SECONDS * SAMPLE_RATE).astype(np.float32)
        * level
    )
    renderer = evaluation.renderer(portrait)
    drawn = [renderer.render(m) for m in motions_of(evaluation.bundle, noise)[::4]]
    openings = [float(lip_aperture(s[None])[0]) for s in evaluation.track(drawn) if s is not None]
    return float(np.mean(np.array(openings) < SHUT))


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval, over clips."""
    array = np.array([v for v in values if np.isfinite(v)])
    return float(array.mean()), float(1.96 * array.std(ddof=1) / np.sqrt(len(array))) if len(
        array
    ) > 1 else 0.0


def per_person(clips: list[PreparedClip], limit: int) -> list[PreparedClip]:
    """At most ``limit`` clips of each person."""
    seen: dict[str, int] = {}
    out = []
    for clip in clips:
        seen[clip.person] = seen.get(clip.person, 0) + 1
        if seen[clip.person] <= limit:
            out.append(clip)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED)
    parser.add_argument(
        "--assets", type=Path, default=DEFAULT_DATA.parent / "assets", help="folder with SFace"
    )
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--clips", type=int, default=2, help="clips a person, attributes given")
    parser.add_argument("--frames", type=int, default=10, help="frames a clip, attributes given")
    parser.add_argument("--drawn", type=int, default=30, help="frames a clip drawn from audio only")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips = load(arguments.prepared, arguments.data, "test")
    evaluation = Evaluation(arguments.assets, arguments.steps)
    result: dict[str, Any] = {"given": {}, "audio": {}, "silence": {}}

    by_method: dict[str, list[list[float]]] = {}
    chosen = per_person(clips, arguments.clips)
    for clip in tqdm(chosen, desc="attributes given"):
        for method, rows in given(evaluation, clip, arguments.frames).items():
            if rows:
                by_method.setdefault(method, []).append(np.mean(rows, 0).tolist())
    print(
        f"\nAttributes given: {len(chosen)} clips of {len({c.person for c in chosen})} "
        "test people, mean ± 95 %\n"
    )
    print("| method | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for method, table in by_method.items():
        scores = {column: interval([row[i] for row in table]) for i, column in enumerate(COLUMNS)}
        result["given"][method] = scores
        print(
            f"| {method} | " + " | ".join(f"{m:.3f} ± {h:.3f}" for m, h in scores.values()) + " |"
        )

    print("\nAudio only: correlation of the lip opening with the truth over whole clips\n")
    print("| source | clips | loudness | mesh | drawn frames |\n|---|---|---|---|---|")
    heard = [c for c in clips if c.mel is not None]
    by_source: dict[str, list[dict[str, float]]] = {}
    for clip in tqdm(heard, desc="audio only"):
        row = audio_only(evaluation, clip, arguments.drawn)
        if row is not None:
            by_source.setdefault(clip.source, []).append(row)
    for source, rows in sorted(by_source.items()):
        means = {
            k: interval([r.get(k, float("nan")) for r in rows])
            for k in ("loudness", "mesh", "drawn")
        }
        result["audio"][source] = {"clips": len(rows), **means}
        print(
            f"| {source} | {len(rows)} | "
            + " | ".join(f"{m:.2f} ± {h:.2f}" for m, h in means.values())
            + " |"
        )

    print("\nSilence: share of drawn frames with shut lips\n")
    faces = per_person([c for c in heard if c.source in ("grid", "talkvid", "dhface")], 1)[:8]
    for label, level in (("digital silence", 0.0), ("room noise, −50 dB", 10 ** (-50 / 20))):
        shares = [silence(evaluation, clip, level) for clip in tqdm(faces, desc=label)]
        result["silence"][label] = float(np.mean(shares))
        print(f"- {label}: {100 * np.mean(shares):.1f} % of {len(faces)} people's frames")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
