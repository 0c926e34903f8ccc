"""The portrait encoder: everything about a face that is computed once and kept.

Photo → face → landmarks → square crop of head and shoulders → 3DMM fit, matte, background plate,
and the renderer's source features. A `Portrait` travels as one ``.npz`` without pickle.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.bundle import Bundle
from parlante.detection import Detection, FaceDetector
from parlante.errors import FaceNotFoundError, ImageError, SeveralFacesError
from parlante.face_model import (
    NOSE_TIP,
    VERTICES,
    FaceModel,
    Float,
    Pose,
    eye_aperture,
    lip_aperture,
)
from parlante.image import Photo
from parlante.landmarks import (
    MIN_PRESENCE,
    FaceLandmarks,
    LandmarkTracker,
    roi_from_detection,
    roi_from_landmarks,
)
from parlante.manner import manner_of
from parlante.matte import Matte
from parlante.mesh import WarpMesh
from parlante.motion import ANYBODY
from parlante.plate import background_plate

_log = logging.getLogger(__name__)

GRID = 256  # side of the crop as the networks see it
# Where the training clips hold the face: its landmarks' larger side over the crop's, and its
# centre.
FACE_SHARE = 0.575
FACE_CENTRE = (0.5, 0.55)
MAX_SIDE = 1080  # detail beyond the largest output is not kept
MIN_FACE = 32  # pixels across the landmarks of a face that can be animated at all
FORMAT = 2  # of the .npz

# What zip, zlib and NumPy's header parser let through on files that are damaged or no .npz at all.
_PARSER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    SyntaxError,
    RuntimeError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Portrait:
    """One encoded face.

    image uint8 [S, S, 4]: the crop, RGB and straight-alpha matte, S ≤ 1080; plate uint8 [S, S, 3];
    landmarks float32 [468, 3] in pixels of the 256-grid; identity float32 [100]; expression float32
    [53]; rotation, translation float32 [1, 3] and scale float32 [1]: the photo's own pose; features
    float32 [32, 64, 64]; style float32 [1, 64]; manner float32 [2, 32]: how the person moves head
    and lids (`parlante.manner`); key: SHA-256 of photo, choices and bundle.
    """

    image: NDArray[np.uint8]
    plate: NDArray[np.uint8]
    landmarks: Float
    identity: Float
    expression: Float
    rotation: Float
    translation: Float
    scale: Float
    features: Float
    style: Float
    manner: Float
    key: str

    @property
    def pose(self) -> Pose:
        return Pose(self.rotation, self.translation, self.scale)

    @cached_property
    def _resized(self) -> dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        return {}

    def at(self, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image [size, size, 4] and plate [size, size, 3], kept once made."""
        if size not in self._resized:
            self._resized[size] = (_resize(self.image, size), _resize(self.plate, size))
        return self._resized[size]

    def mesh(self, model: FaceModel) -> WarpMesh:
        return WarpMesh.build(
            model, self.landmarks, self.identity, self.expression, self.pose, GRID
        )

    def dump(self) -> bytes:
        """The portrait as the bytes of an .npz file."""
        buffer = io.BytesIO()
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez_compressed(buffer, format=np.int64(FORMAT), **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def parse(cls, data: bytes, name: str) -> Portrait:
        """Inverse of `dump`; ImageError names ``name`` when the bytes are no portrait."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                if int(arrays["format"]) != FORMAT:
                    raise ImageError(
                        f"{name} is an encoded face of format {int(arrays['format'])}, this "
                        f"version reads {FORMAT}; encode the photo again"
                    )
                values: dict[str, Any] = {f.name: np.asarray(arrays[f.name]) for f in fields(cls)}
        except _PARSER_ERRORS as error:
            raise ImageError(
                f"{name} is not an encoded face ({error}); make one with Avatar.save"
            ) from None
        portrait = cls(**{**values, "key": str(values["key"])})
        portrait._check(name)
        return portrait

    def _check(self, name: str) -> None:
        side = self.image.shape[0] if self.image.ndim == 3 else 0
        wanted = {
            "image": (np.uint8, (side, side, 4)),
            "plate": (np.uint8, (side, side, 3)),
            "landmarks": (np.float32, (VERTICES, 3)),
            "identity": (np.float32, (100,)),
            "expression": (np.float32, (53,)),
            "rotation": (np.float32, (1, 3)),
            "translation": (np.float32, (1, 3)),
            "scale": (np.float32, (1,)),
            "features": (np.float32, (32, GRID // 4, GRID // 4)),
            "style": (np.float32, (1, 64)),
            "manner": (np.float32, ANYBODY.shape),
        }
        for field, (dtype, shape) in wanted.items():
            array = getattr(self, field)
            if (
                array.dtype != dtype
                or array.shape != shape
                or not (side and np.isfinite(array).all())
            ):
                raise ImageError(
                    f"{name}: {field} is {array.dtype} {array.shape}, expected finite "
                    f"{np.dtype(dtype)} {shape}; the file is damaged, encode the photo again"
                )


def _resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if image.shape[0] == size:
        return image
    mode = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, (size, size), interpolation=mode))


class PortraitEncoder:
    """Encodes photos with the networks of one bundle; see `encode`."""

    def __init__(self, bundle: Bundle, *, device: str = "cpu", threads: int = 2) -> None:
        self.model = FaceModel.load(bundle.path("face_model.npz"))
        self._detector = FaceDetector(
            bundle.session("face_detector", device=device, threads=threads)
        )
        self._landmarks = FaceLandmarks(
            bundle.session("face_landmarks", device=device, threads=threads)
        )
        self._matte = Matte(bundle.session("matte", device=device, threads=threads))
        self._source = bundle.session("source_encode", device=device, threads=threads)
        self._bundle, self._device = bundle, device

    def key(self, photos: Sequence[Photo], face: int | None, *, video: bool = False) -> str:
        """SHA-256 over what decides the result: pixels, whether they are those of a video, the face
        picked, and the bundle."""
        digest = hashlib.sha256(f"{FORMAT} {self._bundle.key} {face} {video}".encode())
        for photo in photos:
            digest.update(repr(photo.rgb.shape).encode())
            digest.update(np.ascontiguousarray(photo.rgb).data)
            if photo.alpha is not None:
                digest.update(np.ascontiguousarray(photo.alpha).data)
        return digest.hexdigest()

    def encode(self, photos: Sequence[Photo], *, face: int | None = None) -> Portrait:
        """Encode one person from one or several photos.

        The best photo (frontal, mouth shut, eyes open, sharp) is the source; all of them serve the
        identity fit. ``face`` picks among several faces of a photo, 0 is the largest.

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
        fitted = self.model.fit(np.stack([points for _, points in found]))
        scores = [
            _quality(photo, points, rotation)
            for (photo, points), rotation in zip(found, fitted.pose.rotation, strict=True)
        ]
        best = int(np.argmax(scores))
        _log.debug("source picture %d of %d, scores %s", best, len(found), scores)
        return self._encode(*found[best], fitted.identity, self.key(photos, face))

    def manner(self, frames: Iterable[NDArray[np.uint8]]) -> Float:
        """`manner_of` the person with the largest face in a video of 25 frames a second, uint8
        [H, W, 3] RGB."""
        tracker = LandmarkTracker(self._detector, self._landmarks)
        tracked = [None if found is None else found[0] for found in tracker.track(frames)]
        return manner_of(self._bundle, self.model, tracked, device=self._device)

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
        left, top, side = crop_box(points, photo.rgb.shape[1], photo.rgb.shape[0])
        crop = np.ascontiguousarray(photo.rgb[top : top + side, left : left + side])
        stored = min(side, MAX_SIDE)
        image = _resize(crop, stored)
        scale = GRID / side
        landmarks = points[:VERTICES] * np.float32(scale)
        landmarks[:, :2] = (points[:VERTICES, :2] - (left, top) + 0.5) * scale - 0.5
        landmarks = landmarks.astype(np.float32)
        fitted = self.model.fit(landmarks[None], identity)
        nose = (landmarks[NOSE_TIP, :2] + 0.5) * (stored / GRID) - 0.5
        matte = np.round(
            self._matte.predict(image, at=(float(nose[0]), float(nose[1]))) * 255
        ).astype(np.uint8)
        if photo.alpha is not None:
            # A cut-out: what the photo leaves transparent is not the person.
            own = _resize(
                np.ascontiguousarray(photo.alpha[top : top + side, left : left + side]), stored
            )
            matte = np.minimum(matte, own)
        small = _resize(image, GRID)
        tensor = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(
            127.5
        ) - np.float32(1)
        features, style = self._source.run(["features", "style"], {"source": tensor})
        return Portrait(
            image=np.dstack([image, matte]),
            plate=background_plate(image, matte),
            landmarks=landmarks,
            identity=fitted.identity,
            expression=fitted.expression[0],
            rotation=fitted.pose.rotation,
            translation=fitted.pose.translation,
            scale=fitted.pose.scale,
            features=features[0],
            style=style,
            manner=ANYBODY,
            key=key,
        )


def crop_box(points: Float, width: int, height: int) -> tuple[int, int, int]:
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
    left, top, box = crop_box(points, photo.rgb.shape[1], photo.rgb.shape[0])
    grey = cv2.cvtColor(
        _resize(np.ascontiguousarray(photo.rgb[top : top + box, left : left + box]), GRID),
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


def read_portrait(path: Path) -> Portrait:
    """Load a portrait saved by `Portrait.dump`; ImageError when there is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read ({error.strerror}); give a file made by Avatar.save"
        ) from None
    return Portrait.parse(data, str(path))
