"""Squares of a picture, turned and scaled, as the networks that look at faces want them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from parlante.contract import Double, Float, Image


@dataclass(frozen=True)
class Roi:
    """A square of a picture.

    Centre ``x``, ``y`` (pixels, pixel centres at integers), side ``size`` (pixels) and clockwise
    tilt ``angle`` (radians). It may reach over the border of the picture.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    def matrix(self, side: int) -> Double:
        """f64[2,3] from pixels of the crop [side, side] to pixels of the picture.

        Both count pixel centres.
        """
        scale = self.size / side
        a, b = scale * math.cos(self.angle), scale * math.sin(self.angle)
        middle = (side - 1) / 2
        return np.array(
            [[a, -b, self.x - (a - b) * middle], [b, a, self.y - (a + b) * middle]],
            dtype=np.float64,
        )


def crop(image: Image, roi: Roi, side: int, *, border: int = cv2.BORDER_REPLICATE) -> Image:
    """The square ``roi`` of ``image`` u8[H,W,C], scaled to u8[side,side,C] without aliasing.

    ``border`` (an OpenCV border type) fills what lies outside the picture.
    """
    matrix = roi.matrix(side)
    # Bilinear sampling of a much larger square would skip pixels: average to about its size first.
    factor = round(roi.size / side)
    if factor > 1:
        corners = transform(np.array([[-1, -1], [side, -1], [-1, side], [side, side]]), matrix)
        height, width = image.shape[:2]
        left, top = np.clip(
            np.floor(corners.min(axis=0)).astype(int) - factor, 0, (width - 1, height - 1)
        )
        right, bottom = np.clip(
            np.ceil(corners.max(axis=0)).astype(int) + factor, 1, (width, height)
        )
        part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        rows, columns = part.shape[:2]
        new_rows, new_columns = max(1, round(rows / factor)), max(1, round(columns / factor))
        image = np.asarray(
            cv2.resize(part, (new_columns, new_rows), interpolation=cv2.INTER_AREA), np.uint8
        )
        # picture -> shrunk picture, pixel centres at integers
        step = np.array([[columns / new_columns], [rows / new_rows]])
        start = np.array([[left + step[0, 0] / 2 - 0.5], [top + step[1, 0] / 2 - 0.5]])
        matrix = np.concatenate([matrix[:, :2], matrix[:, 2:] - start], axis=1) / step
    warped = cv2.warpAffine(
        image,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
    )
    return np.asarray(warped, np.uint8)


def transform(points: npt.ArrayLike, matrix: Double) -> Double:
    """Points [...,2] through an affine f64[2,3]."""
    return np.asarray(np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2], np.float64)


def to_tensor(image: Image) -> Float:
    """u8[H,W,3] -> f32[1,3,H,W] in [0,1]."""
    return np.asarray(cv2.dnn.blobFromImage(image, 1.0 / 255.0), np.float32)


def require_image(image: Image) -> None:
    """Raise ValueError unless ``image`` is u8[H,W,3] with pixels in it."""
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
    ):
        given = (
            f"{image.dtype}{list(image.shape)}"
            if isinstance(image, np.ndarray)
            else type(image).__name__
        )
        raise ValueError(f"expected an RGB picture uint8[height, width, 3], got {given}")
    if image.size == 0:
        raise ValueError(f"the picture is empty: {list(image.shape)}")
