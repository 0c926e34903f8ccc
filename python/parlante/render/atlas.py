"""A frame of the mesh, rasterised into the atlas of the patches that the network draws."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from parlante.contract import BANDS, VERTICES, Float
from parlante.face.patches import edge_window, through
from parlante.render.mesh import OPENINGS, WarpMesh

WINDOW = edge_window()
EDGE_REACH = 2  # pixels of the atlas to both sides of an edge of lips or lids
_SHIFT = 4  # binary digits of a pixel's part that OpenCV draws to


def draw_flow(
    rasterize: Callable[..., None],
    mesh: WarpMesh,
    vertices: Float,
    to_atlas: Float,
    source: Float,
    reference: Float,
    flow: Float,
    depth: Float,
) -> None:
    """Draw a frame of the mesh into the atlas.

    vertices [V, 3] in pixels of the 256-grid; source and reference [3, V, 2]: what each shows of
    two pictures, by patch; flow float32 [256, 128, 6] as `pack` reads it: x, y in the source,
    opening, how far the network may draw, x, y in the reference. What the mesh leaves uncovered
    keeps its value. depth float32 [256, 128]: scratch.
    """
    places = through(to_atlas, vertices[:, :2])
    for patch, (first, last) in enumerate(BANDS):
        moved = np.column_stack([places[patch, :, 0], places[patch, :, 1] - first, vertices[:, 2]])
        shown = [source[patch], mesh.opening, mesh.drawn, reference[patch]]
        rasterize(
            moved, mesh.triangles, np.column_stack(shown), flow[first:last], depth[first:last]
        )
    flow[..., 3] *= WINDOW


def draw_edges(places: Float, out: Float) -> None:
    """Where the edges of lips and lids are, shut ones, too: 1 to 0 in ``out`` float32 [256, 128].

    places [3, V, 2]: of the mesh's vertices in the atlas, by patch.
    """
    out.fill(0)
    first = VERTICES
    for patch, (opening, (top, bottom)) in enumerate(zip(OPENINGS, BANDS, strict=True)):
        loop = places[patch, first : first + len(opening)] - (0, top)
        points = np.round(loop * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(out[top:bottom], [points], True, 1.0, 2 * EDGE_REACH + 1, cv2.LINE_8, _SHIFT)
        first += len(opening)
    cv2.blur(out, (3, 3), dst=out)


def draw_interior(
    rasterize: Callable[..., None],
    mesh: WarpMesh,
    interior: Float,
    to_atlas: Float,
    maps: Float,
    depth: Float,
) -> None:
    """Draw the inside of the mouth, vertices [Vi, 3] in pixels of the 256-grid, into the atlas.

    maps float32 [256, 128, 3]: upper teeth, lower teeth, gums and tongue; depth as in `draw_flow`.
    """
    first, last = BANDS[0]
    maps.fill(0)
    place = np.column_stack([through(to_atlas[:1], interior[:, :2])[0], interior[:, 2]])
    rasterize(
        place,
        mesh.model.interior_triangles,
        mesh.interior_attributes,
        maps[first:last],
        depth[first:last],
    )
