"""Separates the person from the background of a picture.

MediaPipe's selfie segmentation draws a soft outline at 256 x 256; a guided filter (He, Sun, Tang:
"Guided Image Filtering", PAMI 2013, colour guide, eq. 19-21) then moves it onto the edges of the
picture itself, at the picture's resolution.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from parlante.contract import Double, Float, Image
from parlante.face.roi import Roi, crop, require_image, to_tensor, transform

SIDE = 256  # the network's input, pixels
GUIDE_SIDE = 384  # the filter's coefficients are smooth: computed at this size, applied at any
RADIUS = 1.5  # of the filter, in pixels of the network's matte: how far its outline is trusted
EPSILON = 1e-3  # squared contrast, of 1, below which a guide's edge is noise (0.03 of the range)
# The filter leaves a wide ramp, and the network draws about a pixel of background with the head.
# Chosen by eye, and by restoring 256 px mattes from 64 px ones (mean error 0.086 -> 0.032).
CONTRAST, MIDDLE = 1.6, 0.55
SMALLEST_HOLE = 2e-3  # of the picture: smaller gaps within the person are mistakes
SEAM = 0.06  # of the smaller side of a part, over which its matte and that of the whole blend


class Matte:
    """Draws the matte of a person.

    ``session`` runs ``matte.onnx``: image f32[1,3,256,256] in [0,1] -> matte f32[1,1,256,256].
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def predict(self, image: Image, *, at: tuple[float, float] | None = None) -> Float:
        """Opacity f32[H,W] in [0,1] of the person in ``image`` u8[H,W,3] RGB.

        The network knows pictures that show a head and shoulders, about square: crop larger
        pictures first. Only one connected piece is kept: the one with the pixel ``at`` (x, y; for
        example the tip of the nose), or else the largest. Raises ValueError for anything that is
        not such a picture.
        """
        require_image(image)
        height, width = image.shape[:2]
        roi = Roi((width - 1) / 2, (height - 1) / 2, max(height, width))
        (raw,) = self._session.run(["matte"], {"image": to_tensor(crop(image, roi, SIDE))})
        to_crop = np.asarray(cv2.invertAffineTransform(roi.matrix(SIDE)), np.float64)
        if at is not None:
            x, y = transform(at, to_crop)
            at = float(x), float(y)
        coarse = warp(one_piece_within(raw[0, 0], height, width, at), to_crop, width, height)
        fine = guided_filter(image, coarse, RADIUS * roi.size / SIDE, EPSILON)
        return to_float(np.clip((fine - MIDDLE) * CONTRAST + 0.5, 0, 1))


def lay_in(whole: Float, part: Float, left: int, top: int) -> None:
    """Lay the better matte of a part f32[h,w] into that of the ``whole`` picture f32[H,W].

    Its upper left pixel at ``left``, ``top``; less of it towards those of its edges beyond which
    the picture goes on.
    """
    weights = []
    for before, own, all_of in zip((top, left), part.shape, whole.shape, strict=True):
        from_start = (np.arange(own, dtype=np.float32) + 1) / (SEAM * min(part.shape))
        weight = np.ones(own, np.float32)
        if before:
            weight = np.minimum(weight, from_start)
        if before + own < all_of:
            weight = np.minimum(weight, from_start[::-1])
        weights.append(weight)
    inside = whole[top : top + part.shape[0], left : left + part.shape[1]]
    inside += np.minimum(weights[0][:, None], weights[1]) * (part - inside)


def one_piece_within(
    matte: Float, height: int, width: int, at: tuple[float, float] | None
) -> Float:
    """`one_piece` of the part of a square ``matte`` that a centred height x width picture fills.

    What the picture's repeated border adds around it must not connect people.
    """
    side = len(matte)
    top, left = (
        min(round(side * (1 - length / max(height, width)) / 2), (side - 1) // 2)
        for length in (height, width)
    )
    if at is not None:
        at = at[0] - left, at[1] - top
    inner = one_piece(matte[top : side - top, left : side - left], at)
    return np.pad(inner, ((top, top), (left, left)), mode="edge")


def warp(image: Float, matrix: Double, width: int, height: int) -> Float:
    """f32[H,W] sampled bilinearly at ``matrix`` f64[2,3] times each pixel; border repeated."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE
    warped = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=border)
    return np.asarray(warped, np.float32)


def guided_filter(image: Image, matte: Float, radius: float, epsilon: float) -> Float:
    """``matte`` f32[H,W] as a locally affine function of the colours of ``image`` u8[H,W,3].

    In each window of ``radius`` (pixels) the line matte = a . colour + b is fitted (ridge
    ``epsilon``, colours in [0,1]); a and b are averaged over the windows that hold a pixel.
    """
    height, width = matte.shape
    shrink = min(1.0, GUIDE_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    guide = to_float(cv2.resize(image, size, interpolation=cv2.INTER_AREA)) / np.float32(255)
    target = to_float(cv2.resize(matte, size, interpolation=cv2.INTER_AREA))
    side = 2 * max(1, round(radius * shrink)) + 1

    def mean(values: Float) -> Float:
        return to_float(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE))

    red, green, blue = (np.ascontiguousarray(guide[..., index]) for index in range(3))
    r, g, b, t = mean(red), mean(green), mean(blue), mean(target)
    rt, gt, bt = (
        mean(red * target) - r * t,
        mean(green * target) - g * t,
        mean(blue * target) - b * t,
    )
    ridge = np.float32(epsilon)
    rr, gg, bb = (
        mean(red * red) - r * r + ridge,
        mean(green * green) - g * g + ridge,
        mean(blue * blue) - b * b + ridge,
    )
    rg, rb, gb = mean(red * green) - r * g, mean(red * blue) - r * b, mean(green * blue) - g * b
    # Covariance of the colours, inverted by its cofactors.
    c_rr, c_gg, c_bb = gg * bb - gb * gb, rr * bb - rb * rb, rr * gg - rg * rg
    c_rg, c_rb, c_gb = rb * gb - rg * bb, rg * gb - rb * gg, rg * rb - rr * gb
    scale = 1 / (rr * c_rr + rg * c_rg + rb * c_rb)
    slope_r = (c_rr * rt + c_rg * gt + c_rb * bt) * scale
    slope_g = (c_rg * rt + c_gg * gt + c_gb * bt) * scale
    slope_b = (c_rb * rt + c_gb * gt + c_bb * bt) * scale
    offset = t - slope_r * r - slope_g * g - slope_b * b

    fine = enlarge(mean(offset), width, height)
    for channel, slope in enumerate((slope_r, slope_g, slope_b)):
        fine += enlarge(mean(slope), width, height) * (image[..., channel] * np.float32(1 / 255))
    return fine


def enlarge(plane: Float, width: int, height: int) -> Float:
    """f32[h,w] -> f32[height,width], bilinear, pixel centres kept."""
    return to_float(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))


def to_float(array: npt.ArrayLike) -> Float:
    """Any array as float32."""
    return np.asarray(array, np.float32)


def one_piece(matte: Float, at: tuple[float, float] | None) -> Float:
    """``matte`` with one connected piece and without its smallest holes."""
    height, width = matte.shape
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((matte > 0.5).astype(np.uint8))
    if count == 1:
        return matte
    kept = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    if at is not None:
        x, y = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(at, (width, height), strict=True))
        kept = int(labels[y, x]) or kept
    # Soft edges are outside the pieces: another piece's reach is where it is the nearest.
    others = (labels != kept) & (labels != 0)
    if others.any():
        to_kept, to_others = (
            cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
            for mask in (labels == kept, others)
        )
        matte = np.where(to_others < to_kept, np.float32(0), matte)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        (matte <= 0.5).astype(np.uint8), connectivity=4
    )
    small = statistics[:, cv2.CC_STAT_AREA] < SMALLEST_HOLE * height * width
    inside = (
        (statistics[:, cv2.CC_STAT_LEFT] > 0)
        & (statistics[:, cv2.CC_STAT_TOP] > 0)
        & (statistics[:, cv2.CC_STAT_LEFT] + statistics[:, cv2.CC_STAT_WIDTH] < width)
        & (statistics[:, cv2.CC_STAT_TOP] + statistics[:, cv2.CC_STAT_HEIGHT] < height)
    )
    holes = small & inside
    holes[0] = False  # not a hole but the person
    return np.where(holes[labels], np.float32(1), matte)
