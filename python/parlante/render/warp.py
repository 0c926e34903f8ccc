"""The warp of one frame: mesh to backward flow and geometry maps, packed for the networks."""

from __future__ import annotations

import numpy as np

from parlante.contract import (
    ATLAS,
    BANDS,
    CELLS,
    CONDITION,
    EYES,
    MOUTH,
    PATCHES,
    TILE,
    TILES,
    Float,
)
from parlante.render.atlas import draw_edges, draw_flow, seen_of, unseen
from parlante.render.mouth import LIGHT, Mouth, in_tile, keep
from parlante.render.ops import Ops
from parlante.render.scene import Aim, Scene


class Warp:
    """Arrays that `draw` fills for a frame.

    flow float32 [rows, columns, 2] of the scene's grid: x and y of the source pixel, in pixels of
    that grid; outlines float32 [N, 2, 2]: ends of lines in it along which the flow may jump; places
    float32 [3, 2, 3]: affine maps from it to the atlas, one a patch; and of the tiles that are
    drawn atlas_flow float32 [256, 128, 6] and condition float32 [2, 144, 32, 32]: what `pack` reads
    and makes of it; cover float32 [256, 128]: how far what is drawn covers the warp, instead of
    adding to it; edges float32 [256, 128]: 1 along lips and lids that are drawn.
    """

    def __init__(self, ops: Ops, scene: Scene) -> None:
        self._ops, self._scene = ops, scene
        self.flow = np.empty_like(scene.at_rest)
        self._depth = np.empty(self.flow.shape[:2], np.float32)
        self.outlines = np.empty((0, 2, 2), np.float32)
        self.places = np.empty((len(BANDS), 2, 3), np.float32)
        self.atlas_flow = np.empty_like(scene.atlas_rest)
        self.cover, self.edges = np.zeros((2, *ATLAS), np.float32)
        self._atlas_depth = np.empty(ATLAS, np.float32)
        tone = scene.tone
        self._mouth = Mouth(
            ops.rasterize, scene.mesh.model, scene.softer, tone.red, scene.grain, tone.teeth
        )
        self._made = np.zeros((TILE, TILE, 3), np.float32)
        self._inside = np.zeros((*ATLAS, 4), np.float32)  # colour, and how far it is laid over
        self._hidden, self._kept = np.empty((2, TILE, TILE), np.float32)
        self._scratch = np.empty((2, TILE, TILE), np.float32)
        self.condition = np.empty((TILES, CONDITION, *CELLS), np.float32)
        # What is shown of the references: RGB and 255, and their numbers, by patch.
        self._reference = np.full((*ATLAS, 4), 255, np.uint8)
        self._shown: list[int | None] = [None] * len(BANDS)

    def draw(self, aim: Aim) -> None:
        """Fill the arrays."""
        scene, mesh = self._scene, self._scene.mesh
        vertices, source = aim.moved.vertices[0], aim.moved.source[0]
        np.copyto(self.flow, scene.at_rest)
        places = scene.grid(vertices[:, :2])
        self.outlines = scene.outlines.of(places)
        self._ops.rasterize(
            np.column_stack([places, vertices[:, 2]]),
            mesh.triangles,
            scene.grid(source),
            self.flow,
            self._depth,
        )
        self.places[:] = scene.grid.maps(aim.maps)
        for tile in aim.tiles:
            rows = slice(tile * TILE, (tile + 1) * TILE)
            self.atlas_flow[rows] = scene.atlas_rest[rows]
            for patch in PATCHES[tile]:
                self._draw_patch(patch, aim, vertices[:, 2], scene.seen(source))
            drawn = self.atlas_flow[rows, :, 3]
            if tile == MOUTH:
                self._draw_inside(aim)
            else:
                seen_of(scene.lashed, self.atlas_flow[rows], self._scratch, self._hidden)
            # `condition` does not hold the photo where that shows lashes or no inside.
            np.maximum(self.edges[rows], self._hidden, out=self.cover[rows])
            for patch in PATCHES[tile]:  # nor where it holds what is referred to
                own = self.cover[slice(*BANDS[patch])]
                np.maximum(own, aim.referred[patch], out=own)
            self.cover[rows] *= drawn
            self.edges[rows] *= drawn
            if tile == MOUTH:
                # What a picture of the person shows stays as it is.
                referred = float(aim.referred[0])
                real = scene.shows_teeth or referred > 0
                keep(self.atlas_flow[rows, :, 2], self._kept, real=real, lips=1 - referred)
                np.subtract(1, self._kept, out=self._kept)
                drawn *= self._kept
        self.pack(aim.tiles)

    def _draw_inside(self, aim: Aim) -> None:
        """Of the mouth, where the photo does not show it."""
        scene, rows = self._scene, slice(*BANDS[0])
        unseen(scene.own, self.atlas_flow[rows], self._scratch, self._hidden)
        teeth = None
        if not scene.shows_teeth:
            teeth = in_tile(aim.moved.teeth[0], aim.maps)
        inside = self._inside[rows]
        inside[..., 3] = self._hidden
        around = self._mouth.draw(teeth, self.atlas_flow[rows, :, 2], self._made)
        if around is not None:
            colour = self._made[around] * np.float32(2 * LIGHT * scene.light)
            scene.tone.apply(np.moveaxis(colour, -1, 0))
            inside[around][..., :3] = np.minimum(colour, 2) - 1

    def _draw_patch(self, patch: int, aim: Aim, depths: Float, source: Float) -> None:
        """Of `atlas_flow` and the edges."""
        places, number = aim.places[patch], aim.references[patch]
        first, last = BANDS[patch]
        reference = places
        if number is not None:
            references = self._scene.references
            reference = references.places(patch, number, places)
            if number != self._shown[patch]:
                self._shown[patch] = number
                self._reference[first:last, :, :3] = references.atlases[number, first:last]
            self._reference[first:last, :, 3] = round(255 * float(aim.referred[patch]))
        draw_flow(
            self._ops.rasterize,
            self._scene.mesh,
            patch,
            np.column_stack([places, depths]),
            np.column_stack([source, reference]),
            self.atlas_flow,
            self._atlas_depth,
        )
        own = self.atlas_flow[first:last]
        own[..., 3] *= aim.shares[patch]
        if number is not None:
            # Its own patch is seen, not what lies beside that in the atlas.
            np.clip(own[..., 5], first, last - 1, out=own[..., 5])
        draw_edges(patch, places, self.edges)

    def pack(self, tiles: list[int]) -> None:
        """Make `condition` of the flow as it is, softened along lips and lids."""
        for tile in tiles:
            rows = slice(tile * TILE, (tile + 1) * TILE)
            self._ops.pack(
                self._scene.lashless if tile == EYES else self._scene.source,
                self._reference if self._scene.references else None,
                self.atlas_flow[rows],
                self.condition[tile : tile + 1],
                inside=self._inside[rows],
                cover=self.edges[rows],
            )
