"""How soft a photo is, for what is drawn into it to be no sharper."""

from __future__ import annotations

import cv2
import numpy as np

from parlante.contract import BANDS, Float

# Blur that is added to measure the blur that there is, pixels; the share of pixels that are edges,
# and of these the share that are at least as soft: the others are the sharp ones. All percent.
ADDED, EDGES, SHARP = 1.5, 5, 75
RIM = 6  # pixels: next to the border nothing is measured
OWN = 1.2  # pixels of the atlas: as soft as the networks draw
LEAST = 0.3  # pixels: less is not seen
FAINT = 8.0  # of the gradient, a level a pixel: with none above it a picture tells nothing
LEAST_FALL = 1e-3  # by which the squared ratio is above 1: less is no fall


def softer(luma: Float) -> float:
    """By how much what is drawn is to be blurred, a Gaussian's sigma in pixels of the atlas.

    luma float32 [256, 128]: of the photo, in the atlas. 0 for photos that are as sharp. The median
    of the patches counts: one may be in shade.
    """
    blur = float(np.median([_blur(luma[first:last]) for first, last in BANDS]))
    more = np.sqrt(max(blur**2 - OWN**2, 0))
    return float(more) if more > LEAST else 0.0


def _blur(luma: Float) -> float:
    """Of the sharpest edges, by how much their gradients fall in a further blur; 0 without any.

    S. Zhuo, T. Sim: Defocus map estimation from a single image. Pattern Recognition 44 (2011).
    """
    before, after = (
        cv2.magnitude(cv2.Sobel(seen, cv2.CV_32F, 1, 0), cv2.Sobel(seen, cv2.CV_32F, 0, 1))
        for seen in (luma, cv2.GaussianBlur(luma, (0, 0), ADDED))
    )
    before, after = (edge[RIM:-RIM, RIM:-RIM] for edge in (before, after))
    edges = before >= max(float(np.percentile(before, 100 - EDGES)), FAINT)
    if not edges.any():
        return 0.0
    ratio = float(np.percentile(before[edges] / np.maximum(after[edges], FAINT), SHARP))
    return float(ADDED / np.sqrt(max(ratio**2 - 1, LEAST_FALL)))
