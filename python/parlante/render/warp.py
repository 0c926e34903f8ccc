"""The warp of one portrait: mesh to backward flow and geometry maps, packed for the networks."""

from __future__ import annotations

import numpy as np

from parlante.contract import (
    ATLAS,
    BANDS,
    CELLS,
    CONDITION,
    PATCHES,
    TILE,
    TILES,
    Float,
    Image,
)
from parlante.face.patches import Patches, own_places, through
from parlante.portrait.portrait import Portrait
from parlante.render.atlas import draw_edges, draw_flow, draw_interior
from parlante.render.mesh import WarpMesh
from parlante.render.ops import Ops
from parlante.render.reference import NearestReference
from parlante.render.stage import Grid, crop_grid

# Of red, green and blue (BT.709); and how much of each is in skin, over that sum: the median of the
# training people.
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
SKIN = np.array([1.33, 0.92, 0.82], np.float32)
BALANCE_RANGE = 0.6, 1.6
# Levels by which the channels of a black-and-white photo differ, at most, in all but one of a
# thousand pixels: what compression leaves.
GREY_LEVELS = 4
# How far lips, right and left lids are from where the photo has them, in pixels of the atlas, at
# most: up to the first the warp is the picture; from the second on the network draws what it may.
STILL = np.array([1.0, 3.0, 3.0], np.float32)
STIRRED = 2 * STILL
SEEN = 512  # side of the crop as the networks see it, pixels: that of the training's sharp clips


class Warp:
    """Arrays that `move` fills for a frame.

    flow float32 [rows, columns, 2] of ``grid``: x and y of the source pixel, in pixels of that
    grid; places float32 [3, 2, 3]: affine maps from it to the atlas, one a patch; tiles: those of
    the atlas that are to be drawn, since lips or lids are not as in the photo; of these, atlas_flow
    float32 [256, 128, 6] and condition float32 [2, 192, 32, 32]: what `pack` reads and makes of it;
    cover float32 [256, 128]: how far what is drawn covers the warp. at_rest and atlas_rest: the
    flows where nothing moves. balance float32 [3]: factors by which the colours in the condition
    are not the photo's.
    """

    def __init__(self, ops: Ops, portrait: Portrait, mesh: WarpMesh, grid: Grid) -> None:
        self._ops, self._portrait, self._mesh = ops, portrait, mesh
        self._grid, self._seen = grid, crop_grid(SEEN)
        self._patches = Patches.of(mesh.measured)
        self._source, _ = portrait.at(SEEN)
        self.balance = balance(self._source, self._patches.seen(portrait.pose, SEEN))
        self._source = balanced(self._source, self.balance)
        self._reference = NearestReference(
            balanced(portrait.references, self.balance), portrait.reference_places
        )
        self.at_rest = np.zeros((grid.rows, grid.columns, 2), np.float32)
        self.at_rest[..., 1], self.at_rest[..., 0] = np.mgrid[: grid.rows, : grid.columns]
        self.flow = np.empty_like(self.at_rest)
        self._depth = np.empty((grid.rows, grid.columns), np.float32)
        self.places = np.empty((len(BANDS), 2, 3), np.float32)
        # Where the mesh covers nothing: the photo as it lies.
        self.atlas_rest = np.zeros((*ATLAS, 6), np.float32)
        self.atlas_rest[..., :2] = self._patches.seen(portrait.pose, SEEN)
        self.atlas_rest[..., 4:] = own_places()
        self.tiles: list[int] = []
        self.atlas_flow = np.empty_like(self.atlas_rest)
        self.cover = np.zeros(ATLAS, np.float32)
        self._atlas_depth = np.empty(ATLAS, np.float32)
        self._interior = np.zeros((*ATLAS, 3), np.float32)
        self.condition = np.empty((TILES, CONDITION, *CELLS), np.float32)

    def move(self, expression: Float, pose_change: Float, breath: float = 0.0) -> None:
        """Warp to an expression [53], a pose change [6] from the photo's pose, and a breath."""
        pose = self._portrait.pose.changed_by(pose_change[None])
        moved = self._mesh.move(expression[None], pose, breath)
        vertices, source = moved.vertices[0], moved.source[0]
        np.copyto(self.flow, self.at_rest)
        self._ops.rasterize(
            np.column_stack([self._grid(vertices[:, :2]), vertices[:, 2]]),
            self._mesh.triangles,
            self._grid(source),
            self.flow,
            self._depth,
        )
        to_atlas = self._patches.to_atlas(pose)
        self.places[:] = self._grid.maps(to_atlas)
        stirred = moved.stirred[0] / self._patches.pixel
        shares = np.clip((stirred - STILL) / (STIRRED - STILL), 0, 1)
        self.tiles = [tile for tile, own in enumerate(PATCHES) if shares[own].any()]
        for tile in self.tiles:
            rows = slice(tile * TILE, (tile + 1) * TILE)
            self.atlas_flow[rows] = self.atlas_rest[rows]
            for patch in range(len(BANDS))[PATCHES[tile]]:
                places = through(to_atlas[patch][None], vertices[:, :2])[0]
                self._draw(patch, places, vertices[:, 2], self._seen(source), shares[patch])
            self.cover[rows] *= self.atlas_flow[rows, :, 3]
        if 0 in self.tiles:
            draw_interior(
                self._ops.rasterize,
                self._mesh,
                moved.interior[0],
                to_atlas,
                self._interior,
                self._atlas_depth,
            )
        self.pack()

    def _draw(
        self, patch: int, places: Float, depths: Float, source: Float, share: np.float32
    ) -> None:
        """One patch of `atlas_flow` and `cover`, of which ``share`` counts."""
        draw_flow(
            self._ops.rasterize,
            self._mesh,
            patch,
            places,
            depths,
            source,
            self._reference.follow(patch, places) if self._reference else places,
            self.atlas_flow,
            self._atlas_depth,
        )
        first, last = BANDS[patch]
        self.atlas_flow[first:last, :, 3] *= share
        draw_edges(patch, places, self.cover)

    def pack(self) -> None:
        """Make `condition` of the flow as it is, softened along lips and lids."""
        for tile in self.tiles:
            rows = slice(tile * TILE, (tile + 1) * TILE)
            self._ops.pack(
                self._source,
                self._reference.image if self._reference else None,
                self.atlas_flow[rows],
                self._interior[rows],
                self.condition[tile : tile + 1],
                cover=self.cover[rows],
            )


def balance(photo: Image, seen: Float) -> Float:
    """Factors of red, green and blue that give a face the tint of the training people's.

    So that lids and lips of a yellowed painting are not drawn in a skin that is out of place there.
    A black-and-white photo stays as it is. photo uint8 [S, S, 4]; seen float32 [256, 128, 2]: where
    the atlas lies in it.
    """
    if is_grey(photo[..., :3]):
        return np.ones(3, np.float32)
    columns, rows = np.moveaxis(np.clip(np.round(seen), 0, len(photo) - 1).astype(int), -1, 0)
    own = photo[rows, columns, :3].reshape(-1, 3)
    tint = own.mean(0) / max(float(own.mean(0) @ LUMA), 1.0)
    factors = np.clip(SKIN / np.maximum(tint, 1e-3), *BALANCE_RANGE)
    # What is bright must not leave the range.
    brightest = float((np.percentile(own, 99, axis=0) * factors).max())
    return np.asarray(factors * min(1.0, 250 / max(brightest, 1.0)), np.float32)


def is_grey(image: Image) -> bool:
    """Whether a photo uint8 [H, W, 3] is black and white: what is drawn in it is grey, too."""
    spread = image.max(2) - image.min(2)
    return bool(np.percentile(spread, 99.9) <= GREY_LEVELS)


def balanced(images: Image, factors: Float) -> Image:
    """Pictures uint8 [..., 3 or 4] with red, green and blue times ``factors``."""
    out: Image = images.copy()
    out[..., :3] = np.clip(np.round(images[..., :3] * factors), 0, 255)
    return out
