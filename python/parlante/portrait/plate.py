"""The background plate: what the picture would show if the person were not there.

And the wide matte: person and a rim of the true background around them, which moves with the head
over the plate. Its edge lies where the plate is the photo itself: with nothing moved the frame is
the photo, and hair keeps every strand.
"""

from __future__ import annotations

import cv2
import numpy as np

from parlante.contract import Float, Image

# The matte's soft edge carries hair colour; background is trusted only well outside it.
TRUSTED_BACKGROUND = 0.05
SPREAD = 5  # pixels of the 256-grid by which the matte is widened first
RIM, FADE = 10, 14  # pixels of the 256-grid: how wide the rim is, and over which it fades out


def background_plate(image: Image, matte: Image) -> Image:
    """Fill the person's place in ``image`` uint8 [H, W, 3] from its surroundings.

    ``matte`` uint8 [H, W] says where the person is.

    Pull-push over an image pyramid (Gortler et al. 1996, "The Lumigraph", section 3.4): smooth, and
    exact where the background is seen. Returns uint8 [H, W, 3].
    """
    known = _background(matte, max(image.shape[:2])).astype(np.float32)
    if not known.any():
        return np.full_like(image, image.reshape(-1, 3).mean(0).astype(np.uint8))
    # Each level: mean colour of the background seen in a cell, and how much of the cell was seen.
    colours: list[Float] = [image.astype(np.float32)]
    weights: list[Float] = [known[..., None]]
    while min(colours[-1].shape[:2]) > 2:
        seen = _half(weights[-1])
        mean = _half(colours[-1] * weights[-1]) / np.maximum(seen, np.float32(1e-6))
        colours.append(mean)
        weights.append(np.asarray(np.minimum(4 * seen, 1), np.float32))
    filled = colours[-1]
    for colour, weight in zip(colours[-2::-1], weights[-2::-1], strict=True):
        up = cv2.pyrUp(filled, dstsize=(colour.shape[1], colour.shape[0]))
        filled = weight * colour + (1 - weight) * up
    return np.clip(np.round(filled), 0, 255).astype(np.uint8)


def wide_matte(matte: Image, side: int) -> Image:
    """The wide matte uint8 [H, W] of a matte, in a picture whose crop has ``side`` pixels."""
    # Where nobody is, the distance is none.
    away = np.minimum(cv2.distanceTransform(_background(matte, side), cv2.DIST_L2, 5), side)
    near = np.clip(1 - (away * 256 / side - RIM) / FADE, 0, 1)
    return np.asarray(np.round(255 * near * near * (3 - 2 * near)), np.uint8)


def _background(matte: Image, side: int) -> Image:
    """1 where a matte uint8 [H, W] leaves no doubt that background is seen, else 0."""
    reach = 2 * max(1, round(SPREAD * side / 256)) + 1
    widened = cv2.dilate(matte, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return (widened <= 255 * TRUSTED_BACKGROUND).astype(np.uint8)


def _half(level: Float) -> Float:
    """`cv2.pyrDown` that keeps the channel axis."""
    half = np.asarray(cv2.pyrDown(level), np.float32)
    return half.reshape(*half.shape[:2], -1)
