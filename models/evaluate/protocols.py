"""What is measured on a clip, through the runtime that ships.

*Attributes given*: the truth's 3DMM coefficients and pose drive one source frame, and each picture
is compared with the true frame. *Lips from audio*: the truth's pose and blinks, lips from the
sound. *Audio only*: a portrait is encoded from one frame and everything else is generated from the
sound; lips are compared by their opening, lids and head by how they move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.dataset import SIZE, PreparedClip, read_frames, read_landmarks, shifted
from models.evaluate import metrics, over_time
from models.expert import Expert, lip_shape, synchrony
from models.train.loop import load_weights
from parlante import _core
from parlante.contract import (
    BLINK,
    FUTURES,
    LOOK_AHEAD,
    MEL_PER_FRAME,
    POSE,
    SAMPLES_PER_FRAME,
    Float,
)
from parlante.errors import ParlanteError
from parlante.face.detection import FaceDetector
from parlante.face.landmarks import FaceLandmarks, LandmarkTracker
from parlante.face.model import FaceModel
from parlante.face.topology import eye_aperture, lip_aperture
from parlante.media.photo import Photo
from parlante.options import FRAME_MS, RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.manner import manner_of, motion_of
from parlante.portrait.portrait import Portrait, resized
from parlante.portrait.references import References
from parlante.render.renderer import FrameRenderer
from parlante.render.scene import Aim
from parlante.render.warp import Warp
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.speech.audio import decode_audio
from parlante.speech.dynamics import ANYBODY
from parlante.speech.motion import Motion, MotionStream

STILL, WARP, OURS = "still photo", "warp only", "renderer, K = {}"
Scores = dict[str, float]
MANNER_SEEDS = 4
MIN_FRAMES = 20  # of a clip, for measures over time
SHUT = 0.06  # inner-lip opening over mouth width under which lips look closed


def swap(evaluation: Evaluation, clip: PreparedClip, seed: int) -> Scores:
    """Share of the motion that goes wrong when a frame gets the lip code of another.

    Of the mesh, against the frame's expression with the other's lip modes.
    """
    rng = np.random.default_rng(seed)
    own, other = (clip.expression[rng.choice(np.flatnonzero(clip.keep), 16)] for _ in range(2))
    encode, decode = (evaluation.bundle.session(f"attributes_{k}") for k in ("encode", "decode"))
    names = ["lip", "blink", "residual"]
    made = []
    for a, b in zip(own, other, strict=True):
        codes = dict(zip(names, encode.run(names, {"expression": a[None]}), strict=True))
        (codes["lip"],) = encode.run(["lip"], {"expression": b[None]})
        made.append(decode.run(["expression"], codes)[0][0])
    lips = list(evaluation.model.mode_groups["lip"])
    wanted = own.copy()
    wanted[:, lips] = other[:, lips]
    basis = evaluation.model.expression.reshape(len(wanted[0]), -1)
    miss, motion = ((np.abs((e - wanted) @ basis)).mean() for e in (np.stack(made), own))
    return {"swap_error": float(miss / max(motion, 1e-6))}


class NoWarp(Warp):
    """The photo as it lies, with the geometry maps of the motion."""

    def draw(self, aim: Aim) -> None:
        super().draw(aim)
        np.copyto(self.flow, self._scene.at_rest)
        self.atlas_flow[..., :2] = self._scene.atlas_rest[..., :2]
        self.pack(aim.tiles)


class UnwarpedRenderer(FrameRenderer):
    """For networks trained without the warp."""

    warp_type = NoWarp


class Evaluation:
    """Networks and judges, loaded once.

    ``assets`` holds SFace; ``without`` is the part that the bundle was trained without; ``compute``
    is the renderer's; ``size`` that of the pictures compared.
    """

    def __init__(
        self,
        assets: Path,
        bundle: Bundle | None = None,
        without: str = "",
        compute: Compute | None = None,
        size: int = SIZE,
    ) -> None:
        self.size = size
        self.bundle = bundle or Bundle.default()
        self.without, self.compute = without, compute or Compute()
        self.encoder = PortraitEncoder(self.bundle)
        self.model: FaceModel = self.encoder.model
        self.identity = metrics.Identity(assets / "face_recognition_sface_2021dec_int8bq.onnx")
        self.features = metrics.FeatureDistance()
        self._detector = FaceDetector(self.bundle.session("face_detector"))
        self._landmarks = FaceLandmarks(self.bundle.session("face_landmarks"))

    @cached_property
    def expert(self) -> Expert:
        expert = Expert()
        load_weights(expert, "expert")
        return expert

    def track(self, frames: list[NDArray[np.uint8]]) -> list[Float | None]:
        """Landmarks [478, 3] of each frame, None where no face is found."""
        found = LandmarkTracker(self._detector, self._landmarks).track(frames)
        return [None if f is None else f[0] for f in found]

    def renderer(self, portrait: Portrait, steps: int = 2) -> FrameRenderer:
        kind = UnwarpedRenderer if self.without == "warp" else FrameRenderer
        return kind(
            self.bundle,
            self.model,
            portrait,
            RenderOptions(size=self.size, steps=steps),
            self.compute,
        )

    def compare(self, made: metrics.Image, true: metrics.Image, seen: Float, at: Float) -> Scores:
        """Every measure of a picture against the true one.

        Landmarks ``seen`` in it, ``at`` the truth's.
        """
        side = len(true)
        boxes = {
            "mouth": metrics.mouth_box(at, side, side),
            "head": metrics.head_box(at, side, side),
        }
        cuts = {k: (metrics.cut(made, box), metrics.cut(true, box)) for k, box in boxes.items()}
        cuts["frame"] = (made, true)
        mouth = cuts["mouth"]
        return {
            **{f"psnr_{k}": metrics.psnr(*pair) for k, pair in cuts.items()},
            **{f"ssim_{k}": metrics.ssim(*pair) for k, pair in cuts.items()},
            # In pixels of the 256-grid at every size.
            "lmd": metrics.landmark_distance(seen, at) * SIZE / side,
            "lmd_mouth": metrics.landmark_distance(seen, at, metrics.MOUTH_POINTS) * SIZE / side,
            "csim": metrics.Identity.similarity(
                self.identity.embed(made, seen), self.identity.embed(true, at)
            ),
            "sharpness": metrics.sharpness(mouth[0]) / max(metrics.sharpness(mouth[1]), 1e-6),
            "flip_mouth": metrics.flip(*mouth),
            "feature_mouth": self.features(*mouth),
            "feature_head": self.features(*cuts["head"]),
        }


def portrait_of(clip: PreparedClip, image: NDArray[np.uint8]) -> Portrait:
    """The first prepared source frame of a clip as a portrait, with the clip's own fit.

    ``image`` is its picture.
    """
    frame = clip.source_frames[0]
    pose = clip.pose[frame : frame + 1]
    matte = resized(clip.source_mattes[0], len(image))
    nothing = References.none()
    return Portrait(
        photo=np.zeros(0, np.uint8),
        box=np.zeros(3),
        canvas=np.dstack([image, matte]),
        crop=np.array([0, 0, len(image)]),
        landmarks=clip.source_landmarks[0],
        identity=clip.identity,
        expression=clip.expression[frame],
        rotation=pose.rotation,
        translation=pose.translation,
        scale=pose.scale,
        manner=ANYBODY,
        references=nothing.atlases,
        reference_places=nothing.places,
        key=clip.name,
    )


def attributes(
    evaluation: Evaluation, clip: PreparedClip, count: int, steps: Sequence[int]
) -> dict[str, Scores]:
    """Mean scores of each method on frames of a clip, the truth's attributes given.

    On up to ``count`` frames.
    """
    kept = np.flatnonzero(clip.keep & (np.arange(len(clip)) != clip.source_frames[0]))
    frames = kept[np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(int)]
    wanted = np.union1d(frames, clip.source_frames[:1])
    read = read_frames(clip.path, wanted, evaluation.size)
    images = dict(zip(wanted.tolist(), read, strict=True))
    source = int(clip.source_frames[0])
    portrait = portrait_of(clip, images[source])
    changes = clip.pose.relative_to(portrait.pose)
    truth = [images[f] for f in frames]
    warp = evaluation.renderer(portrait, steps[0])
    made: dict[str, list[metrics.Image]] = {
        STILL: [images[source]] * len(frames),
        WARP: [warp.draw_warp(clip.expression[f], changes[f]) for f in frames],
    }
    for k in steps:
        renderer = evaluation.renderer(portrait, k)
        made[OURS.format(k)] = [renderer.draw(clip.expression[f], changes[f]) for f in frames]
    points = evaluation.track(truth)
    return {
        method: means(
            [
                evaluation.compare(picture, true, seen, at)
                for picture, true, at, seen in zip(
                    pictures, truth, points, evaluation.track(pictures), strict=True
                )
                if at is not None and seen is not None
            ]
        )
        for method, pictures in made.items()
    }


def means(rows: Sequence[Scores]) -> Scores:
    """Mean of each column over the rows where it is a number; nothing for no rows."""
    columns = {k: [r[k] for r in rows if np.isfinite(r[k])] for k in (rows[0] if rows else ())}
    return {k: float(np.mean(v)) if v else float("nan") for k, v in columns.items()}


def speech_of(clip: PreparedClip) -> Float:
    """The clip's sound, moved to match its picture: float32 [640 · frames]."""
    samples = np.concatenate(list(decode_audio(clip.path)))
    by = round(clip.offset * SAMPLES_PER_FRAME)
    return shifted(samples, by, len(clip) * SAMPLES_PER_FRAME, 0)


def motions_of(
    bundle: Bundle,
    samples: Float,
    *,
    seed: int = 0,
    manner: Float = ANYBODY,
    ahead: int = LOOK_AHEAD,
) -> list[Motion]:
    """One motion for each whole frame of ``samples``."""
    stream = MotionStream(bundle, seed=seed, manner=manner, ahead=ahead)
    return stream.push(np.pad(samples, (0, ahead * SAMPLES_PER_FRAME)))


def mesh_aperture(
    renderer: FrameRenderer, portrait: Portrait, motions: list[Motion]
) -> NDArray[np.float32]:
    """Lip opening [N] of the moved mesh."""
    expressions = np.stack([renderer.expression(m) for m in motions])
    poses = portrait.pose.changed_by(np.stack([m.pose for m in motions]))
    return lip_aperture(renderer.mesh.move(expressions, poses).vertices)


def lips(evaluation: Evaluation, clip: PreparedClip, count: int) -> Scores | None:
    """Correlation of the lip opening with the truth over a clip; None where no face is found.

    Of the mesh, also with less look-ahead, of loudness, and of landmarks found again in up to
    ``count`` drawn frames.
    """
    portrait = encoded(evaluation, clip)
    if portrait is None:
        return None
    samples = speech_of(clip)
    renderer = evaluation.renderer(portrait)
    order = dict.fromkeys((LOOK_AHEAD, *FUTURES))
    motions = {a: motions_of(evaluation.bundle, samples, ahead=a) for a in order}
    n = min(len(motions[LOOK_AHEAD]), len(clip))
    keep = clip.keep[:n]
    true = clip.aperture[:n][keep]
    mesh = {a: mesh_aperture(renderer, portrait, m[:n])[keep] for a, m in motions.items()}
    loud = np.log(np.square(samples[: n * SAMPLES_PER_FRAME].reshape(n, -1)).mean(1) + 1e-7)
    out = {
        "loudness": metrics.correlation(loud[keep], true),
        **{
            "mesh" if a == LOOK_AHEAD else f"mesh, {a * FRAME_MS} ms": metrics.correlation(m, true)
            for a, m in mesh.items()
        },
        "spread": float(mesh[LOOK_AHEAD].std() / max(true.std(), 1e-6)),
    }
    drawn = [renderer.render(replace(m, pose=m.pose * 0)) for m in motions[LOOK_AHEAD][:count]]
    seen = evaluation.track(drawn)
    rows = [i for i, s in enumerate(seen) if s is not None and keep[i]]
    if len(rows) >= MIN_FRAMES:
        opening = lip_aperture(np.stack([seen[i] for i in rows]))  # type: ignore[arg-type]
        out["drawn frames"] = metrics.correlation(opening, clip.aperture[rows])
    return out


def driven(
    evaluation: Evaluation, clip: PreparedClip, phonemes: over_time.Phonemes, count: int
) -> Scores | None:
    """Lips from the sound, pose and blinks the truth's; None where no face is found.

    Over the first ``count`` frames: pictures against the truth, closures at /p b m/, flicker over
    the truth's.
    """
    portrait = encoded(evaluation, clip)
    if portrait is None:
        return None
    samples = speech_of(clip)
    motions = motions_of(evaluation.bundle, samples)
    n = min(len(motions), len(clip), count)
    source = clip.source_frames[0]
    changes = clip.pose[:n].relative_to(clip.pose[source : source + 1])
    renderer = evaluation.renderer(portrait)
    rest = Motion(renderer.shut, changes[0], clip.closure[0])
    made = [
        renderer.render(replace(rest, lip=m.lip, pose=change, closure=closure))
        for m, change, closure in zip(motions[:n], changes, clip.closure[:n], strict=True)
    ]
    truth = list(read_frames(clip.path, np.arange(n), evaluation.size))
    pairs = [
        (a, b, seen, at)
        for a, b, seen, at, kept in zip(
            made, truth, evaluation.track(made), evaluation.track(truth), clip.keep[:n], strict=True
        )
        if seen is not None and at is not None and kept
    ]
    if len(pairs) < MIN_FRAMES:
        return None
    seen, seen_true = (np.stack(points) for points in list(zip(*pairs, strict=True))[2:])
    opened, true = lip_aperture(seen), lip_aperture(seen_true)
    box = metrics.head_box(pairs[0][3], evaluation.size, evaluation.size)
    whole = len(pairs) == n
    spoken = samples[: n * SAMPLES_PER_FRAME]
    heard = phonemes(spoken) if whole else []
    agreed = [
        synchrony(evaluation.expert, _core.log_mel(spoken), lip_shape(points)) if whole else {}
        for points in (seen, seen_true)
    ]
    met, met_true = (over_time.closures(heard, a, SHUT) for a in (opened, true))
    return {
        **means([evaluation.compare(*pair) for pair in pairs[:: max(1, len(pairs) // 8)]]),
        "aperture": metrics.correlation(opened, true),
        "closures": float(met.mean()) if len(met) else float("nan"),
        "closures_true": float(met_true.mean()) if len(met) else float("nan"),
        "flicker": over_time.flicker([p[0] for p in pairs], box)
        / over_time.flicker([p[1] for p in pairs], box),
        **{f"sync_{k}": v for k, v in agreed[0].items()},
        **{f"sync_{k}_true": v for k, v in agreed[1].items()},
    }


def moves(evaluation: Evaluation, clip: PreparedClip, seed: int, manner: Float = ANYBODY) -> Scores:
    """How lids and head move that are generated from the sound, nothing drawn."""
    silent = np.zeros(len(clip) * SAMPLES_PER_FRAME, np.float32)
    samples = silent if clip.mel is None else speech_of(clip)
    motions = motions_of(evaluation.bundle, samples, seed=seed, manner=manner)
    return moved(*head_and_lids(motions))


def head_and_lids(motions: list[Motion]) -> tuple[Float, Float]:
    """Pose changes [N, 6] and lid closures [N, 2]."""
    return np.stack([m.pose for m in motions]), np.stack([m.closure for m in motions])


def moved(pose: Float, closure: Float) -> Scores:
    """Measures of pose changes [N, 6] and lid closures [N, 2]."""
    lasted = over_time.blinks(closure.mean(1), over_time.FPS)
    return {
        "blinks_a_minute": len(lasted) * 60 * over_time.FPS / len(pose),
        "pose_range": over_time.pose_range(pose),
    }


def long(evaluation: Evaluation, samples: Float, minutes: int, seed: int) -> dict[str, Scores]:
    """How lids and head move in the first and in the last of ``minutes``.

    ``samples`` are one minute, over and over. In all of them: the longest time in which nothing
    moves, and how nearly motion repeats.
    """
    stream = MotionStream(evaluation.bundle, seed=seed)
    motions = [motion for _ in range(minutes) for motion in stream.push(samples)]
    pose, closure = head_and_lids(motions)
    minute = 60 * over_time.FPS
    return {
        "first minute": moved(pose[:minute], closure[:minute]),
        "last minute": moved(pose[-minute:], closure[-minute:]),
        "all": {
            "longest_still_seconds": over_time.longest_still(pose, closure),
            "nearest_repeat": over_time.nearest_repeat(pose),
        },
    }


def manners(
    evaluation: Evaluation, reference: PreparedClip, clip: PreparedClip, prepared: Path
) -> dict[str, Scores]:
    """How a person moves in ``clip``, and how motion does that is generated from its sound.

    For anybody, and in the manner seen in another clip, ``reference``.
    """
    landmarks = read_landmarks(prepared, reference)
    tracked = [p if kept else None for p, kept in zip(landmarks, reference.keep, strict=True)]
    manner = manner_of(evaluation.bundle, evaluation.model, tracked)
    runs = {"anybody": ANYBODY, "in person": manner}
    made = {
        name: means([moves(evaluation, clip, seed, own) for seed in range(MANNER_SEEDS)])
        for name, own in runs.items()
    }
    brows = evaluation.model.brows(clip.expression)
    whole = motion_of(clip.pose, clip.closure, brows, clip.keep)[clip.keep]
    pose, closure, _ = np.split(whole, [POSE, POSE + BLINK], 1)
    return made | {"true": moved(pose, closure)}


def free(
    evaluation: Evaluation, clip: PreparedClip, count: int, seed: int
) -> dict[str, Scores] | None:
    """How lids and head of a video move, everything generated; None where no face is found.

    From the sound, and how the truth's do, over the first ``count`` frames.
    """
    portrait = encoded(evaluation, clip)
    if portrait is None:
        return None
    motions = motions_of(evaluation.bundle, speech_of(clip), seed=seed)[: min(len(clip), count)]
    renderer = evaluation.renderer(portrait)
    made = [renderer.render(m) for m in motions]
    source = clip.source_frames[0]
    turns = {
        "generated": np.stack([m.pose for m in motions]),
        "true": clip.pose[: len(motions)].relative_to(clip.pose[source : source + 1]),
    }
    out = {}
    true = list(read_frames(clip.path, np.arange(len(made)), evaluation.size))
    for name, frames in (("generated", made), ("true", true)):
        seen = [s for s in evaluation.track(frames) if s is not None]
        if len(seen) < MIN_FRAMES:
            return None
        lids = eye_aperture(np.stack(seen)).mean(1)
        lasted = over_time.blinks(1 - lids / np.quantile(lids, 0.9), over_time.FPS)
        out[name] = {
            "blinks_a_minute": len(lasted) * 60 * over_time.FPS / len(seen),
            "blink_seconds": float(np.mean(lasted)) if lasted else float("nan"),
            "pose_range": over_time.pose_range(turns[name]),
            "pose_jerk": over_time.pose_jerk(turns[name]),
            "flicker": over_time.flicker(
                frames, metrics.head_box(seen[0], evaluation.size, evaluation.size)
            ),
        }
    return out


def encoded(evaluation: Evaluation, clip: PreparedClip) -> Portrait | None:
    """The clip's best frame as a user's photo; None where no face is found."""
    image = read_frames(clip.path, clip.source_frames[:1], evaluation.size)[0]
    try:
        return evaluation.encoder.encode([Photo(image, None)], face=0)
    except ParlanteError:
        return None


def silence(evaluation: Evaluation, clip: PreparedClip, samples: Float) -> float:
    """Share of drawn frames with shut lips while ``samples`` play, in which nobody speaks."""
    portrait = encoded(evaluation, clip)
    if portrait is None:
        return float("nan")
    renderer = evaluation.renderer(portrait)
    motions = motions_of(evaluation.bundle, samples)
    drawn = [renderer.render(m) for m in motions[::4]]
    openings = [float(lip_aperture(s[None])[0]) for s in evaluation.track(drawn) if s is not None]
    return float(np.mean(np.array(openings) < SHUT))


def real_synchrony(
    evaluation: Evaluation, clip: PreparedClip, other: PreparedClip, prepared: Path
) -> Scores:
    """What the Sync expert finds in a real video.

    And (``found_shuffled``) in its lips with the sound of another one.
    """
    assert clip.mel is not None and other.mel is not None
    n = min(len(clip), len(other))
    shape = lip_shape(read_landmarks(prepared, clip)[:n])
    own, wrong = (
        synchrony(evaluation.expert, c.mel[: n * MEL_PER_FRAME], shape)  # type: ignore[index]
        for c in (clip, other)
    )
    return own | {f"{k}_shuffled": v for k, v in wrong.items() if k == "found"}


def per_person(clips: Sequence[PreparedClip], limit: int) -> list[PreparedClip]:
    """At most ``limit`` clips of each person."""
    seen: dict[str, int] = {}
    out = []
    for clip in clips:
        seen[clip.person] = seen.get(clip.person, 0) + 1
        if seen[clip.person] <= limit:
            out.append(clip)
    return out
