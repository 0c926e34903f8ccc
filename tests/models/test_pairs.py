"""Pairs of frames, and their mirror images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch.nn import functional

from models.attributes import Attributes
from models.data import dataset, pairs
from models.train import renderer as train_renderer
from parlante.face.model import FaceModel
from parlante.face.pose import rotation_matrix
from parlante.runtime.bundle import Bundle


def test_mirrored_pairs_are_the_mirror_image(still_clip: dataset.PreparedClip) -> None:
    """Everything a mirrored pair makes the renderer see is what the other would show in a
    mirror."""
    held = [np.arange(4)]
    straight, mirrored = (
        next(iter(pairs.Pairs([still_clip], held, 8, 0, mirror=mirror))) for mirror in (False, True)
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (4, 3, 256, 256), generator=generator).byte()
    frames = train_renderer.Frames(
        images=images,
        first=torch.zeros(1, dtype=torch.long),
        mattes=torch.from_numpy(still_clip.source_mattes)[:, None],
        plates=images[:2],
        first_source=torch.zeros(1, dtype=torch.long),
        source_image=torch.from_numpy(still_clip.source_frames),
    )
    attributes = Attributes().requires_grad_(False)
    a = train_renderer.assemble(straight, frames, attributes)
    b = train_renderer.assemble(mirrored, frames, attributes)
    assert 0 < mirrored.mirrored.sum() < 8
    for of_a, of_b in ((a.planes, b.planes), (a.target, b.target)):
        seen = pairs.mirror_images(functional.pixel_shuffle(of_b, 4), mirrored.mirrored)
        torch.testing.assert_close(seen, functional.pixel_shuffle(of_a, 4), atol=1e-3, rtol=0)
    # The random pictures have edges everywhere; few weights differ at the boxes' borders.
    weights = pairs.mirror_images(b.weight, mirrored.mirrored)
    assert (weights != a.weight).float().mean() < 0.01


def test_mirrored_attributes_move_the_mirrored_face() -> None:
    """The model's face is symmetric, up to its sampling: each mode's opposite moves it as the mode
    does in a mirror."""
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    opposite = pairs.opposite_modes(model.expression_names)
    assert sorted(opposite) == list(range(53))
    assert all(opposite[opposite[i]] == i for i in range(53))
    # The vertex nearest to each one's mirror image.
    across = np.linalg.norm(model.neutral[:, None] * [-1, 1, 1] - model.neutral[None], axis=-1)
    twin = across.argmin(1)
    for mode, other in zip(model.expression, opposite, strict=True):
        seen = model.expression[other][twin] * [-1, 1, 1]
        assert np.abs(seen - mode).mean() < 0.05 * np.abs(mode).mean()
    rng = np.random.default_rng(1)
    turn = rng.uniform(-0.3, 0.3, (6, 3)).astype(np.float32)
    flip = np.diag([-1, 1, 1])
    wanted = flip @ rotation_matrix(turn) @ flip
    np.testing.assert_allclose(rotation_matrix(turn * [1, -1, -1]), wanted, atol=1e-5)
