"""Where the photo lies in a frame that shows more than the head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from parlante.backdrop import Backdrop
from parlante.checks import frame_pixels
from parlante.contract import Double, Image
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait

BLUR = 0.03  # of the frame's longer side: what is beside the photo is no second picture
HEADROOM = 0.15  # above the square around head and shoulders, of its side, where the photo has it
DIM = 0.6  # and no brighter than this share of it


@dataclass(frozen=True)
class Placement:
    """The photo uint8 [h, w, 3], scaled by ``scale`` [2], its corner at ``at`` [2] of a frame.

    size: the frame's width and height; all x before y, in pixels of the frame.
    """

    size: tuple[int, int]
    photo: Image
    scale: Double
    at: Double

    @property
    def fills(self) -> bool:
        """Whether nothing of the frame is left beside the photo."""
        end = self.at + self.photo.shape[1::-1]
        return bool((self.at <= 0).all() and (end >= self.size).all())

    def sheet(
        self, photo: Image, low: Double, high: Double, *, blurred: bool
    ) -> tuple[Image, tuple[int, int]]:
        """What a frame is made from, [H, W, 4], and its corner x, y in that.

        It holds what lies from ``low`` to ``high`` [2], too, beyond the frame's edges. photo: ours,
        RGBA; blurred: whether it is seen beside itself, else there is nothing.
        """
        first = np.floor(np.minimum(low, 0)).astype(int)
        last = np.ceil(np.maximum(high, self.size)).astype(int)
        width, height = last - first
        sheet: Image = np.zeros((height, width, 4), np.uint8)
        corner_x, corner_y = (int(v) for v in -first)
        if blurred and not self.fills:
            beside = sheet[corner_y : corner_y + self.size[1], corner_x : corner_x + self.size[0]]
            beside[..., :3], beside[..., 3] = self._blurred(), 255
        at = self.at.astype(int) - first
        begin = np.maximum(at, 0)
        end = np.minimum(at + photo.shape[1::-1], (width, height))
        (x1, y1), (x2, y2) = begin, end
        (u1, v1), (u2, v2) = begin - at, end - at
        sheet[y1:y2, x1:x2] = photo[v1:v2, u1:u2]
        return sheet, (corner_x, corner_y)

    def _blurred(self) -> Image:
        width, height = self.size
        filled = Backdrop(self.photo).filling(height, width)
        return np.asarray(cv2.GaussianBlur(filled, (0, 0), BLUR * max(self.size)) * DIM, np.uint8)


def placement(portrait: Portrait, options: RenderOptions) -> Placement:
    """Of a portrait's photo: all of it, or as much as fills a frame of so many pixels.

    Head and shoulders are never cut. Where the photo is lower than the frame, it
    stands on its lower edge where the person is cut out, else in the middle.
    """
    photo, pixels = portrait.picture, frame_pixels(options.frame)
    own = np.array(photo.shape[1::-1])
    size = np.array(pixels or portrait.frame_size(options.frame, options.size))
    if pixels is None:
        scaled, at = size, np.zeros(2)
    else:
        left, top, side = portrait.box
        low = np.maximum((left, top - HEADROOM * side), 0)
        high = np.minimum((left + side, top + side), own)
        scaled = np.round(own * min((size / own).max(), (size / (high - low)).min())).astype(int)
        # Head and shoulders in the middle, but for where the photo ends.
        at = size / 2 - (low + high) / 2 * scaled / own
        at = np.where(scaled > size, np.clip(at, size - scaled, 0), (size - scaled) / 2)
        cut_out = options.backdrop is not None or options.pixels == "rgba"
        if cut_out and scaled[1] < size[1]:
            at[1] = size[1] - scaled[1]
        at = np.round(at)
    if (scaled != own).any():
        how = cv2.INTER_AREA if scaled[0] < own[0] else cv2.INTER_CUBIC
        photo = np.asarray(cv2.resize(photo, tuple(map(int, scaled)), interpolation=how))
    return Placement((int(size[0]), int(size[1])), photo, scaled / own, at)
