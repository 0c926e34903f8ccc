"""What is composed for a frame, and where it lies in the picture.

The head alone, a square, or the whole photo: then only the box in which the head moves is composed
anew, and the rest is copied. Before another background, or none, the person is cut out by a matte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import numpy as np

from parlante.backdrop import Backdrop
from parlante.contract import GRID, Double, Image, Pixels
from parlante.face.topology import NOSE_TIP
from parlante.options import RenderOptions
from parlante.portrait.colour_lines import foreground
from parlante.portrait.matte import Matte, lay_in
from parlante.portrait.portrait import Portrait
from parlante.render.framing import placement
from parlante.render.grid import Grid, crop_grid
from parlante.render.ops import Ops
from parlante.runtime.bundle import Bundle

# Finest grid on which the flow is drawn, pixels of it to the crop's side: `compose` interpolates
# beyond.
FINEST = 512

Background = tuple[int, int, int] | Literal["plate", "alpha"]


@dataclass(frozen=True)
class Stage:
    """What `compose` is given, and what is around it.

    source uint8 [Hs, Ws, 4], corner of the frame in it, plate uint8 [H, W, 3], background: as
    `compose` takes them; grid: of the flow over the frame; rest: the frame with nothing moved, in
    which what is composed lies at ``place`` x, y, or None where it is all there is.
    """

    source: Image
    corner: tuple[int, int]
    plate: Image
    background: Background
    grid: Grid
    rest: Image | None = None
    place: tuple[int, int] = (0, 0)

    def whole(self, composed: Image, pixels: Pixels) -> Image:
        """The frame, of what was composed [H, W, 3]."""
        if self.rest is None:
            return composed
        frame: Image = self.rest.copy()
        (x, y), (height, width) = self.place, self.plate.shape[:2]
        frame[y : y + height, x : x + width] = composed[:height]
        if pixels == "nv12":
            below = len(frame) * 2 // 3 + y // 2
            frame[below : below + height // 2, x : x + width] = composed[height:]
        return frame


def picture_shape(height: int, width: int, pixels: Pixels) -> tuple[int, ...]:
    """Of the array that holds a picture."""
    if pixels == "nv12":
        return height * 3 // 2, width
    return height, width, 4 if pixels == "rgba" else 3


def stage_of(portrait: Portrait, options: RenderOptions, ops: Ops, bundle: Bundle) -> Stage:
    """The stage for a portrait, as the options want it."""
    if options.frame == "head":
        return _head(portrait, options)
    return _photo(portrait, options, ops, bundle)


def _head(portrait: Portrait, options: RenderOptions) -> Stage:
    size = options.size
    source, corner = portrait.around(size)
    plate, background = _behind(options, size, size)
    source = (
        _opaque(source[..., :3])
        if background is None
        else _kept(portrait, options, partial(cut_out, source))
    )
    return Stage(source, corner, plate, background or "plate", crop_grid(min(size, FINEST)))


def _behind(options: RenderOptions, height: int, width: int) -> tuple[Image, Background | None]:
    """A plate [height, width, 3] and the background; None for the photo's own."""
    backdrop, plate = options.backdrop, _nothing(height, width)
    if isinstance(backdrop, Backdrop):
        return backdrop.filling(height, width), "plate"
    if backdrop is None and options.pixels == "rgba":
        return plate, "alpha"
    return plate, backdrop


def _photo(portrait: Portrait, options: RenderOptions, ops: Ops, bundle: Bundle) -> Stage:
    placed = placement(portrait, options)
    (width, height), scale, at = placed.size, placed.scale, placed.at
    left, top, side = portrait.box
    to_photo = side / GRID * scale  # from the 256-grid to pixels of the frame
    start = (np.array([left, top]) + 0.5 * side / GRID) * scale - 0.5 + at
    # All that may move: the canvas, and whole pairs of pixels, which share their colour in video.
    before, above, after, below = portrait.margins
    low = np.array([left - before * side, top - above * side]) * scale + at
    high = np.array([left + (1 + after) * side, top + (1 + below) * side]) * scale + at
    x, y = (max(int(v) // 2 * 2, 0) for v in low)
    right, bottom = (
        min(-(-int(np.ceil(v)) // 2) * 2, n) for v, n in zip(high, (width, height), strict=True)
    )
    plate, background = _behind(options, height, width)
    photo = _opaque(placed.photo)
    if background is not None:

        def cut_anew() -> Image:
            photo[..., 3] = _matte_of(portrait, placed.photo, low - at, high - at, bundle)
            return cut_out(photo)

        photo = _kept(portrait, options, cut_anew)
    source, corner = placed.sheet(photo, low, high, blurred=background is None)
    finer = min(1.0, FINEST / (side * float(scale[0])))
    rows, columns = (max(1, round(n * finer)) for n in (bottom - y, right - x))
    per = np.array([columns / (right - x), rows / (bottom - y)])
    grid = Grid(
        rows,
        columns,
        np.asarray(to_photo * per, np.float32),
        np.asarray((start - (x, y) + 0.5) * per - 0.5, np.float32),
    )
    rest = np.empty(picture_shape(height, width, options.pixels), np.uint8)
    still = np.zeros((height, width, 2), np.float32)
    still[..., 1], still[..., 0] = np.mgrid[:height, :width]
    nowhere = np.zeros((0, 2, 3), np.float32), np.zeros((0, 2), np.int32)
    kind = background or "plate"
    still_frame = source, plate, still, None, None, None, *nowhere, rest
    ops.compose(*still_frame, format=options.pixels, background=kind, corner=corner)
    moving = corner[0] + x, corner[1] + y
    return Stage(source, moving, plate[y:bottom, x:right].copy(), kind, grid, rest, (x, y))


def _kept(portrait: Portrait, options: RenderOptions, make: Callable[[], Image]) -> Image:
    """What was made of this portrait's latest frame and size, which sessions share."""
    kept, own = portrait.cut_outs, (options.frame, options.size)
    made = kept.get(own)
    if made is None:
        made = make()
        kept.clear()
        kept[own] = made
    return made


def _matte_of(portrait: Portrait, photo: Image, low: Double, high: Double, bundle: Bundle) -> Image:
    """Of the whole photo uint8 [H, W, 3], in which the canvas lies from ``low`` to ``high`` [2].

    There it is the portrait's own.
    """
    left, top = np.round(low).astype(int)
    right, bottom = np.minimum(np.round(high).astype(int), photo.shape[1::-1])
    x, y, side = portrait.crop
    nose = (portrait.landmarks[NOSE_TIP, :2] + 0.5) * (side / GRID) + (x, y)
    size = portrait.canvas.shape[1::-1]
    at = low + nose * (high - low) / size - 0.5
    networks = bundle.sessions("matte", "salience", threads=2)
    whole = Matte(*networks).predict(photo, at=(float(at[0]), float(at[1])))
    own = cv2.resize(
        portrait.canvas[..., 3], (right - left, bottom - top), interpolation=cv2.INTER_AREA
    )
    lay_in(whole, np.asarray(own / 255, np.float32), left, top)
    return np.asarray(np.round(whole * 255), np.uint8)


def cut_out(image: Image) -> Image:
    """RGB and matte uint8 [H, W, 4], of the colours that the person alone has under a soft edge."""
    colours, opacity = (part / np.float32(255) for part in (image[..., :3], image[..., 3]))
    own = foreground(colours, opacity)
    return np.dstack([np.asarray(np.round(own * 255), np.uint8), image[..., 3]])


def _opaque(image: Image) -> Image:
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def _nothing(height: int, width: int) -> Image:
    """A plate of which nothing is seen."""
    return np.zeros((height, width, 3), np.uint8)
