"""Lashes: of the photo, before upper lids, which would take them along; and along shut lids."""

from __future__ import annotations

import cv2
import numpy as np

from parlante.contract import ATLAS, BANDS, TILE, Float, Image
from parlante.face.patches import Patches
from parlante.face.topology import BROW_LEFT, BROW_RIGHT
from parlante.render.contact import EYES, sides
from parlante.render.ramp import ramp
from parlante.render.tone import LUMA

# Lashes are lines across the lid, thinner than this share of the eye's width, up to this share of
# the way to the brow; the lid's skin becomes the photo's over this share of the width.
THIN, REACH, SEAM = 0.18, 0.75, 0.06
DARKER = 2.5, 8.0  # levels: than what is beside them; from there on they are, and wholly
NEAR = np.ones((3, 3), np.uint8)  # pixels that a lash takes along
SMOOTH = 1.0  # pixels: of the skin that takes their place
BROWS = list(BROW_RIGHT), list(BROW_LEFT)
# How dense they are along a shut lid, from the inner corner of the eye, 0, to the outer one, 1: the
# dark line there is at its widest beyond the middle, as people's is.
ALONG = (0.0, 0.1, 0.3, 0.5, 0.8, 1.0), (0.0, 0.15, 0.6, 1.0, 0.7, 0.0)


def without_lashes(source: Image, landmarks: Float) -> tuple[Image, Float]:
    """A picture without the lashes before its upper lids, and where they are.

    source uint8 [S, S, 4]; landmarks [468, 2] in its pixels. Where they are: float32 [S, S], 0 to
    1.
    """
    out: Image = source.copy()
    found = np.zeros(source.shape[:2], np.float32)
    for eye in range(len(EYES)):
        lid = _lid(landmarks, eye)
        margin = int((THIN / 2 + 4 * SEAM) * np.ptp(lid[:, 0])) + 8
        first, last = np.floor(lid.min(0)) - margin, np.ceil(lid.max(0)) + margin
        (left, top), (right, bottom) = np.clip([first, last], 0, len(source)).astype(int)
        box = slice(top, bottom), slice(left, right)
        if out[box].size:
            out[box][..., :3], here = clear_lid(out[box], landmarks - (left, top), eye)
            np.maximum(found[box], here, out=found[box])
    return out, found


def clear_lid(picture: Image, landmarks: Float, eye: int) -> tuple[Image, Float]:
    """As `without_lashes`, of the right eye (0) or the left one (1), in a picture of any shape.

    uint8 [H, W, 3 or 4] → uint8 [H, W, 3], float32 [H, W]. The place of a lash is filled with what
    is beside it along the lid (a morphological closing).
    """
    photo = np.asarray(picture[..., :3], np.float32)
    luma = photo @ LUMA
    loop = EYES[eye]
    corners = landmarks[[loop[0], loop[len(loop) // 2]]]
    width = float(np.linalg.norm(corners[1] - corners[0]))
    filled = cv2.morphologyEx(photo, cv2.MORPH_CLOSE, _line(corners, THIN * width))
    filled = np.asarray(cv2.GaussianBlur(filled, (0, 0), SMOOTH), np.float32)
    outline = np.round(_lid(landmarks, eye)).astype(np.int32)
    within = cv2.fillPoly(np.zeros_like(luma), [outline], 1.0)
    within = cv2.GaussianBlur(within, (0, 0), SEAM * width)
    darker = np.asarray(cv2.dilate(within * (filled @ LUMA - luma), NEAR), np.float32)
    found = np.asarray(cv2.GaussianBlur(ramp(darker, *DARKER), (0, 0), SMOOTH), np.float32)
    clean: Image = np.round(photo + found[..., None] * (filled - photo)).astype(np.uint8)
    return clean, found


def density(measured: Float) -> Float:
    """How dense lashes are along the lids, by the pixels of the eyes' tile: float32 [128, 128].

    measured float32 [468, 3]: landmarks in the model's axes.
    """
    patches = Patches.of(measured)
    right, left = EYES
    half = len(right) // 2
    corners = (right[half], right[0]), (left[0], left[half])  # inner, outer
    out = np.empty((TILE, TILE), np.float32)
    for patch, (inner, outer) in enumerate(corners, 1):
        first, last = BANDS[patch]
        across = (np.arange(TILE) - (ATLAS[1] - 1) / 2) * patches.pixel[patch]
        from_inner = patches.centre[patch, 0] + across - measured[inner, 0]
        share = from_inner / (measured[outer, 0] - measured[inner, 0])
        out[first - TILE : last - TILE] = np.interp(share, *ALONG)
    return out


def _line(ends: Float, length: float) -> Image:
    """A kernel: a line of ``length`` pixels from one of the ``ends`` [2, 2] towards the other."""
    half = max(2, round(length / 2))
    along = half * (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    start, end = (np.round(half + sign * along).astype(int).tolist() for sign in (-1, 1))
    kernel: Image = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    return np.asarray(cv2.line(kernel, start, end, 1), np.uint8)


def _lid(landmarks: Float, eye: int) -> Float:
    """The outline [N, 2] of what lies between the edge of an upper lid and the brow."""
    loop = EYES[eye]
    edge, brow = landmarks[[loop[0], *sides(loop)[0], loop[len(loop) // 2]]], landmarks[BROWS[eye]]
    from_first, of_brow = np.linspace(0, 1, len(edge)), np.linspace(0, 1, len(brow))
    above = np.stack([np.interp(from_first, of_brow, brow[:, axis]) for axis in (0, 1)], 1)
    top = edge + REACH * (above - edge)
    return np.concatenate([edge[:1], top[1:-1], edge[:0:-1]])
