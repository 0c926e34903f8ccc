"""Pairs of frames, and their mirror images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch.nn import functional

from models.attributes import Attributes
from models.data import dataset, pairs
from models.data.atlases import Held
from models.train import renderer as train_renderer
from parlante.contract import ATLAS, TILE, TILES, VERTICES
from parlante.face.model import FaceModel
from parlante.face.pose import rotation_matrix
from parlante.runtime.bundle import Bundle


def held(clip: dataset.PreparedClip, folder: Path) -> Held:
    """All frames of a clip, the irises tracked at the upper lids."""
    (folder / "track").mkdir()
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    landmarks = np.zeros((len(clip), 478, 3), np.float32)
    shape = model.shape(clip.identity, clip.expression)
    landmarks[:, :VERTICES] = clip.pose.apply(shape)[:, :VERTICES]
    landmarks[:, [468, 473]] = landmarks[:, [159, 386]]
    np.savez(
        folder / "track" / f"{clip.name}.npz",
        landmarks=np.round(landmarks * dataset.LANDMARK_UNIT).astype(np.int16),
    )
    return Held.of(clip, folder, 100, sharp=True)


def test_mirrored_pairs_are_the_mirror_image(
    still_clip: dataset.PreparedClip, tmp_path: Path
) -> None:
    """Everything a mirrored pair makes the renderer see is what the other would show in a
    mirror."""
    clip = held(still_clip, tmp_path)
    straight, mirrored = (
        next(iter(pairs.Pairs([clip], [1.0], 8, 0, mirror=mirror))) for mirror in (False, True)
    )
    generator = torch.Generator().manual_seed(0)
    atlases = torch.randint(256, (len(clip), 3, *ATLAS), generator=generator).byte()
    balances = torch.full((len(clip), 3), 0.9)
    images = train_renderer.Frames(atlases, atlases[:, :, TILE:], balances)
    attributes = Attributes().requires_grad_(False)
    a = train_renderer.assemble(straight, images, len(images), attributes)
    b = train_renderer.assemble(mirrored, images, len(images), attributes)
    assert 0 < mirrored.mirrored.sum() < 8
    for of_a, of_b in (
        (functional.pixel_shuffle(a.planes, 4), functional.pixel_shuffle(b.planes, 4)),
        (a.target, b.target),
    ):
        atlas_a, atlas_b = (torch.cat(tiles.chunk(TILES), -2) for tiles in (of_a, of_b))
        seen = pairs.mirror(atlas_b, mirrored.mirrored)
        torch.testing.assert_close(seen, atlas_a, atol=1e-3, rtol=0)


def test_beside_a_wide_mouth_of_shut_lips_the_warp_is_kept(
    still_clip: dataset.PreparedClip, tmp_path: Path
) -> None:
    """As at run time: an inside that was made, lips and chin; beside narrow ones little."""
    names = FaceModel.of(Bundle.default().arrays("face_model")).expression_names
    still_clip.expression[:] = 0
    still_clip.expression[1:, names.index("jawOpen")] = 0.8
    clip = held(still_clip, tmp_path)
    batch = next(iter(pairs.Pairs([clip], [1.0], 64, 0, mirror=False)))
    assert (batch.reference < 0).all()
    opening, kept = batch.maps[:, 0, :TILE].float(), batch.maps[:, -1, :TILE].float()
    wide = (batch.source == 0) & (batch.target > 0)
    middle = kept[:, TILE // 2 - 8 : TILE // 2 + 8, TILE // 2]
    assert wide.any() and (opening[wide].amax((1, 2)) == 255).all()
    assert (middle[wide].amax(1) == 255).all() and (kept[wide][:, -1] == 255).all()
    shut = (batch.source > 0) & (batch.target == 0)
    assert shut.any() and kept[shut][:, -1].max() < 128


def test_eyes_change_places_in_a_mirror() -> None:
    atlas = torch.arange(256 * 128).view(256, 128)
    turned = pairs.mirrored_atlas(atlas)
    assert torch.equal(pairs.mirrored_atlas(turned), atlas)
    assert torch.equal(turned[:128], atlas[:128].flip(-1))
    assert torch.equal(turned[128:192], atlas[192:].flip(-1))


def test_mirrored_attributes_move_the_mirrored_face() -> None:
    """The model's face is symmetric, up to its sampling: each mode's opposite moves it as the mode
    does in a mirror."""
    model = FaceModel.of(Bundle.default().arrays("face_model"))
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


def test_mixed_batches_draw_each_pair_about_so_often(
    still_clip: dataset.PreparedClip, tmp_path: Path
) -> None:
    """Batches larger than what comes, of pairs among the last held, so many for each new one."""
    one = next(iter(pairs.Pairs([held(still_clip, tmp_path)], [1.0], 4, 0, mirror=False)))

    def numbered() -> Iterator[pairs.PairBatch]:
        for k in range(40):
            yield replace(one, source=torch.arange(4 * k, 4 * k + 4))

    drawn = [batch.source for batch in pairs.mixed(numbered(), hold=16, reuse=3, size=8)]
    assert {len(rows) for rows in drawn} == {8}
    assert sum(map(len, drawn)) == pytest.approx(3 * 160, abs=8)
    counts = torch.bincount(torch.cat(drawn), minlength=160)
    assert counts.float().mean() == pytest.approx(3, abs=0.1)
    # A pair stays among the last 16: it is not drawn when 16 more have come.
    for k, rows in enumerate(drawn):
        newest = 4 * (1 + (8 * (k + 1) - 1) // 12) - 1
        assert newest - 16 < rows.min() and rows.max() <= newest
