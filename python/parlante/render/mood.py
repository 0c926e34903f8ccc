"""A face's lasting expression: the photo's own, taken back towards neutral, and a mood on top."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float, Mood
from parlante.face.model import FaceModel
from parlante.options import RenderOptions

# What each mood at its full strength adds to the coefficients of both sides.
MOODS: dict[Mood, dict[str, float]] = {
    "neutral": {},
    "friendly": {"mouthSmile": 0.55, "cheekSquint": 0.3, "eyeSquint": 0.15, "browOuterUp": 0.1},
    "serious": {"browDown": 1.1, "eyeSquint": 0.3, "mouthPress": 0.3, "mouthFrown": 0.1},
    "sad": {"browInnerUp": 0.8, "mouthFrown": 0.8, "eyeSquint": 0.1},
    "surprised": {"browInnerUp": 0.7, "browOuterUp": 0.7, "eyeWide": 0.5},
}
# Modes of the photo's own expression that are taken back, and how far: what the fit calls a smile
# is in part the shape of a face.
TAKEN_BACK = (
    *("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthUpperUp"),
    *("brow", "cheekSquint", "eyeSquint", "noseSneer"),
)
SHARE = 0.65
EASE = 0.15  # of the way to a new expression, a frame


def lasting(model: FaceModel, own: Float, options: RenderOptions) -> Float:
    """Change of the photo's ``own`` expression float32 [53] that lasts."""
    change = np.zeros_like(own)
    assert not isinstance(options.mood, str)
    mood, strength = options.mood
    for mode, name in enumerate(model.expression_names):
        if name.startswith(TAKEN_BACK):
            change[mode] = -SHARE * options.neutral * own[mode]
        change[mode] += strength * MOODS[mood].get(name.removesuffix("_L").removesuffix("_R"), 0.0)
    return change
