"""The portrait encoder: everything about a face that is computed once and kept.

Photo → face → landmarks → square crop of head and shoulders → 3DMM fit, matte;
further photos become references.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import tee

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import GRID, VERTICES, Float, Image
from parlante.errors import FaceNotFoundError, SeveralFacesError
from parlante.face.detection import Detection, FaceDetector
from parlante.face.landmarks import (
    MIN_PRESENCE,
    FaceLandmarks,
    LandmarkTracker,
    roi_from_detection,
    roi_from_landmarks,
)
from parlante.face.model import FaceModel
from parlante.face.patches import through
from parlante.face.topology import NOSE_TIP, eye_aperture, lip_aperture
from parlante.media.photo import Photo
from parlante.portrait.likeness import Likeness, people
from parlante.portrait.manner import manner_of
from parlante.portrait.matte import Matte
from parlante.portrait.portrait import (
    FORMAT,
    MARGIN,
    Box,
    Portrait,
    cut,
    resized,
    scaled_around,
)
from parlante.portrait.references import Look, References, references_of
from parlante.runtime.bundle import Bundle
from parlante.speech.dynamics import ANYBODY

_log = logging.getLogger(__name__)

# Where the training clips hold the face: its landmarks' larger side over the crop's, and its
# centre.
FACE_SHARE = 0.575
FACE_CENTRE = (0.5, 0.55)
MAX_SIDE, MAX_LONG = 1080, 4096  # detail beyond the largest output is not kept
WATCHED = 2  # of so many frames of a video one may become a reference
MIN_FACE = 32  # pixels across the landmarks of a face that can be animated at all


def key_of(
    bundle: Bundle, photos: Sequence[Photo], face: int | None, *, video: bool = False
) -> str:
    """SHA-256 over what decides the portrait.

    Pixels, whether they are those of a video, the face picked, and the bundle.
    """
    digest = hashlib.sha256(f"{FORMAT} {bundle.key} {face} {video}".encode())
    for photo in photos:
        digest.update(repr(photo.rgb.shape).encode())
        digest.update(np.ascontiguousarray(photo.rgb).data)
        if photo.alpha is not None:
            digest.update(np.ascontiguousarray(photo.alpha).data)
    return digest.hexdigest()


class PortraitEncoder:
    """Encodes photos with the networks of one bundle; see `encode`.

    These take memory as long as it lives.
    """

    def __init__(self, bundle: Bundle, *, device: str = "cpu", threads: int = 2) -> None:
        self.model = FaceModel.of(bundle.arrays("face_model"))
        names = ("face_detector", "face_landmarks", "matte", "salience")
        detector, landmarks, *both = bundle.sessions(*names, threads=threads, device=device)
        self._detector, self._landmarks = FaceDetector(detector), FaceLandmarks(landmarks)
        self._matte = Matte(*both)
        self._bundle, self._device = bundle, device

    def encode(
        self,
        photos: Sequence[Photo],
        *,
        face: int | None = None,
        video: Iterable[Image] | None = None,
    ) -> Portrait:
        """Encode one person from one or several photos, and from a video of them.

        The best photo (frontal, mouth shut, eyes open, sharp) is the source, the others and the
        video's frames become references; all photos serve the identity fit. ``face`` picks among
        several faces of a photo, 0 is the largest. ``video``: frames at 25 a second, uint8 [H, W,
        3] RGB; the portrait moves in the manner of the largest face in them.

        Raises:
            FaceNotFoundError: no face in any photo, or only faces too small to animate.
            SeveralFacesError: a photo holds several faces and ``face`` is None.
        """
        found: list[tuple[Photo, Float]] = []
        for photo in photos:
            points = self._find(photo, face)
            if points is not None:
                found.append((photo, points))
        if not found:
            sizes = ", ".join(f"{p.rgb.shape[1]}x{p.rgb.shape[0]}" for p in photos)
            raise FaceNotFoundError(
                f"no face found in {len(photos)} picture(s) ({sizes} pixels); give a photo in "
                f"which the face is seen from the front and is at least {MIN_FACE} pixels across"
            )
        self._compare(found)
        fitted = self.model.fit(np.stack([points for _, points in found]))
        scores = [
            _quality(photo, points, rotation)
            for (photo, points), rotation in zip(found, fitted.pose.rotation, strict=True)
        ]
        best = int(np.argmax(scores))
        _log.debug("source picture %d of %d, scores %s", best, len(found), scores)
        key = key_of(self._bundle, photos, face, video=video is not None)
        portrait = self._encode(*found[best], fitted.identity, key)
        looks = [
            Look.of(portrait.patches, photo.rgb, points, fitted.pose[i : i + 1])
            for i, (photo, points) in enumerate(found)
            if i != best
        ]
        if video is not None:
            manner, moving = self._watch(portrait, video)
            portrait, looks = replace(portrait, manner=manner), looks + moving
        if not looks:
            return portrait
        seen = references_of(_own_look(portrait), looks)
        return replace(portrait, references=seen.atlases, reference_places=seen.places)

    def _compare(self, found: Sequence[tuple[Photo, Float]]) -> None:
        """Warn where faces can hardly be of one person; the source would have another's teeth."""
        if len(found) < 2:
            return
        (network,) = self._bundle.sessions("likeness", threads=1, device=self._device)
        likeness = Likeness(network)
        groups = people(np.stack([likeness.of(photo.rgb, points) for photo, points in found]))
        if len(groups) > 1:
            _log.warning(
                "the faces in %d pictures seem to be of %d people (%s); give those of one person",
                len(found),
                len(groups),
                " and ".join(", ".join(str(number + 1) for number in own) for own in groups),
            )

    def _watch(self, portrait: Portrait, frames: Iterable[Image]) -> tuple[Float, list[Look]]:
        """How the person of a portrait moves in a video, and what they look like there."""
        tracker = LandmarkTracker(self._detector, self._landmarks)
        tracked: list[Float | None] = []
        looks: list[Look] = []
        ours, theirs = tee(frames)
        for number, (frame, found) in enumerate(zip(ours, tracker.track(theirs), strict=True)):
            tracked.append(None if found is None else found[0])
            if found is not None and number % WATCHED == 0:
                pose = self.model.fit(found[0][None], portrait.identity).pose
                looks.append(Look.of(portrait.patches, frame, found[0], pose))
        return manner_of(self._bundle, self.model, tracked, device=self._device), looks

    def _find(self, photo: Photo, face: int | None) -> Float | None:
        """Landmarks [478, 3] in pixels of the photo, or None without a face."""
        detections = self._detector.detect(photo.rgb)
        if not detections:
            return None
        if len(detections) > 1 and face is None and not _dominates(detections):
            boxes = "; ".join(
                f"face={i} at x {d.box[0]:.0f}-{d.box[2]:.0f}, y {d.box[1]:.0f}-{d.box[3]:.0f}"
                for i, d in enumerate(detections)
            )
            raise SeveralFacesError(f"{len(detections)} faces in the picture; pick one: {boxes}")
        index = face or 0
        if index >= len(detections):
            raise FaceNotFoundError(
                f"face={index} was asked for, the picture holds {len(detections)}; faces count "
                "from 0, largest first"
            )
        roi = roi_from_detection(detections[index])
        for _ in range(2):
            points, presence = self._landmarks.landmarks(photo.rgb, roi)
            if presence < MIN_PRESENCE:
                return None
            roi = roi_from_landmarks(points)
        return points if np.ptp(points[:VERTICES, :2], axis=0).max() >= MIN_FACE else None

    def _encode(self, photo: Photo, points: Float, identity: Float, key: str) -> Portrait:
        box = crop_box(points, photo.rgb.shape[1], photo.rgb.shape[0])
        side = min(box[2], MAX_SIDE)
        canvas, corner = self._canvas(photo, box, side, points)
        landmarks = _on_grid(points, box)
        fitted = self.model.fit(landmarks[None], identity)
        nothing = References.none()
        jpeg, whole = _stored(photo.rgb, box)
        return Portrait(
            photo=jpeg,
            box=whole,
            canvas=canvas,
            crop=np.array((*corner, side), np.int64),
            landmarks=landmarks,
            identity=fitted.identity,
            expression=fitted.expression[0],
            rotation=fitted.pose.rotation,
            translation=fitted.pose.translation,
            scale=fitted.pose.scale,
            manner=ANYBODY,
            references=nothing.atlases,
            reference_places=nothing.places,
            key=key,
        )

    def _canvas(
        self, photo: Photo, box: Box, side: int, points: Float
    ) -> tuple[Image, tuple[int, int]]:
        """The photo around its square ``box``, which gets ``side`` pixels, with the matte.

        uint8 [H, W, 4], and x, y of the box in it.
        """
        height, width = photo.rgb.shape[:2]
        x, y, own = box
        room = round(MARGIN * own)
        left, top = max(x - room, 0), max(y - room, 0)
        right, bottom = min(x + own + room, width), min(y + own + room, height)
        inner = x - left, y - top, own
        rgb, corner = scaled_around(photo.rgb[top:bottom, left:right], inner, side)
        scale = side / own
        nose = (points[NOSE_TIP, :2] - (left, top) + 0.5) * scale - 0.5
        found = self._matte.predict(
            np.ascontiguousarray(rgb), at=(float(nose[0]), float(nose[1])), part=(*corner, side)
        )
        matte = np.asarray(np.round(found * 255), np.uint8)
        if photo.alpha is not None:
            # A cut-out: what the photo leaves transparent is not the person.
            alpha, _ = scaled_around(photo.alpha[top:bottom, left:right], inner, side)
            matte = np.minimum(matte, alpha)
        return np.dstack([rgb, matte]), corner


def _own_look(portrait: Portrait) -> Look:
    """The portrait's own picture."""
    image = portrait.at(2 * GRID)  # about as dense as an atlas
    patches, pose = portrait.patches, portrait.pose
    columns, rows = np.moveaxis(patches.seen(pose, len(image)), -1, 0).copy()
    atlas = np.asarray(cv2.remap(image[..., :3], columns, rows, cv2.INTER_LINEAR), np.uint8)
    places = through(patches.to_atlas(pose), portrait.landmarks[:, :2])
    return Look(atlas, places, portrait.rotation[0])


def _stored(photo: Image, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The whole photo as a JPEG, no larger than a frame can show it, and the crop's box in it."""
    scale = min(MAX_SIDE / min(photo.shape[:2]), MAX_LONG / max(photo.shape[:2]), 1)
    size = [max(1, round(length * scale)) for length in photo.shape[1::-1]]
    smaller = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo
    fine = [cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(smaller, cv2.COLOR_RGB2BGR), fine)
    return np.asarray(jpeg, np.uint8).ravel(), np.array(box, np.float64) * scale


def _on_grid(points: Float, box: Box) -> Float:
    """The mesh's landmarks [468, 3] of a photo, in pixels of the crop's 256-grid."""
    left, top, side = box
    scale = GRID / side
    landmarks = points[:VERTICES] * np.float32(scale)
    landmarks[:, :2] = (points[:VERTICES, :2] - (left, top) + 0.5) * scale - 0.5
    return np.asarray(landmarks, np.float32)


def crop_box(points: Float, width: int, height: int) -> Box:
    """Left, top and side (pixels) of the square around head and shoulders, within the picture.

    The face lies in it as in the training clips where the picture has room; else the square moves
    inwards.
    """
    low, high = points[:VERTICES, :2].min(0), points[:VERTICES, :2].max(0)
    side = int(min(round(float((high - low).max()) / FACE_SHARE), width, height))
    centre = (low + high) / 2
    left = int(np.clip(round(float(centre[0]) - FACE_CENTRE[0] * side), 0, width - side))
    top = int(np.clip(round(float(centre[1]) - FACE_CENTRE[1] * side), 0, height - side))
    return left, top, side


def _dominates(detections: list[Detection]) -> bool:
    """Whether the largest face is so much larger that nobody means another (a face on a poster)."""
    sizes = [float(d.box[2] - d.box[0]) for d in detections]
    return sizes[0] > 3 * sizes[1]


def _quality(photo: Photo, points: Float, rotation: Float) -> float:
    """Higher is a better source: frontal, eyes open, mouth shut, large and sharp."""
    side = float(np.ptp(points[:VERTICES, :2], axis=0).max())
    box = crop_box(points, photo.rgb.shape[1], photo.rgb.shape[0])
    grey = cv2.cvtColor(
        resized(cut(photo.rgb, box), GRID),
        cv2.COLOR_RGB2GRAY,
    )
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return float(
        -3 * np.abs(rotation[:2]).sum()
        + 2 * min(float(eye_aperture(points[None]).min()), 0.3)
        - 2 * float(lip_aperture(points[None])[0])
        + 0.3 * np.log2(max(sharpness, 1.0))
        + 0.5 * min(np.log2(side / GRID), 0.0)
    )
