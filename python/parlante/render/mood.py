"""A face's lasting expression: the photo's own, taken back towards neutral, and a mood on top."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float, Mood
from parlante.face.model import FaceModel

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


def taken_back(model: FaceModel, own: Float, neutral: float) -> Float:
    """Change float32 [53] that takes a photo's ``own`` expression [53] towards neutral, 0 to 1."""
    given_up = [name.startswith(TAKEN_BACK) for name in model.expression_names]
    return np.asarray(np.where(given_up, -SHARE * neutral * own, 0), np.float32)


def added(model: FaceModel, mood: Mood, strength: float) -> Float:
    """Change float32 [53] that a mood of a strength from 0 to 1 adds."""
    sides = MOODS[mood]
    names = (name.removesuffix("_L").removesuffix("_R") for name in model.expression_names)
    return np.array([strength * sides.get(name, 0.0) for name in names], np.float32)
