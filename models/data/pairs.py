"""Source-target pairs for the renderer.

Worker processes move and rasterise, the GPU does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from models.data.dataset import SIZE, PreparedClip
from parlante import _core
from parlante.contract import Float
from parlante.face.model import FaceModel
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIPS_OUTER
from parlante.render.mesh import WarpMesh
from parlante.runtime.bundle import Bundle

TARGETS = 4  # target frames drawn for one source: moving the mesh for several at once is cheaper
# Boxes around lips and eyes are widened by this share of their size.
MOUTH_MARGIN, EYE_MARGIN = 0.35, 0.5


@dataclass(frozen=True)
class PairBatch:
    """N pairs of a source and a target.

    clip, source slot and row of the target among the held frames, int64 [N]; displacement float16
    [N, 256, 256, 2]; mouth uint8 [N, 1, 256, 256]; interior uint8 [N, 3, 256, 256]; boxes float32
    [N, 3, 4] (mouth, right eye, left eye; x0, y0, x1, y1); expression float32 [N, 53], that of the
    source as ``own``; pose change float32 [N, 6]; mirrored bool [N]: all of it is of the pictures
    flipped left to right.
    """

    clip: Tensor
    slot: Tensor
    frame: Tensor
    displacement: Tensor
    mouth: Tensor
    interior: Tensor
    boxes: Tensor
    expression: Tensor
    own: Tensor
    pose: Tensor
    mirrored: Tensor


def draw_maps(
    mesh: WarpMesh, vertices: Float, interior: Float, size: int = SIZE
) -> tuple[Float, Float]:
    """Warp and interior maps, both [size, size, 3], of one frame, by the native rasteriser."""
    warp = np.zeros((size, size, 3), np.float32)
    warp[..., 1], warp[..., 0] = np.mgrid[:size, :size]
    depth = np.empty((size, size), np.float32)
    _core.rasterize(vertices, mesh.triangles, mesh.attributes, warp, depth)
    maps = np.zeros((size, size, 3), np.float32)
    _core.rasterize(interior, mesh.model.interior_triangles, mesh.interior_attributes, maps, depth)
    return warp, maps


def region_boxes(vertices: Float) -> Float:
    """Boxes [3, 4] around mouth, right eye and left eye of warp vertices [V, 3]."""
    boxes = []
    for loop, margin in (
        (LIPS_OUTER, MOUTH_MARGIN),
        (EYE_RIGHT, EYE_MARGIN),
        (EYE_LEFT, EYE_MARGIN),
    ):
        points = vertices[list(loop), :2]
        low, high = points.min(0), points.max(0)
        room = margin * (high - low).max() / 2
        boxes.append(np.r_[low - room, high + room])
    return np.array(boxes, np.float32)


def opposite_modes(names: Sequence[str]) -> list[int]:
    """For each expression mode the one that a mirror shows in its place."""
    sides = {"_L": "_R", "_R": "_L", "Left": "Right", "Right": "Left"}
    ends = [next((end for end in sides if name.endswith(end)), "") for name in names]
    return [
        names.index(name.removesuffix(end) + sides.get(end, ""))
        for name, end in zip(names, ends, strict=True)
    ]


def mirror_images(images: Tensor, mirrored: Tensor) -> Tensor:
    """Images [N, ..., W], those that are to be ``mirrored`` [N] flipped left to right."""
    flags = mirrored.view(-1, *[1] * (images.ndim - 1))
    return torch.where(flags, images.flip(-1), images)


def held_frames(clip: PreparedClip, limit: int) -> NDArray[np.int64]:
    """The frames of a clip that training holds in memory, ascending.

    Its sources and up to ``limit`` targets, evenly spread over the kept frames.
    """
    usable = np.flatnonzero(clip.keep)
    spread = usable[np.linspace(0, len(usable) - 1, min(limit, len(usable))).astype(int)]
    return np.union1d(spread, clip.source_frames)


def mixed(batches: Iterator[PairBatch], hold: int, reuse: int) -> Iterator[PairBatch]:
    """Batches drawn at random from the last ``hold`` pairs, ``reuse`` of them for each new one.

    Neighbours in a batch then come from different clips.
    """
    store: PairBatch | None = None
    filled = position = 0
    for batch in batches:
        n = len(batch.clip)
        if store is None:
            store = PairBatch(*(v.new_empty((hold, *v.shape[1:])) for v in vars(batch).values()))
        for held, fresh in zip(vars(store).values(), vars(batch).values(), strict=True):
            held[position : position + n] = fresh
        filled, position = max(filled, position + n), (position + n) % (hold - hold % n)
        if filled >= hold // 4:
            for _ in range(reuse):
                rows = torch.randint(filled, (n,))
                yield PairBatch(*(v[rows] for v in vars(store).values()))


class Pairs(IterableDataset[PairBatch]):
    """Endless batches of pairs from ``clips``; the clip index counts in the given order.

    ``frames`` are the target frames to draw from, by clip; `PairBatch.frame` counts within them.
    ``mirror``: half of the pairs are flipped left to right.
    """

    def __init__(
        self,
        clips: list[PreparedClip],
        frames: list[NDArray[np.int64]],
        batch: int,
        seed: int,
        *,
        mirror: bool,
    ) -> None:
        self.clips, self.frames, self.batch, self.seed = clips, frames, batch, seed
        self.mirror = mirror
        frames = np.array([c.keep.sum() for c in clips], np.float64)
        # Long clips of one person must not crowd out short ones of others.
        self.share = np.sqrt(frames) / np.sqrt(frames).sum()

    def __iter__(self) -> Iterator[PairBatch]:
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        model = FaceModel.load(Bundle.default().path("face_model.npz"))
        # The workers share the cores among themselves; BLAS threads on top would only get in the
        # way.
        with threadpool_limits(1):
            while True:
                yield self._draw(rng, model)

    def _draw(self, rng: np.random.Generator, model: FaceModel) -> PairBatch:
        n = self.batch
        clip_index, slots, frames = (np.empty(n, np.int64) for _ in range(3))
        displacement = np.empty((n, SIZE, SIZE, 2), np.float16)
        mouth, interior = (
            np.empty((n, 1, SIZE, SIZE), np.uint8),
            np.empty((n, 3, SIZE, SIZE), np.uint8),
        )
        boxes, poses = np.empty((n, 3, 4), np.float32), np.empty((n, 6), np.float32)
        expressions, own = np.empty((n, 53), np.float32), np.empty((n, 53), np.float32)
        grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1).astype(np.float32)
        for start in range(0, n, TARGETS):
            index = int(rng.choice(len(self.clips), p=self.share))
            clip = self.clips[index]
            slot = int(rng.integers(len(clip.source_frames)))
            source = clip.source_frames[slot]
            mesh = WarpMesh.build(
                model,
                clip.source_landmarks[slot],
                clip.identity,
                clip.expression[source],
                clip.pose[source : source + 1],
            )
            count = min(TARGETS, n - start)
            others = np.flatnonzero(self.frames[index] != source)
            rows = rng.choice(others, size=count)
            chosen = self.frames[index][rows]
            vertices, inside = mesh.move(clip.expression[chosen], clip.pose[chosen])
            change = clip.pose[chosen].relative_to(clip.pose[source : source + 1])
            for k, frame in enumerate(chosen):
                i = start + k
                warp, maps = draw_maps(mesh, vertices[k], inside[k])
                displacement[i] = warp[..., :2] - grid
                mouth[i, 0] = np.round(warp[..., 2] * 255)
                interior[i] = np.round(maps.transpose(2, 0, 1) * 255)
                boxes[i] = region_boxes(vertices[k])
                clip_index[i], slots[i], frames[i] = index, slot, rows[k]
                expressions[i], poses[i] = clip.expression[frame], change[k]
                own[i] = clip.expression[source]
        mirrored = rng.random(n) < (0.5 if self.mirror else 0)
        flip = np.flatnonzero(mirrored)
        displacement[flip] = displacement[flip, :, ::-1] * np.float16([-1, 1])
        mouth[flip], interior[flip] = mouth[flip, ..., ::-1], interior[flip, ..., ::-1]
        left, top, right, bottom = np.moveaxis(boxes[flip][:, [0, 2, 1]], -1, 0)
        boxes[flip] = np.stack([SIZE - 1 - right, top, SIZE - 1 - left, bottom], -1)
        opposite = opposite_modes(model.expression_names)
        expressions[flip], own[flip] = expressions[flip][:, opposite], own[flip][:, opposite]
        poses[flip] *= np.float32([1, -1, -1, -1, 1, 1])
        arrays = (
            clip_index,
            slots,
            frames,
            displacement,
            mouth,
            interior,
            boxes,
            expressions,
            own,
            poses,
            mirrored,
        )
        return PairBatch(*(torch.from_numpy(a) for a in arrays))
