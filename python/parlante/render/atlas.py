"""A frame of the mesh, rasterised into the atlas of the patches that the network draws."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from parlante.contract import BANDS, EDGE_REACH, VERTICES, Float
from parlante.face.patches import edge_window
from parlante.render.mesh import OPENING_STARTS, OPENINGS, WarpMesh

WINDOW = edge_window()
_SHIFT = 4  # binary digits of a pixel's part that OpenCV draws to


def draw_flow(
    rasterize: Callable[..., None],
    mesh: WarpMesh,
    patch: int,
    vertices: Float,
    shown: Float,
    flow: Float,
    depth: Float,
) -> None:
    """Draw a frame of the mesh into one patch of the atlas.

    vertices [V, 3]: where they lie in the atlas, and their depths; shown [V, 4]: x, y of what they
    show of the source, and of a reference; flow float32 [256, 128, 6] as `pack` reads it: x, y in
    the source, opening, how far the network may draw, x, y in the reference. What the mesh leaves
    uncovered keeps its value. depth float32 [256, 128]: scratch.
    """
    first, last = BANDS[patch]
    attributes = np.column_stack([shown[:, :2], mesh.opening, mesh.drawn, shown[:, 2:]])
    rasterize(
        vertices - np.array([0, first, 0], np.float32),
        mesh.triangles,
        attributes,
        flow[first:last],
        depth[first:last],
    )
    flow[first:last, :, 3] *= WINDOW[first:last]


def draw_edges(patch: int, places: Float, out: Float) -> None:
    """Where the edges of lips or lids are, shut ones, too: 1 to 0 in ``out`` float32 [256, 128].

    Of one patch; places [V, 2]: of the mesh's vertices in the atlas.
    """
    top, bottom = BANDS[patch]
    start = VERTICES + OPENING_STARTS[patch]
    loop = places[start : start + len(OPENINGS[patch])] - (0, top)
    points = np.round(loop * (1 << _SHIFT)).astype(np.int32)
    own = out[top:bottom]
    own.fill(0)
    cv2.polylines(own, [points], True, 1.0, 2 * EDGE_REACH + 1, cv2.LINE_8, _SHIFT)
    cv2.blur(own, (3, 3), dst=own)


def seen_of(plane: Float, flow: Float, scratch: Float, out: Float) -> None:
    """What each pixel shows of a ``plane`` float32 of the photo, in ``out`` float32 [H, W].

    flow [H, W, 6] as of `draw_flow`; scratch float32 [2, H, W].
    """
    scratch[:] = np.moveaxis(flow[..., :2], -1, 0)
    cv2.remap(plane, scratch[0], scratch[1], cv2.INTER_LINEAR, dst=out)


def unseen(own: Float, flow: Float, scratch: Float, out: Float) -> None:
    """How far each pixel shows an inside that the photo does not show, in ``out`` float32 [H, W].

    own float32 of the photo: 1 where an inside of its own is seen, or it is not asked for; flow and
    scratch as for `seen_of`.
    """
    seen_of(own, flow, scratch, out)
    np.subtract(1, out, out=out)
    out *= flow[..., 2]
