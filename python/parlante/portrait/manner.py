"""How a person moves head, lids and brows: read from a video, drawn from by `MotionStream`.

The encoder of the dynamics VAE (section 2.3 of the paper) turns each second of the video into a
latent; where a person's latents lie, and how far they spread, is their manner.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import TAIL, WINDOW, Float
from parlante.face.model import FaceModel
from parlante.face.pose import Pose
from parlante.face.topology import eye_aperture
from parlante.runtime.bundle import Bundle
from parlante.speech.dynamics import ANYBODY, motion_scale

LENGTH = TAIL + WINDOW  # frames that the encoder sees
HOP = 3  # frames between its windows
MIN_FRAMES = 50  # of a video that says something about its person
SECONDS = 20  # of a video that are looked at
BROW_FRAMES = 5  # over which brows are averaged
WIDE_OPEN = 85  # percentile of a person's lid openings that counts as open


def lid_closures(landmarks: Float, keep: NDArray[np.bool_]) -> Float:
    """Closures [N, 2] of right and left lid, 0 open, 1 shut.

    Of landmarks [N, ≥468, 2+] of one person, against the frames to ``keep`` [N].
    """
    opening = eye_aperture(landmarks)
    wide = np.percentile(opening[keep], WIDE_OPEN, axis=0) if keep.any() else np.ones(2)
    return np.asarray(np.clip(1 - opening / np.maximum(wide, 1e-3), 0, 1), np.float32)


def motion_of(pose: Pose, closure: Float, brows: Float, keep: NDArray[np.bool_]) -> Float:
    """Pose change from the person's rest, lid closures [N, 2] and change of brows: [N, 13].

    Rest is near the median of the poses to ``keep`` [N], of which there is at least one; that of
    the brows [N, 5] is their mean; what is faster than brows are is the tracker's noise.
    """
    kept = pose[np.flatnonzero(keep)]
    far = np.linalg.norm(kept.rotation - np.median(kept.rotation, 0), axis=1)
    rest = kept[far.argsort()[:1]]
    change = pose.relative_to(rest)
    raised = cv2.blur(brows - brows[keep].mean(0), (1, BROW_FRAMES))
    return np.concatenate([change - change[keep].mean(0), closure, raised], 1, dtype=np.float32)


def manner_of(
    bundle: Bundle, model: FaceModel, tracked: Sequence[Float | None], *, device: str = "cpu"
) -> Float:
    """Manner float32 [2, 32] of the person in a video of 25 frames a second.

    Mean and spread of their latents, in units of everybody's.

    ``tracked`` holds the landmarks [≥468, 3] of each frame, in pixels, or None where there is no
    face. Too short a video, or one that loses the face time and again, gives `ANYBODY`.
    """
    keep = np.array([points is not None for points in tracked], bool)
    starts = [i for i in range(0, len(keep) - LENGTH + 1, HOP) if keep[i : i + LENGTH].all()]
    if keep.sum() < MIN_FRAMES or not starts:
        return ANYBODY
    landmarks = np.stack([points for points in tracked if points is not None])
    seen = np.maximum(keep.cumsum() - 1, 0)  # for each frame, the last of those with a face
    closure = lid_closures(landmarks, np.ones(len(landmarks), bool))
    fitted = model.fit(landmarks)
    brows = model.brows(fitted.expression)
    motion = motion_of(fitted.pose[seen], closure[seen], brows[seen], keep)
    motion /= motion_scale(bundle)
    encode = bundle.session("dynamics_encode", device=device, threads=1)
    names = ["latent_mean", "latent_deviation"]
    read = [encode.run(names, {"motion": motion[None, i : i + LENGTH]}) for i in starts]
    means, deviations = (np.concatenate(part) for part in zip(*read, strict=True))
    spread = np.sqrt(means.var(0) + np.square(deviations).mean(0))
    return np.stack([means.mean(0), spread]).astype(np.float32)
