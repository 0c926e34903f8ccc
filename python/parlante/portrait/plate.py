"""The background plate: what the picture would show if the person were not there."""

from __future__ import annotations

import cv2
import numpy as np

from parlante.contract import Float, Image

# The matte's soft edge carries hair colour; background is trusted only well outside it.
TRUSTED_BACKGROUND = 0.05
SPREAD = 5  # pixels of the 256-grid by which the matte is widened first


def background_plate(image: Image, matte: Image) -> Image:
    """Fill the person's place in ``image`` uint8 [H, W, 3] from its surroundings.

    ``matte`` uint8 [H, W] says where the person is.

    Pull-push over an image pyramid (Gortler et al. 1996, "The Lumigraph", section 3.4): smooth, and
    exact where the background is seen. Returns uint8 [H, W, 3].
    """
    size = max(image.shape[:2])
    reach = 2 * max(1, round(SPREAD * size / 256)) + 1
    widened = cv2.dilate(matte, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    known = (widened <= 255 * TRUSTED_BACKGROUND).astype(np.float32)
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


def _half(level: Float) -> Float:
    """`cv2.pyrDown` that keeps the channel axis."""
    half = np.asarray(cv2.pyrDown(level), np.float32)
    return half.reshape(*half.shape[:2], -1)
