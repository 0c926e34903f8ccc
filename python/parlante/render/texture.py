"""The texture of a photo's skin, for what is drawn beside it."""

from __future__ import annotations

import cv2
import numpy as np

from parlante.contract import BANDS, TILE, Float

# Texture of skin is what is finer than so many pixels of the crop; lids that are drawn have that of
# the cheek, so many heights of the patch below the eye. Of its strength, over so many pixels of the
# tile, so many percent of the cheek are plain skin; what is stronger, as the rims of glasses, is
# weakened to that, and nothing is so many times as strong.
FINE, CHEEK = 2.0, 0.55
AREA, PLAIN, COARSEST = 4.0, 25, 3.0
# What has one direction, over so many pixels, is strokes or hair, up to the first of these shares
# none, from the second on all; the rest is grain, which is so much stronger on lids.
DIRECTED, STROKES, STRONGER = 8.0, (0.32, 0.4), 0.6
# Throats and tongues that are drawn have the grain, too, so many times as strong: they are dark and
# soft. Nothing of it is stronger than so many medians, as a wrinkle is.
GRAIN, LINES = 2.5, 2.5
DIMMEST = 0.05  # of 1: light over which grain is told
TINY = 1e-6  # of 2: no texture at all


def texture(luma: Float, seen: Float) -> Float:
    """Of the cheeks, in the eyes' tile: float32 [128, 128]; luma float32 [512, 512], over 127.5."""
    fine = luma - cv2.GaussianBlur(luma, (0, 0), FINE)
    first = BANDS[1][0]
    out = np.empty((TILE, TILE), np.float32)
    for top, bottom in BANDS[1:]:
        below = CHEEK * (bottom - top) * (seen[top + 1, 0] - seen[top, 0])
        # Mirrored: next to the lower lid lies what is next to it.
        at = np.asarray(seen[top:bottom][::-1] + below, np.float32)
        own = cv2.remap(fine, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        out[top - first : bottom - first] = own
    strength = np.asarray(cv2.GaussianBlur(np.abs(out), (0, 0), AREA), np.float32)
    plain = np.percentile(strength, PLAIN).astype(np.float32)
    out *= np.minimum(plain / np.maximum(strength, TINY), 1)
    out = np.clip(out, -COARSEST * plain, COARSEST * plain)
    out *= np.float32(1 + STRONGER * _is_grain(out))
    return out


def grain(own: Float, light: float, scale: float) -> Float:
    """By what share of it the light in a mouth differs: float32 [128, 128], of the mouth's tile.

    own: `texture` float32 [128, 128]; light: of the skin there, 0 to 1; scale: how wide a pixel of
    the eyes' tile is, in pixels of the mouth's.
    """
    side = min(round(TILE * scale / 2) * 2, TILE)
    fine = cv2.resize(own, (side, side), interpolation=cv2.INTER_AREA)
    most = LINES * float(np.median(np.abs(fine)))
    even: Float = np.clip(fine, -most, most).astype(np.float32)
    even *= np.float32(GRAIN * _is_grain(even) / (2 * max(light, DIMMEST)))
    return np.pad(even, (TILE - side) // 2, mode="reflect")


def _is_grain(fine: Float) -> float:
    """How far a picture [H, W] has no direction of its own at each place, 0 to 1.

    Told by its coherence: J. Bigün, G. H. Granlund: Optimal orientation detection of linear
    symmetry. ICCV 1987.
    """
    x, y = (cv2.Sobel(fine, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.GaussianBlur(v, (0, 0), DIRECTED) for v in (x * x, y * y, x * y))
    coherence = np.hypot(xx - yy, 2 * xy).sum() / max(float((xx + yy).sum()), TINY)
    return float(np.interp(coherence, STROKES, (1, 0)))
