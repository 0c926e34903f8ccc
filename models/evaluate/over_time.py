"""Measures of a whole video rather than of one frame: lids, head, flicker, lips at closures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from hama import ASRModel
from numpy.typing import NDArray

from models.evaluate.metrics import Image
from parlante.contract import Float

FPS = 25
LIDS_SHUT, LIDS_OPEN = 0.6, 0.4  # closure at which a blink begins and ends
SHORTEST_BLINK, LONGEST_BLINK = 0.06, 0.6  # seconds; what takes longer are shut eyes
# Change a frame under which a head stands still (radians, model units, log scale): a hundredth of a
# pixel of a 256² picture; and lids (closure).
STILL_POSE, STILL_LIDS = 1e-4, 1e-3
REPEAT_SECONDS, REPEAT_STEP = 10, 5  # frames between the stretches compared
BILABIALS = frozenset("pbm")
# Frames before and after the moment a sound is heard, its release, in which its lips may meet.
CLOSURE_BEFORE, CLOSURE_AFTER = 4, 1


def blinks(closure: Float, fps: float = FPS) -> list[float]:
    """Durations in seconds of the blinks in lid closures [N] (0 open, 1 shut)."""
    durations, since = [], None
    for i, value in enumerate(np.append(closure, 0.0)):
        if since is None and value > LIDS_SHUT:
            since = i
        elif since is not None and value < LIDS_OPEN:
            durations.append((i - since) / fps)
            since = None
    return [d for d in durations if SHORTEST_BLINK <= d <= LONGEST_BLINK]


def pose_range(pose: Float) -> float:
    """Standard deviation in degrees of the head's turn, over rotation vectors [N, 3] (radians)."""
    return float(np.degrees(np.sqrt(pose[:, :3].var(0).sum())))


def pose_jerk(pose: Float, fps: float = FPS) -> float:
    """Mean magnitude of the turn's third derivative in degrees/s³, over rotation vectors [N, 3]."""
    return float(
        np.degrees(np.linalg.norm(np.diff(pose[:, :3], 3, axis=0), axis=1).mean() * fps**3)
    )


def longest_still(pose: Float, closure: Float, fps: float = FPS) -> float:
    """Seconds of the longest stretch in which nothing moves.

    Of pose changes [N, 6] and lid closures [N, 2]: neither by `STILL_POSE` nor by `STILL_LIDS` from
    frame to frame.
    """
    turned = np.abs(np.diff(pose, axis=0)).max(1) > STILL_POSE
    moving = turned | (np.abs(np.diff(closure, axis=0)).max(1) > STILL_LIDS)
    edges = np.flatnonzero(np.r_[True, moving, True])
    return float((np.diff(edges) - 1).max() / fps)


def nearest_repeat(pose: Float, fps: float = FPS) -> float:
    """How alike the two most alike stretches are that do not overlap; 0 if motion loops.

    Of `REPEAT_SECONDS` each: their distance over the median one, of rotation vectors [N, 3].
    """
    length, step = round(REPEAT_SECONDS * fps), REPEAT_STEP
    turn = np.asarray(pose[:, :3] - pose[:, :3].mean(0), np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(turn, length, axis=0)[::step]
    flat = windows.reshape(len(windows), -1)
    norms = (flat**2).sum(1)
    apart = np.triu_indices(len(flat), -(-length // step))
    squares = (norms[:, None] + norms - 2 * flat @ flat.T)[apart]
    return float(np.sqrt(max(squares.min(), 0) / np.median(squares)))


def flicker(frames: Sequence[Image], box: tuple[int, int, int, int]) -> float:
    """Mean absolute difference (8-bit levels) of frames inside ``box``, motion taken out.

    Between each frame and the one before it, moved by the optical flow (DIS, Kroeger et al. 2016).
    """
    x0, y0, x1, y1 = box
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]
    height, width = grey[0].shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    rows = []
    for before, now in pairwise(grey):
        at = grid + flow_of.calc(now, before, None)
        moved = cv2.remap(before, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rows.append(cv2.absdiff(moved, now)[y0:y1, x0:x1].mean())
    return float(np.mean(rows))


def closures(
    phonemes: Sequence[tuple[str, float]], aperture: Float, shut: float, fps: float = FPS
) -> NDArray[np.bool_]:
    """Whether the lips shut for each /p b m/ of ``phonemes`` (symbol and its moment in seconds).

    That is, whether their openings ``aperture`` [N] come under ``shut`` around that moment.
    """
    met = []
    for symbol, moment in phonemes:
        frame = int(moment * fps)
        around = aperture[max(0, frame - CLOSURE_BEFORE) : frame + CLOSURE_AFTER + 1]
        if symbol[:1] in BILABIALS and len(around):
            met.append(bool(around.min() < shut))
    return np.array(met, bool)


class Phonemes:
    """Phonemes and their moments, heard by `hama`."""

    def __init__(self) -> None:
        self._model = ASRModel()

    def __call__(self, samples: Float) -> list[tuple[str, float]]:
        """Symbol (IPA) and middle of the emission in seconds, for samples [n] at 16 kHz."""
        heard = self._model.transcribe_waveform(samples, 16_000)
        step = len(samples) / 16_000 / max(heard.num_frames, 1)
        return [
            (span.phoneme, (span.start_frame + 0.5) * step)
            for span in self._model.phoneme_spans(heard)
        ]
