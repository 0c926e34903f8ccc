"""Which vertices of the MediaPipe face mesh are what, and how wide lips and lids are open."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float

# Loops of vertices, from the picture's left corner: along the top, then back along the bottom.
LIPS_INNER = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
)
LIPS_OUTER = (
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
)
EYE_RIGHT = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
EYE_LEFT = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
# Lower edges of the brows, from the picture's left to its right.
BROW_RIGHT, BROW_LEFT = (46, 53, 52, 65, 55), (285, 295, 282, 283, 276)
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288),
    *(397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136),
    *(172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# Vertex of each of the 68 Multi-PIE landmarks: jaw, brows, nose, eyes, outer and inner lips.
LANDMARKS_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)  # fmt: skip
# (upper lid, lower lid) pairs across each eye and (upper, lower) pairs across the inner lips.
LID_PAIRS_RIGHT = ((160, 144), (159, 145), (158, 153))
LID_PAIRS_LEFT = ((385, 380), (386, 374), (387, 373))
LIP_PAIRS = ((82, 87), (13, 14), (312, 317))
LIP_CORNERS = (78, 308)
NOSE_TIP = 1
# Forehead, temples, nose and cheekbones: what jaw, lips and lids leave in place.
RIGID = (
    *(10, 338, 297, 332, 284, 251, 389, 127, 162, 21, 54, 103, 67, 109, 151, 9, 8),
    *(168, 6, 197, 195, 5, 4, 1, 108, 69, 104, 68, 71, 139, 337, 299, 333, 298),
    *(301, 368, 122, 196, 3, 51, 45, 351, 419, 248, 281, 275, 234, 454, 93, 323, 127),
    *(356, 116, 345, 111, 340, 117, 346, 118, 347, 143, 372, 193, 417, 245, 465),
)


def lip_aperture(landmarks: Float) -> Float:
    """Inner-lip opening over mouth width [N] of landmarks [N, ≥468, 2 or 3]."""
    return _opening(landmarks, LIP_PAIRS, LIP_CORNERS)


def eye_aperture(landmarks: Float) -> Float:
    """Lid opening over eye width, right and left eye [N, 2], of landmarks [N, ≥468, 2 or 3]."""
    right = _opening(landmarks, LID_PAIRS_RIGHT, (33, 133))
    return np.stack([right, _opening(landmarks, LID_PAIRS_LEFT, (362, 263))], -1)


def _opening(
    landmarks: Float, pairs: tuple[tuple[int, int], ...], corners: tuple[int, int]
) -> Float:
    plane = landmarks[..., :2]
    width = np.linalg.norm(plane[:, corners[0]] - plane[:, corners[1]], axis=-1)
    heights = [np.linalg.norm(plane[:, a] - plane[:, b], axis=-1) for a, b in pairs]
    return np.asarray(np.mean(heights, 0) / np.maximum(width, 1e-6), np.float32)
