"""An invisible watermark: 64 bits in the brightness of every frame, and how they are found again.

Spread spectrum (Cox et al. 1997). The mark is a tile of 64 × 64 chips, 4 pixels each, that is laid
side by side over the whole frame. It is the sum of seven patterns of noise. The first always lies
in the same place: it says where the tile begins, wherever a picture was cut and however it was
scaled. Each of the others is shifted by one of 4096 places, which says 12 bits (Kalker et al.
1999). It is stronger where there is texture, weaker where every unevenness would be seen.

To find it, the tiles of a picture are laid over each other and correlated with the patterns, after
everything that is typical of the picture alone, its contours and its spectrum, has been taken away.
All is done for each scale from 0.45 to 2.2.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante import __version__
from parlante.contract import Float, Image

CHIP: Final = 4  # pixels of a frame
SIDE: Final = 64  # chips of the tile
SYMBOLS: Final = 6  # patterns that carry bits; before them the one that says where the tile begins
SYMBOL_BITS: Final = 12  # SIDE² = 2¹²
PRODUCT: Final = 0xA7  # the number of parlante in a mark
PAYLOAD_BITS: Final = 48
# Root mean square of the mark, levels of 255: where a frame is flat, and by how much more for each
# level of texture beyond that, up to the most.
FAINTEST, BY_TEXTURE, STRONGEST = 0.6, 1.2, 1.9
MOST_OF_ALL = 1.9  # of a whole frame: PSNR 42 dB
FLAT = 0.3  # levels of texture that are none
NEAR_ENDS, AT_ENDS = (4, 16), 0.2  # levels from black or white, and what is left of it there
CONTOURS, AROUND = 4.0, 2.0  # pixels: what texture is finer than, and the region that has it
ALONE, SOFT = 21, 4.0  # pixels: what is narrower is a contour, no texture; how softly that begins
# What finds it again sees two samples a chip, of so many chips at most around the middle.
PER_CHIP: Final = 2
GRID: Final = SIDE * PER_CHIP
SEEN: Final = 2 * SIDE
FRAMES: Final = 50  # that are looked at together: two seconds
EVERY: Final = 5  # of them one is searched
STEP: Final = 1.02  # from one scale to the next
SCALES: Final = STEP ** np.arange(-40, 41)
FINER: Final = (0.99, 0.995, 1.0, 1.005, 1.01)
CANDIDATES: Final = 4  # scales that are looked at closely
FINE, LOCAL, EVEN, MOST = 2.4, 2.0, 0.1, 2.0  # samples, samples, levels, standard deviations
BAND: Final = 9  # frequencies over which a spectrum is averaged
# Sum of the seven correlations, in standard deviations of what chance gives, from which on a mark
# is there. Chance gives 28, rarely 30; see docs/watermark.md.
SURE: Final = 31.0


@dataclass(frozen=True)
class Watermark:
    """What a mark says: by which version it was made, and a user's number of 48 bits.

    strength: how surely it was found, 1 from where on that is no chance.
    """

    version: str
    payload: int = 0
    strength: float = 0.0

    @classmethod
    def own(cls, payload: int) -> Watermark:
        """The mark of this version."""
        return cls(__version__, payload)

    def word(self) -> int:
        """Its 64 bits and a checksum of 8."""
        major, minor = (min(int(part), 15) for part in re.findall(r"\d+", self.version)[:2])
        said = PRODUCT << 56 | (major << 4 | minor) << PAYLOAD_BITS | self.payload
        return said << 8 | _checksum(said)

    @classmethod
    def of_word(cls, word: int, strength: float) -> Watermark | None:
        """What the bits of a mark say; None where they are no mark of parlante."""
        said, checksum = word >> 8, word & 0xFF
        if said >> 56 != PRODUCT or _checksum(said) != checksum:
            return None
        version = said >> PAYLOAD_BITS & 0xFF
        payload = said & ((1 << PAYLOAD_BITS) - 1)
        return cls(f"{version >> 4}.{version & 15}", payload, strength)


class Overlay:
    """A watermark as it is laid over the frames of one scene."""

    def __init__(self, watermark: Watermark, still: Image, channels: int) -> None:
        """For frames like ``still`` u8 [H, W], their brightness.

        channels: of an array of frames, 3; 4 with opacity last, which stays; 1, brightness first.
        """
        height, width = still.shape
        up = -(-height // (CHIP * SIDE)), -(-width // (CHIP * SIDE))
        tiles = np.tile(_enlarged(_chips(watermark.word()), CHIP), up)[:height, :width]
        shown = tiles * _strength(still)
        shown *= min(1.0, MOST_OF_ALL / float(np.sqrt(np.square(shown).mean())))
        levels = np.round(shown).astype(np.int16)
        colours = min(channels, 3)
        shape = height, width, channels
        self._more, self._less = (np.zeros(shape, np.uint8) for _ in range(2))
        for added, part in ((self._more, levels), (self._less, -levels)):
            added[..., :colours] = part.clip(min=0)[..., None]

    def add(self, image: Image) -> None:
        """Lay it over a frame, in place."""
        height, width, channels = self._more.shape
        rows = image[:height].reshape(height, width, channels)
        cv2.add(rows, self._more, dst=rows)
        cv2.subtract(rows, self._less, dst=rows)


def find(frames: Iterable[Image]) -> Watermark | None:
    """The watermark in up to `FRAMES` pictures u8 [H, W, 3], of one size; None where none is."""
    pictures = lights(frames)
    if not pictures:
        return None
    score, word = best(pictures)
    return Watermark.of_word(word, score / SURE) if score > SURE else None


def lights(frames: Iterable[Image]) -> list[Image]:
    """The brightness u8 [H, W] of those of up to `FRAMES` pictures that are searched."""
    searched = islice(frames, 0, FRAMES, EVERY)
    return [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in searched]


def best(pictures: list[Image]) -> tuple[float, int]:
    """What is most like a mark in pictures' brightness: how surely it is one, and its bits.

    In standard deviations of what chance gives, seven added.
    """
    mean = np.asarray(np.mean(pictures, 0), np.float32)
    likely = sorted(((_place(_seen([mean], scale))[0], scale) for scale in SCALES), reverse=True)
    return max(_read(pictures, s * finer) for _, s in likely[:CANDIDATES] for finer in FINER)


def _read(pictures: Sequence[Image | Float], scale: float) -> tuple[float, int]:
    """How surely there is a mark at a scale, in standard deviations, and its bits."""
    spectrum = _seen(pictures, scale)
    score, (y, x) = _place(spectrum)
    word = 0
    for k in range(SYMBOLS):
        places = np.roll(_correlation(spectrum, k + 1), (-y, -x), (0, 1))[::PER_CHIP, ::PER_CHIP]
        said = int(places.argmax())
        score += float(places.flat[said])
        word |= said << (SYMBOL_BITS * k)
    return score, word


def _place(spectrum: NDArray[Any]) -> tuple[float, tuple[int, int]]:
    """Where the tile begins, samples, and how surely."""
    places = _correlation(spectrum, 0)
    best = int(places.argmax())
    y, x = divmod(best, GRID)
    return float(places.flat[best]), (y, x)


def _seen(pictures: Sequence[Image | Float], scale: float) -> NDArray[Any]:
    """The spectrum of pictures' tiles laid over each other, if a chip is ``scale`` · 4 pixels.

    Without what is the pictures' own: their contours, and how strong which frequencies are.
    """
    spectrum = np.fft.rfft2(sum(_tile(light, scale) for light in pictures))
    strengths = np.fft.fftshift(np.abs(spectrum), 0).astype(np.float32)
    usual = np.fft.ifftshift(cv2.blur(strengths, (BAND, BAND)), 0)
    return np.asarray(spectrum / np.maximum(usual, 1e-6))


def _tile(light: Image | Float, scale: float) -> Float:
    """A picture's tiles [128, 128] laid over each other, everywhere as uneven."""
    per = PER_CHIP / (CHIP * scale)
    middle = [slice(max(0, round(n / 2 - SEEN * PER_CHIP / 2 / per)), None) for n in light.shape]
    sides = [round(SEEN * PER_CHIP / per)] * 2
    own = light[middle[0], middle[1]][: sides[0], : sides[1]].astype(np.float32)
    rows, columns = (max(8, round(n * per)) for n in own.shape)
    small = cv2.resize(own, (columns, rows), interpolation=cv2.INTER_AREA)
    fine = small - cv2.GaussianBlur(small, (0, 0), FINE)
    spread = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), LOCAL)) + EVEN
    even = np.clip(fine / spread, -MOST, MOST)
    padded = np.pad(even, [(0, -n % GRID) for n in even.shape])
    return np.asarray(padded.reshape(len(padded) // GRID, GRID, -1, GRID).sum((0, 2)))


def _correlation(spectrum: NDArray[Any], pattern: int) -> NDArray[Any]:
    """With a pattern in each place, in standard deviations."""
    places = np.fft.irfft2(spectrum * _templates()[pattern], (GRID, GRID))
    return np.asarray(places / max(float(places.std()), 1e-9))


@cache
def _patterns() -> Float:
    """Seven patterns [7, 64, 64] of noise; the same ones for ever, or old marks are lost."""
    count = (SYMBOLS + 1) * SIDE * SIDE
    drawn = hashlib.shake_128(b"parlante watermark 1").digest(count // 8)
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(-1, SIDE, SIDE)
    signs = bits.astype(np.float32) * 2 - 1
    return np.asarray(signs - signs.mean((1, 2), keepdims=True), np.float32)


@cache
def _templates() -> NDArray[Any]:
    """The patterns' spectra, as what is seen is correlated with them."""
    return np.stack([np.conj(np.fft.rfft2(_enlarged(p, PER_CHIP))) for p in _patterns()])


def _chips(word: int) -> Float:
    """The tile [64, 64] that says 72 bits."""
    first, *others = _patterns()
    total = first.copy()
    for k, pattern in enumerate(others):
        total += np.roll(pattern, divmod(word >> (SYMBOL_BITS * k) & 0xFFF, SIDE), (0, 1))
    return np.asarray(total)


def _enlarged(chips: Float, times: int) -> Float:
    """A tile of chips [64, 64] in pixels, smooth also where it meets itself; of RMS 1."""
    edge = 4
    around = np.pad(chips, edge, mode="wrap")
    large = cv2.resize(around, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    inner = large[edge * times : -edge * times, edge * times : -edge * times]
    return np.asarray(inner / inner.std(), np.float32)


def _strength(still: Image) -> Float:
    """Of the mark at each pixel of frames like ``still``, levels."""
    light = still.astype(np.float32)
    fine = light - cv2.GaussianBlur(light, (0, 0), CONTOURS)
    texture = np.square(cv2.GaussianBlur(np.sqrt(np.abs(fine)), (0, 0), AROUND))
    # Along contours between what is flat all would be seen.
    texture = cv2.erode(texture, np.ones((ALONE, ALONE), np.uint8))
    texture = cv2.GaussianBlur(texture, (0, 0), SOFT)
    strength = FAINTEST + BY_TEXTURE * np.maximum(texture - FLAT, 0)
    ends = np.interp(np.minimum(light, 255 - light), NEAR_ENDS, (AT_ENDS, 1))
    return np.asarray(np.minimum(strength, STRONGEST) * ends, np.float32)


def _checksum(said: int) -> int:
    return zlib.crc32(said.to_bytes(8, "big")) & 0xFF
