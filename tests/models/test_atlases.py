"""Atlases as they are kept for training: small, and nearly the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from models.data import dataset
from models.data.atlases import cut, load_atlases
from parlante.contract import BANDS
from parlante.face.patches import through
from parlante.face.topology import LIPS_OUTER

from .test_pairs import held


def test_what_is_saved_is_loaded(still_clip: dataset.PreparedClip, tmp_path: Path) -> None:
    made = held(still_clip, tmp_path)
    rng = np.random.default_rng(0)
    small = rng.integers(256, size=(len(made), 8, 4, 3), dtype=np.uint8)
    atlases = [cv2.resize(image, (128, 256)) for image in small]
    made.save(tmp_path / "still.npz", atlases)
    (loaded,) = load_atlases(tmp_path)
    for image, film in zip(atlases, loaded.read(), strict=True):
        assert np.square(image.astype(float) - film).mean() < 255**2 * 10**-3.5  # 35 dB
    assert np.abs(loaded.landmarks - made.landmarks).max() <= 1 / dataset.LANDMARK_UNIT
    assert np.abs(loaded.expression - made.expression).max() < 2.0**-11
    assert (loaded.person, loaded.sharp) == ("still", True)
    for name in ("frames", "to_atlas", "aperture", "closure", "identity"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))
    for name, part in vars(made.pose).items():
        np.testing.assert_array_equal(getattr(loaded.pose, name), part)


def test_lips_lie_in_the_mouths_patch(still_clip: dataset.PreparedClip, tmp_path: Path) -> None:
    """A frame with a white mouth makes an atlas that is white between the lips, black elsewhere."""
    made = held(still_clip, tmp_path)
    lips = made.landmarks[:, list(LIPS_OUTER), :2]
    frames = np.zeros((len(made), 512, 512, 3), np.uint8)
    for image, points in zip(frames, lips, strict=True):
        cv2.fillPoly(image, [np.round(points * 2).astype(np.int32)], (255, 255, 255))
    path = tmp_path / "mouths.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25, (512, 512))
    for image in frames:
        film.write(image)
    film.release()
    for atlas, points, maps in zip(cut(made, path), lips, made.to_atlas, strict=True):
        area = np.zeros(atlas.shape[:2], np.uint8)
        own = through(maps[:1], points)[0]
        cv2.fillPoly(area, [np.round(own).astype(np.int32)], 255)
        wanted, seen = area > 127, atlas[..., 1] > 127
        assert wanted[slice(*BANDS[0])].sum() == wanted.sum() > 500
        assert (wanted & seen).sum() > 0.9 * (wanted | seen).sum()


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"models\.data\.atlases"):
        load_atlases(tmp_path)


def test_training_on_atlases_needs_no_pyav() -> None:
    """A machine with a GPU may lack it."""
    code = "import sys; sys.modules['av'] = None; import models.train.renderer"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
