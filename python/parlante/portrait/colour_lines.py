"""Opacity and colour along a soft edge, such as hair, out of the colours of a picture.

Around a pixel the opacity of a person is about a linear function of the colours there (He, Sun,
Tang: "Guided Image Filtering", PAMI 2013, colour guide, eq. 19-21). `solved` spreads what is known
of it along such lines, `foreground` takes the background's part out of the colours.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import Float

SIDES = (96, 192, 384)  # longer sides, pixels, at which opacity is solved, one after the other
STEPS, MOMENTUM = 12, 0.8  # at each of them; what a step keeps of the one before it
EPSILON = 1e-5  # squared contrast, of 1, below which a difference of colours is noise
# Of the foreground: how much smoother it is than it is true to the picture where opacity is even,
# and steps at sides up to COARSE pixels and above.
SMOOTH = 1e-5
COARSE, COARSE_STEPS, FINE_STEPS = 32, 10, 2


class ColourLines:
    """Lines of the colours of a picture f32[H,W,3] in [0,1], in windows of 2 radius + 1 pixels."""

    def __init__(self, image: Float, radius: int, epsilon: float = EPSILON) -> None:
        self._side = (2 * radius + 1, 2 * radius + 1)
        self._colours = [np.ascontiguousarray(image[..., index]) for index in range(3)]
        # In double precision: where colours are even their covariance is a small difference.
        exact = image.astype(np.float64)
        r, g, b = (np.ascontiguousarray(exact[..., index]) for index in range(3))
        mr, mg, mb = means = [self._mean(colour) for colour in (r, g, b)]
        rr, gg, bb, rg, rb, gb = (
            self._mean(one * two) - own * other
            for one, two, own, other in (
                (r, r, mr, mr),
                (g, g, mg, mg),
                (b, b, mb, mb),
                (r, g, mr, mg),
                (r, b, mr, mb),
                (g, b, mg, mb),
            )
        )
        rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
        # Inverted by its cofactors.
        c_rr, c_gg, c_bb = gg * bb - gb * gb, rr * bb - rb * rb, rr * gg - rg * rg
        c_rg, c_rb, c_gb = rb * gb - rg * bb, rg * gb - rb * gg, rg * rb - rr * gb
        scale = 1 / (rr * c_rr + rg * c_rg + rb * c_rb)
        rows = ((c_rr, c_rg, c_rb), (c_rg, c_gg, c_gb), (c_rb, c_gb, c_bb))
        self._means = [mean.astype(np.float32) for mean in means]
        self._inverse = [[(value * scale).astype(np.float32) for value in row] for row in rows]

    def of(self, plane: Float) -> tuple[list[Float], Float]:
        """Slopes and offset, f32[H,W] each, of the lines that fit ``plane`` f32[H,W] best.

        Of each window; those of the windows that hold a pixel are averaged.
        """
        mean = self._mean(plane)
        along = [
            self._mean(colour * plane) - own * mean
            for colour, own in zip(self._colours, self._means, strict=True)
        ]
        slopes = [
            row[0] * along[0] + row[1] * along[1] + row[2] * along[2] for row in self._inverse
        ]
        offset = mean - sum(a * own for a, own in zip(slopes, self._means, strict=True))
        return [self._mean(slope) for slope in slopes], self._mean(offset)

    def __call__(self, plane: Float) -> Float:
        """``plane`` f32[H,W] as a linear function of the colours around each pixel."""
        slopes, out = self.of(plane)
        for slope, colour in zip(slopes, self._colours, strict=True):
            out += slope * colour
        return out

    def _mean(self, plane: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.blur(plane, self._side, borderType=cv2.BORDER_REFLECT))


def solved(image: Float, known: Float, weight: Float) -> Float:
    """Opacity f32[h,w] of what a picture f32[H,W,3] in [0,1] shows, at the last of `SIDES`.

    ``known`` f32[H,W] is what is known of it, ``weight`` f32[H,W] how surely. It minimises the
    squared distance from there and from the lines of colours: closed-form matting (Levin,
    Lischinski, Weiss, PAMI 2008), by Jacobi's steps, from coarse to fine.
    """
    height, width = known.shape
    opacity = known
    for side in SIDES:
        scale = min(1.0, side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        colours, target, sure = (
            np.asarray(cv2.resize(given, size, interpolation=cv2.INTER_AREA), np.float32)
            for given in (image, known, weight)
        )
        opacity = before = np.asarray(cv2.resize(opacity, size), np.float32)
        lines = ColourLines(colours, 1)
        for _ in range(STEPS):
            ahead = opacity + MOMENTUM * (opacity - before)
            before, opacity = opacity, np.clip((lines(ahead) + sure * target) / (1 + sure), 0, 1)
    return opacity


def refined(image: Float, opacity: Float) -> Float:
    """``opacity`` f32[h,w] of a picture f32[H,W,3] in [0,1], at its size: f32[H,W]."""
    height, width = image.shape[:2]
    small = cv2.resize(image, opacity.shape[::-1], interpolation=cv2.INTER_AREA)
    slopes, offset = ColourLines(np.asarray(small, np.float32), 2).of(opacity)
    out = np.asarray(cv2.resize(offset, (width, height)), np.float32)
    for index, slope in enumerate(slopes):
        out += cv2.resize(slope, (width, height)) * image[..., index]
    return np.clip(out, 0, 1)


def foreground(image: Float, opacity: Float) -> Float:
    """The colours f32[H,W,3] in [0,1] of what lies before the background in a picture of both.

    opacity f32[H,W]: image = opacity · foreground + (1 − opacity) · background, of which both are
    smooth where opacity is (Germer, Uelwer, Conrad, Harmeling: "Fast Multi-Level Foreground
    Estimation", ICPR 2020, eq. 3-5; Jacobi's steps in place of Gauss-Seidel's).
    """
    height, width = opacity.shape
    levels = int(np.ceil(np.log2(max(height, width, 2))))
    before = behind = np.zeros((1, 1, 3), np.float32)
    for level in range(levels + 1):
        size = round(width ** (level / levels)), round(height ** (level / levels))
        colours, share = (
            np.asarray(cv2.resize(given, size, interpolation=cv2.INTER_AREA), np.float32)
            for given in (image, opacity)
        )
        before, behind = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_NEAREST), np.float32)
            for one in (before, behind)
        )
        steps = COARSE_STEPS if max(size) <= COARSE else FINE_STEPS
        before, behind = _separated(colours, share, before, behind, steps)
    return before


def _separated(
    colours: Float, share: Float, before: Float, behind: Float, steps: int
) -> tuple[Float, Float]:
    """Foreground and background, closer to what they are after Jacobi's ``steps``."""
    weights = [SMOOTH + np.abs(share - beside) for beside in _around(share)]
    total = sum(weights)
    rest = 1 - share
    own, other, cross = share * share + total, rest * rest + total, share * rest
    factor = (1 / (own * other - cross * cross))[..., None]
    own, other, cross = own[..., None], other[..., None], cross[..., None]
    for _ in range(steps):
        near, far = (
            portion[..., None] * colours
            + sum(
                weight[..., None] * beside
                for weight, beside in zip(weights, _around(plane), strict=True)
            )
            for portion, plane in ((share, before), (rest, behind))
        )
        before = np.clip((other * near - cross * far) * factor, 0, 1)
        behind = np.clip((own * far - cross * near) * factor, 0, 1)
    return before, behind


def _around(plane: Float) -> list[Float]:
    """The left, right, upper and lower neighbours of all pixels; at the edge, themselves."""
    padded = np.pad(plane, [(1, 1), (1, 1), *[(0, 0)] * (plane.ndim - 2)], mode="edge")
    middle = slice(1, -1)
    return [
        padded[rows, columns]
        for rows, columns in (
            (middle, slice(None, -2)),
            (middle, slice(2, None)),
            (slice(None, -2), middle),
            (slice(2, None), middle),
        )
    ]
