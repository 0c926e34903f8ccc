"""Source-target pairs for the renderer: a frame of a clip, another one, and references.

Pictures are held as atlases (`models.data.atlases`). Worker processes move and rasterise, the
training device does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from models.data.atlases import Held
from parlante import _core
from parlante.contract import ATLAS, BANDS, VERTICES, Float
from parlante.face.model import FaceModel
from parlante.face.patches import own_places, through
from parlante.face.topology import LIPS_INNER
from parlante.render.atlas import draw_edges, draw_flow, unseen
from parlante.render.mesh import EYES_START, RING_START, WarpMesh
from parlante.render.mouth import Mouth, are_parted, in_tile, keep
from parlante.runtime.bundle import Bundle

TARGETS = 4  # target frames drawn for one source: moving the mesh for several at once is cheaper
# Of the targets: moved as the truth's landmarks are, the others by the 3DMM; with shut lids, and
# with a wide open mouth, where a clip has such.
MEASURED, SHUT_LIDS, OPEN_MOUTH = 0.7, 0.2, 0.35
# Pairs without a reference, with one, and with the nearest of so many.
REFERENCES = (0, 0, 0, 0, 1, 1, 2, 4, 8, 16, 32)
APART = 6  # frames between a target and its reference, at least


@dataclass(frozen=True)
class PairBatch:
    """N pairs of a source and a target, with at most one reference for each patch.

    source, target int64 [N] and reference int64 [N, 3]: rows among all atlases, −1 for none; moved
    float16 [N, 256, 128, 4]: where source and reference are sampled, less the pixel's own place;
    maps uint8 [N, 8, 256, 128]: opening, drawn, edges, where an inside is seen that the source does
    not show, RGB of that inside over `LIGHT`, and how far the warp is kept; expression float32 [N,
    53], that of the source as ``own``; pose change float32 [N, 6]; mirrored bool [N]: all of it is
    of the pictures flipped left to right.
    """

    source: Tensor
    target: Tensor
    reference: Tensor
    moved: Tensor
    maps: Tensor
    expression: Tensor
    own: Tensor
    pose: Tensor
    mirrored: Tensor

    def to(self, device: torch.device) -> PairBatch:
        """The same there."""
        return PairBatch(*(v.to(device, non_blocking=True) for v in vars(self).values()))

    def pin_memory(self) -> PairBatch:
        """The same where a GPU reads it fast: the loader's ``pin_memory``."""
        return PairBatch(*(v.pin_memory() for v in vars(self).values()))


def opposite_modes(names: Sequence[str]) -> list[int]:
    """For each expression mode the one that a mirror shows in its place."""
    sides = {"_L": "_R", "_R": "_L", "Left": "Right", "Right": "Left"}
    ends = [next((end for end in sides if name.endswith(end)), "") for name in names]
    return [
        names.index(name.removesuffix(end) + sides.get(end, ""))
        for name, end in zip(names, ends, strict=True)
    ]


def mirrored_atlas(images: Tensor) -> Tensor:
    """Atlases [..., 256, 128] of the pictures flipped left to right: the eyes change places."""
    mouth, right, left = images.flip(-1).split([last - first for first, last in BANDS], -2)
    return torch.cat([mouth, left, right], -2)


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Atlases [N, ..., 256, 128], those of ``mirrored`` [N] flipped."""
    flags = mirrored.view(-1, *[1] * (images.ndim - 1))
    return torch.where(flags, mirrored_atlas(images), images)


def mixed(batches: Iterable[PairBatch], hold: int, reuse: int, size: int) -> Iterator[PairBatch]:
    """Batches of ``size`` pairs drawn at random from the last ``hold``.

    ``reuse``: pairs drawn for each new one. Neighbours in a batch then come from different clips.
    """
    store: PairBatch | None = None
    filled = position = due = 0
    for batch in batches:
        n = len(batch.source)
        if store is None:
            store = PairBatch(*(v.new_empty((hold, *v.shape[1:])) for v in vars(batch).values()))
        for held, fresh in zip(vars(store).values(), vars(batch).values(), strict=True):
            held[position : position + n] = fresh
        filled, position = max(filled, position + n), (position + n) % (hold - hold % n)
        if filled < hold // 4:
            continue
        due += reuse * n
        while due >= size:
            due -= size
            rows = torch.randint(filled, (size,)).to(store.source.device)
            yield PairBatch(*(v[rows] for v in vars(store).values()))


class Pairs(IterableDataset[PairBatch]):
    """Endless batches of pairs.

    A clip is drawn with a chance of its weight. ``mirror``: half of the pairs are flipped.
    """

    def __init__(
        self, held: list[Held], weights: list[float], batch: int, seed: int, *, mirror: bool
    ) -> None:
        self.held, self.batch, self.seed, self.mirror = held, batch, seed, mirror
        self.share = np.asarray(weights) / np.sum(weights)
        self.first = np.cumsum([0, *map(len, held)])  # row of each clip's first atlas among all

    def __iter__(self) -> Iterator[PairBatch]:
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        model = FaceModel.of(Bundle.default().arrays("face_model"))
        # The workers share the cores among themselves; BLAS threads on top would only get in the
        # way.
        with threadpool_limits(1):
            while True:
                yield self._draw(rng, model)

    def _draw(self, rng: np.random.Generator, model: FaceModel) -> PairBatch:
        n = self.batch
        source, target = np.empty(n, np.int64), np.empty(n, np.int64)
        reference = np.full((n, 3), -1, np.int64)
        flow = np.empty((n, *ATLAS, 6), np.float32)
        others = np.zeros((n, *ATLAS, 6), np.float32)
        pose = np.empty((n, 6), np.float32)
        expression, own = np.empty((n, 53), np.float32), np.empty((n, 53), np.float32)
        for start in range(0, n, TARGETS):
            drawn_clip = int(rng.choice(len(self.held), p=self.share))
            held, first = self.held[drawn_clip], self.first[drawn_clip]
            s = int(rng.integers(len(held)))
            rows = slice(start, min(start + TARGETS, n))
            count = rows.stop - rows.start
            chosen = np.array([_target(rng, held, s) for _ in range(count)])
            nearest = np.array([_references(rng, held, t) for t in chosen])
            _draw_pairs(rng, model, held, s, chosen, nearest, (flow[rows], others[rows]))
            source[rows], target[rows] = first + s, first + chosen
            reference[rows] = np.where(nearest < 0, -1, first + nearest)
            expression[rows], own[rows] = held.expression[chosen], held.expression[s]
            pose[rows] = held.pose[chosen].relative_to(held.pose[s : s + 1])
        mirrored = rng.random(n) < (0.5 if self.mirror else 0)
        flip = np.flatnonzero(mirrored)
        opposite = opposite_modes(model.expression_names)
        expression[flip], own[flip] = expression[flip][:, opposite], own[flip][:, opposite]
        pose[flip] *= np.float32([1, -1, -1, -1, 1, 1])
        reference[flip] = reference[flip][:, [0, 2, 1]]
        moved = (flow[..., [0, 1, 4, 5]] - np.tile(own_places(), 2)).astype(np.float16)
        maps = np.concatenate([flow[..., 2:4], others], -1)
        maps = np.round(np.moveaxis(maps, -1, 1) * 255).astype(np.uint8)
        planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(moved, -1, 1)))
        flags = torch.from_numpy(mirrored)
        planes = mirror(planes, flags)
        planes[flags, 0::2] *= -1
        return PairBatch(
            torch.from_numpy(source),
            torch.from_numpy(target),
            torch.from_numpy(reference),
            planes.movedim(1, -1).contiguous(),
            mirror(torch.from_numpy(maps), flags),
            torch.from_numpy(expression),
            torch.from_numpy(own),
            torch.from_numpy(pose),
            flags,
        )


def _draw_pairs(
    rng: np.random.Generator,
    model: FaceModel,
    held: Held,
    source: int,
    targets: NDArray[np.int64],
    references: NDArray[np.int64],
    out: tuple[Float, Float],
) -> None:
    """Fill ``out`` of pairs of one source: flow and the other maps of `PairBatch`.

    Both [n, 256, 128, 6].
    """
    flow, others = out
    depth, scratch = np.empty(ATLAS, np.float32), np.empty((2, *ATLAS), np.float32)
    mesh = WarpMesh.build(
        model,
        held.landmarks[source],
        held.identity,
        held.expression[source],
        held.pose[source : source + 1],
    )
    pose = held.pose[targets]
    moved = mesh.move(held.expression[targets], pose)
    measured = mesh.around(held.face[targets], pose)
    shown_inside = are_parted(mesh.measured)
    seen, inside = _own_inside(held, source, shown=shown_inside), Mouth(_core.rasterize, model)
    mouth, (edges, hidden) = slice(*BANDS[0]), np.empty((2, *ATLAS), np.float32)
    for k, target in enumerate(targets):
        of = measured if rng.random() < MEASURED else moved
        maps = held.to_atlas[target]
        own = through(maps, of.vertices[k, :, :2])
        shown = through(held.to_atlas[source], of.source[k])
        for patch in range(3):
            _look(shown, patch, held.irises[target] - held.irises[source])
        other = own.copy()
        for patch, reference in enumerate(references[k]):
            if reference < 0:
                continue
            points = held.landmarks[reference, :VERTICES, :2]
            other[patch, :VERTICES] = through(held.to_atlas[reference][patch][None], points)[0]
            _look(other, patch, held.irises[target] - held.irises[reference])
        flow[k] = np.concatenate(
            [own_places(), np.zeros((*ATLAS, 2), np.float32), own_places()], -1
        )
        for patch, (first, last) in enumerate(BANDS):
            draw_flow(
                _core.rasterize,
                mesh,
                patch,
                np.column_stack([own[patch], of.vertices[k, :, 2]]),
                np.column_stack([shown[patch], other[patch]]),
                flow[k],
                depth,
            )
            np.clip(flow[k, first:last, :, 1::4], first, last - 1, out=flow[k, first:last, :, 1::4])
            draw_edges(patch, own[patch], edges)
        unseen(seen, flow[k], scratch, hidden)
        others[k, ..., 0], others[k, ..., 1] = edges, hidden
        opening = flow[k, mouth, :, 2]
        teeth = None if shown_inside else in_tile(of.teeth[k], maps)
        inside.draw(teeth, opening, others[k, mouth, :, 2:5])
        # As at run time: what a picture of the person shows between the lips stays.
        referred = bool(references[k, 0] >= 0)
        kept = others[k, mouth, :, 5]
        keep(opening, kept, real=shown_inside or referred, lips=1.0 - referred)


def _own_inside(held: Held, source: int, *, shown: bool) -> Float:
    """Of a source's atlas: 0 in the mouth's patch but for what is seen between the lips.

    shown: whether anything is.
    """
    own = np.ones(ATLAS, np.float32)
    own[slice(*BANDS[0])] = 0
    if shown:
        lips = through(held.to_atlas[source][:1], held.landmarks[source][list(LIPS_INNER), :2])[0]
        cv2.fillPoly(own, [np.round(lips).astype(np.int32)], 1)
    return own


def _look(shown: Float, patch: int, turn: Float) -> None:
    """Let the eye of a patch look elsewhere: by the way [2, 2] that the irises went since then."""
    if patch:
        shown[patch, EYES_START:RING_START] -= turn[patch - 1]


def _target(rng: np.random.Generator, held: Held, source: int) -> int:
    """A frame other than the source, at times one with shut lids or a wide open mouth."""
    choice = rng.random()
    frames = np.arange(len(held))
    if choice < SHUT_LIDS:
        frames = np.flatnonzero(held.closure.mean(1) > 0.5)
    elif choice < SHUT_LIDS + OPEN_MOUTH:
        frames = np.flatnonzero(held.aperture >= np.quantile(held.aperture, 0.8))
    frames = frames[frames != source]
    return int(rng.choice(frames if len(frames) else np.delete(np.arange(len(held)), source)))


def _references(rng: np.random.Generator, held: Held, target: int) -> NDArray[np.int64]:
    """For each patch the nearest of some frames that are not next to the target; −1 for none."""
    far = np.flatnonzero(np.abs(held.frames - held.frames[target]) >= APART)
    count = min(int(rng.choice(REFERENCES)), len(far))
    if not count:
        return np.full(3, -1, np.int64)
    some = rng.choice(far, count, replace=False)
    lips, lids = held.shapes
    mouth = some[np.square(lips[some] - lips[target]).sum(1).argmin()]
    eyes = some[np.square(lids[some] - lids[target]).sum(1).argmin()]
    return np.array([mouth, eyes, eyes], np.int64)
