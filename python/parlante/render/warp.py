"""The warp of one portrait: mesh to backward flow and geometry maps, packed for the networks."""

from __future__ import annotations

import numpy as np

from parlante.contract import CELL_PIXELS, CELLS, CONDITION, GRID, UNSHUFFLE, Float
from parlante.face.model import FaceModel
from parlante.portrait.portrait import Portrait
from parlante.render.mesh import WarpMesh
from parlante.render.ops import Ops


class Warp:
    """Arrays that `move` fills for a frame.

    flow float32 [256, 256, 3]: x and y of the source pixel, and 1 on the mouth's opening (at_rest:
    where nothing moves); drawn float32 [16, 64, 64]: how far the network may draw, 0 to 1,
    unshuffled; condition float32 [1, 160, 64, 64]: what `pack` makes of it.
    """

    def __init__(self, ops: Ops, model: FaceModel, portrait: Portrait, mesh: WarpMesh) -> None:
        self._ops, self._portrait, self._mesh = ops, portrait, mesh
        self._interior_triangles = model.interior_triangles
        self._source, self._plate = portrait.at(GRID)
        self.at_rest = np.zeros((GRID, GRID, 3), np.float32)
        self.at_rest[..., 1], self.at_rest[..., 0] = np.mgrid[:GRID, :GRID]
        self.flow = np.empty_like(self.at_rest)
        self._interior = np.empty_like(self.at_rest)
        self._drawn = np.empty((GRID, GRID, 1), np.float32)
        self.drawn = np.empty((CELL_PIXELS, CELLS, CELLS), np.float32)
        self._depth = np.empty((GRID, GRID), np.float32)
        self.condition = np.empty((1, CONDITION, CELLS, CELLS), np.float32)

    def move(self, expression: Float, pose_change: Float) -> None:
        """Warp to an expression [53] and a pose change [6] from the photo's pose."""
        pose = self._portrait.pose.changed_by(pose_change[None])
        vertices, interior = self._mesh.move(expression[None], pose)
        np.copyto(self.flow, self.at_rest)
        self._interior.fill(0)
        self._ops.rasterize(
            vertices[0], self._mesh.triangles, self._mesh.attributes, self.flow, self._depth
        )
        self._ops.rasterize(
            interior[0],
            self._interior_triangles,
            self._mesh.interior_attributes,
            self._interior,
            self._depth,
        )
        self._drawn.fill(0)
        self._ops.rasterize(
            vertices[0], self._mesh.triangles, self._mesh.drawn, self._drawn, self._depth
        )
        blocks = self._drawn.reshape(CELLS, UNSHUFFLE, CELLS, UNSHUFFLE)
        unshuffled = self.drawn.reshape(UNSHUFFLE, UNSHUFFLE, CELLS, CELLS)  # a view
        np.copyto(unshuffled, blocks.transpose(1, 3, 0, 2))
        self.pack()

    def pack(self) -> None:
        """Make `condition` of the flow as it is."""
        self._ops.pack(
            self._source,
            self._plate,
            self.flow,
            self._interior,
            self._portrait.features,
            self.condition,
        )
