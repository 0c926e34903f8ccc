"""One encoded face, and the file it travels in: one ``.npz``, without pickle."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.checks import frame_pixels, read_file
from parlante.contract import ATLAS, EXPRESSION, IDENTITY, VERTICES, Float, Image
from parlante.errors import ImageError, OutputError, reason
from parlante.face.patches import Patches
from parlante.face.pose import Pose
from parlante.media.files import write_whole
from parlante.media.photo import load_image
from parlante.runtime.npz import PARSER_ERRORS
from parlante.speech.dynamics import ANYBODY

FORMAT = 5  # of the .npz
SUFFIX = ".npz"
MARGIN = 0.25  # of the crop's side: what is kept of the photo around it, where there is as much
MAX_BYTES = 32 * 2**20  # unpacked; the largest face has half of that
# No face that was encoded comes near these: pixels of the crop's grid, radians, strengths, pixels.
_MOST = {
    "landmarks": 2048,
    "identity": 100,
    "expression": 100,
    "rotation": 10,
    "translation": 4096,
    "scale": 1000,
    "manner": 1000,
    "reference_places": 8192,
    "box": 1e6,
}
LEAST_SCALE = 0.01  # pixels of the grid a unit of the face model


@dataclass(frozen=True)
class Portrait:
    """One encoded face.

    photo uint8 [n]: the whole photo as a JPEG, and box float64 [3]: left, top and side of the crop
    in it; canvas uint8 [H, W, 4]: the crop, a square of side S ≤ 1080, and what the photo shows
    around it, RGB and straight-alpha matte; crop int64 [3]: left, top and side of the crop in it;
    landmarks float32 [468, 3] in pixels of the 256-grid; identity float32 [100];
    expression float32 [53]; rotation, translation float32 [1, 3] and scale float32 [1]: the photo's
    own pose; manner float32 [2, 32]: how the person moves head and lids
    (`parlante.portrait.manner`); references uint8 [R, 256, 128, 3] and reference_places float32
    [R, 3, 468, 2]: what R other pictures show of mouth and eyes (`parlante.portrait.references`);
    key: SHA-256 of photo, choices and bundle.
    """

    photo: NDArray[np.uint8]
    box: NDArray[np.float64]
    canvas: Image
    crop: NDArray[np.int64]
    landmarks: Float
    identity: Float
    expression: Float
    rotation: Float
    translation: Float
    scale: Float
    manner: Float
    references: Image
    reference_places: Float
    key: str

    @property
    def pose(self) -> Pose:
        """The photo's own."""
        return Pose(self.rotation, self.translation, self.scale)

    @cached_property
    def patches(self) -> Patches:
        """Where mouth and eyes of this head are drawn."""
        return Patches.of(self.pose.undo(self.landmarks[None])[0])

    @cached_property
    def image(self) -> Image:
        """The crop, [S, S, 4]."""
        return cut(self.canvas, self._box)

    @property
    def _box(self) -> Box:
        """Where the crop lies on the canvas."""
        left, top, side = map(int, self.crop)
        return left, top, side

    @property
    def margins(self) -> tuple[float, float, float, float]:
        """What the canvas shows left of, above, right of and below the crop, in its sides."""
        (left, top, side), (height, width) = self._box, self.canvas.shape[:2]
        pixels = left, top, width - side - left, height - side - top
        return tuple(count / side for count in pixels)  # type: ignore[return-value]

    @cached_property
    def cut_outs(self) -> dict[tuple[str, int], Image]:
        """Of one frame and size the person cut out of the photo, as `render.stage` keeps it."""
        return {}

    @cached_property
    def _resized(self) -> dict[int, Image]:
        return {}

    def at(self, size: int) -> Image:
        """The crop, [size, size, 4], kept once made."""
        if size not in self._resized:
            self._resized[size] = resized(self.image, size)
        return self._resized[size]

    def around(self, size: int) -> tuple[Image, tuple[int, int]]:
        """The canvas with its crop at [size, size], and the crop's corner x, y in it."""
        return scaled_around(self.canvas, self._box, size)

    @cached_property
    def picture(self) -> Image:
        """The whole photo, uint8 [H, W, 3] RGB; ImageError where it is damaged."""
        return load_image(self.photo.tobytes()).rgb

    def frame_size(self, frame: str, size: int) -> tuple[int, int]:
        """Width and height in pixels of a frame, both even."""
        if (pixels := frame_pixels(frame)) is not None:
            return pixels
        if frame == "head":
            return size, size
        height, width = self.picture.shape[:2]
        scale = min(size / min(height, width), 1)
        return max(round(width * scale / 2), 1) * 2, max(round(height * scale / 2), 1) * 2

    def dump(self) -> bytes:
        """The portrait as the bytes of an .npz file."""
        buffer = io.BytesIO()
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez_compressed(buffer, format=np.int64(FORMAT), **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    def save(self, path: Path) -> None:
        """Write the portrait to an .npz file, whole or not at all.

        Raises:
            OutputError: the name ends in something else, or the file cannot be written.
        """
        if path.suffix.lower() != SUFFIX:
            raise OutputError(f"{path} ends in {path.suffix!r}; name an encoded face {SUFFIX}")
        write_whole(path, self.dump())

    @classmethod
    def parse(cls, data: bytes, name: str) -> Portrait:
        """Inverse of `dump`; ImageError names ``name`` when the bytes are no portrait."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_BYTES:
                raise ImageError(
                    f"{name} unpacks to {unpacked / 1e6:.0f} MB, which no encoded face does; make "
                    "one with Avatar.save"
                )
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                if int(arrays["format"]) != FORMAT:
                    raise ImageError(
                        f"{name} is an encoded face of format {int(arrays['format'])}, this "
                        f"version reads {FORMAT}; encode the photo again"
                    )
                values: dict[str, Any] = {f.name: np.asarray(arrays[f.name]) for f in fields(cls)}
        except PARSER_ERRORS as error:
            raise ImageError(
                f"{name} is not an encoded face ({error}); make one with Avatar.save"
            ) from None
        portrait = cls(**{**values, "key": str(values["key"])})
        portrait._check(name)
        return portrait

    def _check(self, name: str) -> None:
        if not self.references.ndim or self.canvas.ndim != 3:
            raise ImageError(
                f"{name}: references or canvas is no picture; the file is damaged, encode the "
                "photo again"
            )
        wanted = {
            "photo": (np.uint8, (self.photo.size,)),
            "box": (np.float64, (3,)),
            "canvas": (np.uint8, (*self.canvas.shape[:2], 4)),
            "crop": (np.int64, (3,)),
            "landmarks": (np.float32, (VERTICES, 3)),
            "identity": (np.float32, (IDENTITY,)),
            "expression": (np.float32, (EXPRESSION,)),
            "rotation": (np.float32, (1, 3)),
            "translation": (np.float32, (1, 3)),
            "scale": (np.float32, (1,)),
            "manner": (np.float32, ANYBODY.shape),
            "references": (np.uint8, (len(self.references), *ATLAS, 3)),
            "reference_places": (np.float32, (len(self.references), 3, VERTICES, 2)),
        }
        for field, (dtype, shape) in wanted.items():
            array = getattr(self, field)
            if array.dtype != dtype or array.shape != shape or not np.isfinite(array).all():
                raise ImageError(
                    f"{name}: {field} is {array.dtype} {array.shape}, expected finite "
                    f"{np.dtype(dtype)} {shape}; the file is damaged, encode the photo again"
                )
        self._check_values(name)

    def _check_values(self, name: str) -> None:
        for field, most in _MOST.items():
            if np.abs(getattr(self, field)).max(initial=0) > most:
                raise ImageError(
                    f"{name}: {field} has values beyond {most}, which no face has; the file is "
                    "damaged, encode the photo again"
                )
        if self.scale[0] < LEAST_SCALE:
            raise ImageError(
                f"{name}: scale is {self.scale[0]}, expected {LEAST_SCALE} or more; the file is "
                "damaged, encode the photo again"
            )
        if self.crop[2] < 1 or min(self.margins) < 0:
            raise ImageError(
                f"{name}: the crop {self.crop.tolist()} does not lie within the canvas of "
                f"{self.canvas.shape}; the file is damaged, encode the photo again"
            )


Box = tuple[int, int, int]  # left, top and side of a square, pixels


def cut(image: Image, box: Box) -> Image:
    """The square ``box`` of an image, contiguous."""
    left, top, side = box
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def resized(image: Image, size: int) -> Image:
    """A square image uint8 [S, S, C] at another size; itself at its own."""
    return _resized(image, size, size)


def scaled_around(image: Image, box: Box, size: int) -> tuple[Image, tuple[int, int]]:
    """``image`` scaled so that its square ``box`` has ``size`` pixels; x, y of the box in it.

    The box is scaled as it is alone, to the bit, and what lies around it in parts of their own, to
    whole pixels.
    """
    left, top, side = box
    if side == size:
        return image, (left, top)
    ends = [
        (start, start + side, end) for start, end in ((left, image.shape[1]), (top, len(image)))
    ]
    lengths = [[round(a * size / side), size, round((c - b) * size / side)] for a, b, c in ends]
    (x1, x2, _), (y1, y2, _) = ends
    rows = [
        np.hstack(
            [
                _resized(part, wide, high)
                for part, wide in zip(np.split(band, [x1, x2], 1), lengths[0], strict=True)
            ]
        )
        for band, high in zip(np.split(image, [y1, y2]), lengths[1], strict=True)
    ]
    return np.ascontiguousarray(np.vstack(rows)), (lengths[0][0], lengths[1][0])


def _resized(image: Image, width: int, height: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    if not (width and height and image.size):
        return np.zeros((height, width, *image.shape[2:]), np.uint8)
    smaller = width < image.shape[1] or height < image.shape[0]
    mode = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=mode))


def read_portrait(path: Path) -> Portrait:
    """Load a portrait saved by `Portrait.dump`; ImageError when there is none."""
    try:
        data = read_file(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise ImageError(
            f"{path} cannot be read ({reason(error)}); give a file made by Avatar.save"
        ) from None
    return Portrait.parse(data, str(path))
