"""The colours of a photo: the tint of its skin, and whether it has any others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parlante.contract import Double, Float, Image
from parlante.render.ramp import ramp

# Of red, green and blue (BT.709); and how much of each is in skin, over that sum: the median of the
# training people.
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
SKIN = np.array([1.33, 0.92, 0.82], np.float32)
BALANCE_RANGE = 0.6, 1.6
# Levels by which the channels of a black-and-white photo differ, at most, in all but one of a
# thousand pixels: what compression leaves.
GREY_LEVELS = 4
# And of one that is grey but for noise in its colours; from the second on a photo has colours.
NOISE = 16.0, 24.0
# The colour of skin is told by pixels that are not much darker than its median: by none of the
# first, by all of the second of these shares of it; weighed anew so often, since some are no skin.
TELLS, ROUNDS = (0.3, 0.7), 6
FLAT = 0.03  # of the median: light that differs by so little tells nothing
LIGHTEST = 95  # percent of skin
# In deeper shade than this share of the median the hue is that of there, as it is in light that is
# brighter than nearly all skin; and what is skin, not hair, by its light: nothing of the first of
# these, all of the second.
DEEPEST, SKINS = 0.45, (0.3, 0.65)
# Lips are redder than skin (of red less green, over brightness): in photographs of people at least
# by so much, in a marble or a blue print by less than a third of it.
REDDER = 0.12
PALE = 0.35, 0.65  # up to the first lips are pale by that measure, from the second on red
LEAST = 1.0  # level: of what a hue is taken of


@dataclass(frozen=True)
class Tone:
    """The tone of one photo.

    grey: whether it is black and white; balance float32 [3]: factors that give its skin the tint of
    people in general; hue float32 [3]: of that skin, over its brightness; coloured: 0 where lips
    have the hue of skin, as in a black-and-white photo, a blue print or a marble, 1 where they are
    redder; red: 0 where they are pale, 1 where they are red; lips float32 [3]: as ``hue``, of lips.
    """

    grey: bool
    balance: Float
    hue: Float
    coloured: float
    red: float
    lips: Float

    @classmethod
    def of(cls, photo: Image, face: Image, lips: Image) -> Tone:
        """Of a photo uint8 [H, W, 3], and pixels uint8 [N, 3] of its face and, if any, of lips."""
        one, spread = np.ones(3, np.float32), _spread(photo)
        if spread <= GREY_LEVELS:
            return cls(True, one, one, 0.0, 0.0, one)
        factors = balance(face)
        if not len(lips):
            skin = hue_of(balanced(face, factors))
            return cls(False, factors, skin, 1.0, 1.0, skin)
        skin, hue = (hue_of(balanced(colours, factors)) for colours in (face, lips))
        redder = float((hue[0] - hue[1]) - (skin[0] - skin[1]))
        own = hue_of(lips)
        red = float(ramp(own[0] - own[1], *PALE))
        coloured = np.clip(redder / REDDER, 0, 1) * np.interp(spread, NOISE, (0, 1))
        return cls(False, factors, skin, float(coloured), red, hue)

    def apply(self, planes: Float) -> None:
        """Give colours [3, ...] of a balanced picture the hue of its skin where it has no other."""
        if self.coloured < 1:
            toned = np.multiply.outer(self.hue, np.tensordot(LUMA, planes, 1))
            planes += np.float32(1 - self.coloured) * (toned - planes)


@dataclass(frozen=True)
class Skin:
    """The colours of one face's skin by their luma: its shades are more saturated than its lights.

    That of luma l is l · hue + shade, float32 [3] each; light: the median luma; lightest: nearly
    all skin is darker. All over 127.5.
    """

    hue: Float
    shade: Float
    light: float
    lightest: float

    @classmethod
    def of(cls, colours: Image) -> Skin:
        """Of pixels uint8 [N, 3], most of which are skin: the line that most of them lie along."""
        pixels = colours.astype(np.float32) / np.float32(127.5)
        luma = np.maximum(pixels @ LUMA, np.float32(LEAST / 127.5))
        light = float(np.median(luma))
        weight = told = ramp(luma / light, *TELLS) + 1e-6
        for _ in range(ROUNDS):
            middle = float(np.average(luma, weights=weight))
            hue = np.average(pixels, 0, weights=weight) / middle
            from_middle, other = luma - middle, pixels - np.multiply.outer(luma, hue)
            spread = weight @ np.square(from_middle) + weight.sum() * (FLAT * light) ** 2
            slope = (weight * from_middle) @ other / spread
            error = np.linalg.norm(other - np.multiply.outer(from_middle, slope), axis=1)
            weight = told / (1 + np.square(error / (2 * np.median(error) + 1e-3)))
        lightest = float(np.percentile(luma[weight >= weight.max() / 2], LIGHTEST))
        return cls(np.float32(hue + slope), np.float32(-middle * slope), light, lightest)

    def at(self, luma: Float) -> Float:
        """Colours [3, ...] of skin of luma [...]."""
        share = luma / np.clip(luma, DEEPEST * self.light, self.lightest)
        colours = np.multiply.outer(self.hue, luma) + np.multiply.outer(self.shade, share)
        return np.asarray(colours, np.float32)

    def share(self, luma: Float) -> Float:
        """How far what has this luma is skin, 0 to 1, and not lashes."""
        return ramp(luma / self.light, *SKINS)


def balance(face: Image) -> Float:
    """Factors of red, green and blue that give a face the tint of people in general.

    So that lids and lips of a yellowed painting are not drawn in a skin that is out of place there.
    face uint8 [..., 3]: its pixels.
    """
    own = face.reshape(-1, 3)
    factors = np.clip(SKIN / np.maximum(hue_of(own), 1e-3), *BALANCE_RANGE)
    # What is bright must not leave the range.
    brightest = float((np.percentile(own, 99, axis=0) * factors).max())
    return np.asarray(factors * min(1.0, 250 / max(brightest, 1.0)), np.float32)


def balanced(images: Image, factors: Float) -> Image:
    """Pictures uint8 [..., 3 or 4] with red, green and blue times ``factors``."""
    out: Image = images.copy()
    out[..., :3] = np.clip(np.round(images[..., :3] * factors), 0, 255)
    return out


def is_grey(image: Image) -> bool:
    """Whether a photo uint8 [H, W, 3] is black and white."""
    return _spread(image) <= GREY_LEVELS


def _spread(image: Image) -> float:
    """Levels by which the channels differ in all but one of a thousand pixels."""
    return float(np.percentile(image.max(2) - image.min(2), 99.9))


def light_of(colours: Image) -> float:
    """How bright pixels uint8 [..., 3] are on average, 0 to 1."""
    return float(colours.reshape(-1, 3).mean(0) @ LUMA) / 255


def hue_of(colours: Image | Double) -> Float:
    """The mean of pixels [..., 3] over its luma."""
    mean = colours.reshape(-1, 3).mean(0)
    return np.asarray(mean / max(float(mean @ LUMA), LEAST), np.float32)
