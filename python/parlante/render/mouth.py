"""The inside of a mouth that the photo does not show: upper teeth before the dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np

from parlante.contract import TILE, Float, Image
from parlante.face.model import FaceModel
from parlante.face.patches import through
from parlante.face.topology import LIPS_OUTER
from parlante.render.ramp import ramp, smooth

LIGHT = 2.0  # what a colour of 1 is brighter than skin around the mouth is on average
# Colours of the throat and of what is seen of the tongue above the lower lip, of people with pale
# lips and with red ones; and how wide lips are parted, pixels of the tile, before there is any
# tongue, and for all of it.
PALE, RED = np.array(
    [[[0.17, 0.085, 0.08], [0.64, 0.3, 0.285]], [[0.19, 0.06, 0.05], [0.56, 0.215, 0.2]]],
    np.float32,
)
TONGUE_SEEN = 10.0, 26.0
TEETH_SEEN = 4.0, 12.0  # as wide for teeth: in a slit they are in the dark
# How much darker than the front it is just under the upper lip, and over how many pixels of the
# tile; the least light of teeth, and over how many pixels light from the opening is spread.
SHADOW, SHADOW_REACH, AMBIENT, SPREAD = 0.2, 2.5, 0.7, 6.0
SOFT = 0.7  # pixels of the tile: as sharp as photos are
# Lips further apart in the photo, over the width of the mouth, show an inside of its own; there are
# teeth in it where its brightest tenth is so much brighter than the skin around.
PARTED, TEETH_LIGHT = 0.08, 1.0
# Upper teeth begin in this part of the opening, and end where it is darker than so much of them;
# their edge is as soft as photos are, pixels of the crop as the networks see it.
UPPER_PART, FALL, EDGE = 0.6, 0.62, 0.8
# Where no dark lies below them, but the tongue, they end so far under the lip, over the height that
# so many percent of the columns stay below.
LONGEST, SHORTER = 1.6, 30
# And at the sides, where a cheek may be as bright, no lower under the lip than in the middle third.
SIDES = 1.15
# Of upper teeth that are shorter, over the width of the mouth, and less than this share of the
# opening, the lip hides most: a mouth that opens wider would have none.
RIM_OF_TEETH, RIM_SHARE = 0.06, 0.5
# And what is darker, in its brightest quarter, than so much of the skin around is a lip, a gum or
# teeth in the shade.
BRIGHT = 0.93
# Pixels of the tile: lips that are parted wider show the inside as it is, from the first on a
# little; near lips, over so many pixels, the network draws what is between, less near the upper
# one. Over fewer where the photo or a reference shows the inside: over its teeth the network draws
# a veil.
WIDE, RIM, UPPER_RIM = (5.0, 11.0), 3.0, 3
REAL_RIM, REAL_UPPER_RIM = 1.5, 1
# The lips of the photo are better than those the network draws: beside a wide opening they stay.
# Up to the first of these shares of it in a blur by the rim all, from the second on nothing: that
# is from 9 and up to 5 pixels away.
BESIDE = 0.001, 0.05
CORNER = 3  # pixels of the tile: the radius of a corner, just beyond the end of the opening
# Teeth: how far they are seen below the upper lip of the photo, in widths of the mouth, and how far
# behind it they are, model units; their size, and that for the smallest and the widest mouths, over
# the average person's.
BELOW, BEHIND, SIZE, SIZES = 0.085, 0.3, 0.92, (0.45, 1.05)
PLAIN_WHITE: Float = np.ones(3, np.float32)
NO_GRAIN: Float = np.zeros((TILE, TILE), np.float32)
UPPER, LOWER = 13, 14  # landmarks: middles of the inner lips
Box: TypeAlias = tuple[slice, slice]  # rows and columns of an image


def teeth_of(model: FaceModel, measured: Float) -> Float:
    """Where the teeth of a photographed head are, in the model's axes: float32 [C, 3].

    measured float32 [468, 3]: the photo's landmarks. Teeth go by the mouth: by its width, and by
    where the upper lip ends.
    """
    lips, upper = measured[list(LIPS_OUTER)], measured[UPPER]
    width = _width(measured)
    size = SIZE * np.clip(width / _width(model.neutral), *SIZES)
    edge = lips[:, 0].mean(), upper[1] - BELOW * width, upper[2] - BEHIND
    return np.asarray(size * model.teeth_vertices + edge, np.float32)


def are_parted(measured: Float) -> bool:
    """Whether lips are open in a photo; landmarks [468, 3] in the model's axes."""
    return float(measured[UPPER, 1] - measured[LOWER, 1]) > PARTED * _width(measured)


def are_teeth(inside: Float, light: float) -> bool:
    """Whether there are teeth in what a photo shows between lips: brightnesses [N], over 255.

    light: of the skin around, over 255.
    """
    return len(inside) > 0 and float(np.percentile(inside, 90)) > TEETH_LIGHT * light


def upper_teeth(white: Float, inside: Image) -> Float:
    """How far each pixel shows the upper teeth, float32 [H, W]: those alone stay with the head.

    white float32 [H, W]: the least of a photo's red, green and blue; inside uint8 [H, W]: 1 between
    lips that show teeth. Below them lie the dark, the tongue, lower teeth, which go with the jaw,
    and the rim of the lip.
    """
    soft = cv2.GaussianBlur(white, (0, 0), 1)
    columns = np.flatnonzero(inside.any(0))
    ends = np.zeros(len(columns), np.float32)
    for k, column in enumerate(columns):
        light = soft[inside[:, column] > 0, column]
        brightest = int(light[: max(2, round(UPPER_PART * len(light)))].argmax())
        dark = np.flatnonzero(light[brightest:] < FALL * light[brightest])
        ends[k] = brightest + dark[0] if len(dark) else len(light)
    ends = np.minimum(ends, np.float32(LONGEST * np.percentile(ends, SHORTER)))
    third = len(ends) // 3
    ends = np.minimum(ends, np.float32(SIDES * np.median(ends[third : len(ends) - third])))
    even = cv2.GaussianBlur(cv2.medianBlur(ends[None], 5), (0, 0), 2)[0]
    out = np.zeros(inside.shape, np.float32)
    for column, end in zip(columns, even, strict=True):
        out[np.flatnonzero(inside[:, column])[: round(float(end))], column] = 1
    return np.asarray(cv2.GaussianBlur(out, (0, 0), EDGE), np.float32)


def are_enough(teeth: Float, inside: Image, luma: Float, light: float, width: float) -> bool:
    """Whether a photo shows enough of the upper teeth to go on from: no rim under the lip, no gum.

    teeth: `upper_teeth` of ``inside``; luma float32 [H, W] of the photo, and light, of the skin
    around; width: of the mouth, pixels.
    """
    columns, own = inside.any(0), (teeth > 0.5) & (inside > 0)
    height, gap = (np.median(v.sum(0)[columns]) for v in (teeth, inside))
    rim = height < RIM_OF_TEETH * width and height < RIM_SHARE * gap
    return bool(not rim and own.any() and np.percentile(luma[own], 75) > BRIGHT * light)


def _width(landmarks: Float) -> float:
    return float(np.ptp(landmarks[list(LIPS_OUTER), 0]))


class Mouth:
    """Draws insides of mouths into the first tile of the atlas; not for several threads at once.

    softer: by how many pixels of the tile they are blurred, beyond what is usual; red: how red they
    are, 0 to 1; grain float32 [128, 128]: by what share throat and tongue are brighter; white
    float32 [3]: factors of the teeth's colours.
    """

    def __init__(
        self,
        rasterize: Callable[..., None],
        model: FaceModel,
        softer: float = 0.0,
        red: float = 1.0,
        grain: Float = NO_GRAIN,
        white: Float = PLAIN_WHITE,
    ) -> None:
        self._rasterize, self._model = rasterize, model
        self._grain, self._white = grain, white
        self._dark, self._tongue = PALE + np.float32(red) * (RED - PALE)
        self._soft = float(np.hypot(SOFT, softer))
        self._places = np.empty((TILE, TILE, 2), np.float32)
        self._depth = np.empty((TILE, TILE), np.float32)

    def draw(self, teeth: Float | None, opening: Float, out: Float) -> Box | None:
        """Fill ``out`` float32 [128, 128, 3] where lips are parted: RGB over `LIGHT`, 0 to 1.

        Returns the rows and columns that it filled, None where lips are shut. teeth float32 [C, 3]:
        their places in the tile and their depths; None: the photo's own are seen. opening float32
        [128, 128]: 1 between the lips, else 0.
        """
        around = _box(opening, int(3 * self._soft) + 1)
        if around is None:
            return None
        model, places = self._model, self._places
        places.fill(-9)  # where the picture of the teeth has nothing
        if teeth is not None:
            self._rasterize(teeth, model.teeth_triangles, model.teeth_places, places, self._depth)
        x, y = places[around][..., 0], places[around][..., 1]
        seen = cv2.remap(model.teeth_picture, x, y, cv2.INTER_LINEAR) * np.float32(1 / 255)
        parted = np.ascontiguousarray(opening[around])
        below = np.cumsum(parted, 0)  # pixels under the upper lip
        height = _evenly(below[-1:])
        share = np.asarray(below / np.maximum(below[-1:], 1), np.float32)
        light = np.minimum(1.12 * cv2.GaussianBlur(parted, (0, 0), SPREAD), 1)
        back, front = smooth(share, 0.3, 0.8), smooth(share, 0.75, 1)
        sides = smooth(height / max(float(height.max()), 1), 0.4, 1)
        tongue = back * (1 - 0.6 * front) * sides * ramp(height, *TONGUE_SEEN)
        light = AMBIENT + (1 - AMBIENT) * light
        throat = self._dark + tongue[..., None] * (self._tongue - self._dark)
        throat *= 1 + self._grain[around][..., None]
        teeth_light = light * (1 - SHADOW * np.exp(-below / SHADOW_REACH))
        shown = ramp(height, *TEETH_SEEN)
        colour = (shown * teeth_light)[..., None] * (seen[..., :3] * self._white)
        colour += (1 - shown[..., None] * seen[..., 3:]) * light[..., None] * throat
        out[around] = np.minimum(cv2.GaussianBlur(colour, (0, 0), self._soft), 1)
        return around


def in_tile(teeth: Float, to_atlas: Float) -> Float:
    """Teeth [C, 3] of a frame, in pixels of the 256-grid, as `Mouth.draw` takes them."""
    return np.column_stack([through(to_atlas[:1], teeth[:, :2])[0], teeth[:, 2]])


def keep(opening: Float, out: Float, *, real: bool, lips: float) -> None:
    """How far a mouth stays as the warp has it: fill ``out`` float32 [128, 128], from 0 to 1.

    opening float32 [128, 128]: 1 between the lips, else 0; real: whether the photo or a reference
    shows what is between, which stays however narrow the opening is; lips: how far lips and chin
    stay where they are not near a wide one.
    """
    out.fill(0)
    around = _box(opening, int(4 * RIM) + 2 * CORNER)
    if around is None:
        return
    parted = np.ascontiguousarray(opening[around])
    rim, upper = (REAL_RIM, REAL_UPPER_RIM) if real else (RIM, UPPER_RIM)
    inner = np.asarray(cv2.GaussianBlur(parted, (0, 0), rim), np.float32)
    wide = ramp(_evenly(parted.sum(0, keepdims=True)), *WIDE)
    inside = parted * ramp(np.roll(inner, -upper, 0), 0.5, 0.9)
    if not real:
        inside *= wide
    # Beside a mouth that is wide anywhere, but for its corners: these are drawn.
    near = parted.copy()
    rows, across = np.nonzero(parted)
    for end, outwards in ((across.argmin(), -CORNER), (across.argmax(), CORNER)):
        cv2.circle(near, (int(across[end]) + outwards, int(rows[end])), CORNER, 1.0, cv2.FILLED)
    near = np.asarray(cv2.GaussianBlur(near, (0, 0), RIM), np.float32)
    beside = lips * wide.max()
    out.fill(beside)
    out[around] = inside + beside * (1 - parted) * (1 - ramp(near, *BESIDE))


def _box(mask: Float, margin: int) -> Box | None:
    """Rows and columns of an image that hold what is not 0, and those around; None: nothing."""
    x, y, width, height = cv2.boundingRect((mask > 0).view(np.uint8))
    if not width:
        return None
    rows = slice(max(y - margin, 0), y + height + margin)
    return rows, slice(max(x - margin, 0), x + width + margin)


def _evenly(heights: Float) -> Float:
    """Heights of columns [1, W] as of a smooth outline."""
    return np.asarray(cv2.GaussianBlur(heights, (0, 0), 4), np.float32)
