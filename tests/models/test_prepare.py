"""Preparing clips: which frames are kept."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from models.data import prepare


def test_kept_frames_counts_each_frame_once() -> None:
    face = np.zeros((8, 478, 3), np.float32)
    face[:, :, 0] = np.linspace(80, 180, 478)
    face[:, 234, 0], face[:, 454, 0] = 80, 180
    face[:, :, 1] = 128
    presence = np.ones(8, np.float32)
    yaw = np.zeros(8, np.float32)
    presence[0] = 0.2
    face[2, :, 1] += 60  # jumps there, and back in frame 3
    face[5:] *= 0.3  # jumps and is small from there
    yaw[7] = 1.2
    keep, dropped = prepare.kept_frames(face, presence, yaw)
    assert keep.tolist() == [False, True, False, False, True, False, False, False]
    assert sum(dropped.values()) == 6
    assert dropped["no face"] == 1
    assert dropped["cut or jump"] == 3
    assert dropped["face too small"] + dropped["profile"] == 2
