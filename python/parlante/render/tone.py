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
# And the white of eyes is less yellow than skin (red less blue, over brightness): up to the first
# of these in a marble or a print in one colour, from the second on in no such picture. The lips of
# dark skin may have its hue.
WHITER = 0.15, 0.35
# Of the pixels between lids the white is the brightest so many percent, less what is a reflection;
# darker than the first of these shares of the face's skin it tells nothing, from the second on all.
WHITE, REFLECTED, TRUSTED = 40, 250, (0.6, 0.9)
# Teeth that are drawn: their hue, by how much they are yellower than the white of an eye, and how
# yellow they are at least: that may be bluish by the iris, or in the shade.
TEETH, YELLOWER, YELLOW = np.array([1.249, 0.937, 0.891], np.float32), 0.08, 0.2
PALE = 0.35, 0.65  # up to the first lips are pale by that measure, from the second on red
LEAST = 1.0  # level: of what a hue is taken of


@dataclass(frozen=True)
class Tone:
    """The tone of one photo.

    grey: whether it is black and white; balance float32 [3]: factors that give its skin the tint of
    people in general; hue float32 [3]: of that skin, over its brightness; coloured: 0 where lips
    and eyes have the hue of skin, as in a black-and-white photo, a blue print or a marble, 1 where
    lips are redder or the white of the eyes is whiter; red: 0 where lips are pale, 1 where they are
    red; teeth float32 [3]: factors that make drawn teeth as white as the white of the eyes.
    """

    grey: bool
    balance: Float
    hue: Float
    coloured: float
    red: float
    teeth: Float

    @classmethod
    def of(cls, photo: Image, face: Image, lips: Image, eyes: Image) -> Tone:
        """Of a photo uint8 [H, W, 3], and pixels uint8 [N, 3].

        These of its face and, if there are any, of the lips and from between the lids.
        """
        one, spread = np.ones(3, np.float32), _spread(photo)
        if spread <= GREY_LEVELS:
            return cls(True, one, one, 0.0, 0.0, one)
        factors = balance(face)
        skin, light = hue_of(face), light_of(face)
        white, trust = _white(eyes, light)
        whiter = trust * ramp(skin[0] - skin[2] - white[0] + white[2], *WHITER)
        teeth = _whitened(hue_of(255 * TEETH / factors), white, trust)
        even = hue_of(balanced(face, factors))
        if not len(lips):
            return cls(False, factors, even, 1.0, 1.0, teeth)
        own, hue = hue_of(lips), hue_of(balanced(lips, factors))
        redder = float((hue[0] - hue[1]) - (even[0] - even[1]))
        coloured = max(min(redder / REDDER, 1), float(whiter)) * np.interp(spread, NOISE, (0, 1))
        red = float(ramp(own[0] - own[1], *PALE))
        return cls(False, factors, even, float(coloured), red, teeth)

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


def _white(eyes: Image, light: float) -> tuple[Float, float]:
    """Hue of the white in pixels uint8 [N, 3] from between the lids, and how far it is trusted.

    light: of the face, 0 to 1.
    """
    luma = eyes @ LUMA
    own = eyes[luma < REFLECTED]
    luma = luma[luma < REFLECTED]
    if not len(own):
        return np.ones(3, np.float32), 0.0
    bright = luma >= np.percentile(luma, 100 - WHITE)
    shade = float(np.median(luma[bright])) / (255 * max(light, 1e-3))
    return hue_of(np.median(own[bright], 0)), float(np.interp(shade, TRUSTED, (0, 1)))


def _whitened(teeth: Float, white: Float, trust: float) -> Float:
    """Factors of `Tone.teeth`: of the hue that drawn teeth have, and that of the white of eyes.

    Without them drawn teeth are as yellow as the skin is: before dark skin they are orange.
    """
    least, own = float(white[0] - white[2]), float(teeth[0] - teeth[2])
    wanted = max(least + YELLOWER, YELLOW)
    share = trust * (own - wanted) / (own - least) if own > wanted else 0
    return np.asarray(1 + share * (white / teeth - 1), np.float32)


def light_of(colours: Image) -> float:
    """How bright pixels uint8 [..., 3] are on average, 0 to 1."""
    return float(colours.reshape(-1, 3).mean(0) @ LUMA) / 255


def hue_of(colours: Image | Float | Double) -> Float:
    """The mean of pixels [..., 3] over its luma."""
    mean = colours.reshape(-1, 3).mean(0)
    return np.asarray(mean / max(float(mean @ LUMA), LEAST), np.float32)
