"""The upper teeth of USC ICT-FaceKit, as a picture from the front on a bent card.

Lower teeth and tongue are seldom seen between the lips of a talking face, and then in the dark.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante import _core

Array = NDArray[np.float64]
Triangles = NDArray[np.int64]

GUMS_AND_TONGUE = (14062, 17039)  # ICT vertices
UPPER_TEETH = (17039, 19247)
DENSITY = 32  # pixels of the picture, per model unit
VIEW = np.array([[-3.2, -3.7], [3.2, -1.6]])  # of the picture: lower left and upper right, units
CELL = 0.36  # of the card's mesh, units
THICK = 1.0  # units: what lies so far behind the arch is the palate
STILL = 0.35  # units that gums go with an open jaw, at most
TOOTH, GUM = np.array([1.2, 0.965, 0.895]), np.array([1.35, 0.9, 0.88])  # colours over their light
BRIGHT = 0.84, 0.5  # of teeth and of gums
GLOSS, SHARPNESS = 0.5, 30  # of teeth, by Phong
ABOVE = np.array([0.0, 0.3, 0.8])  # how far the light comes from above and from the front
AMBIENT, LEAST = 0.1, 0.25  # of the light, of the shade
# Creases: how dark depth below the mean of so many units around makes, per unit.
CREASES = {0.075: 1.2, 0.2: 0.8}
FADE = 6.0  # units behind the front by which light falls to 1 / e
GAP, GAP_LIGHT = 0.22, 0.6  # between teeth: units, and the share of the light around
# Teeth are told apart: what is darker than the mean over so many units to both sides is so much
# darker, down to a share of that mean, lest there be a gap in the middle.
APART, AROUND, DARKEST = 1.0, 0.19, 0.7


def upper_teeth(
    neutral: Array, triangles: Triangles, falls: Array
) -> dict[str, NDArray[np.generic]]:
    """The arrays ``teeth_…`` of `parlante.face.model.FaceModel`.

    Of the whole 3DMM: vertices [V, 3], triangles [T, 3], and how far each vertex goes with an open
    jaw, units [V].
    """
    vertex = np.arange(len(neutral))
    tooth = (vertex >= UPPER_TEETH[0]) & (vertex < UPPER_TEETH[1])
    flesh = (vertex >= GUMS_AND_TONGUE[0]) & (vertex < GUMS_AND_TONGUE[1])
    own = tooth | (flesh & (falls < STILL))
    picture, arch = _photographed(neutral, triangles[own[triangles].all(1)], tooth)
    vertices, places, faces = _card(picture[..., 3] > 0, arch)
    return {
        # From the edge of the middle ones on.
        "teeth_vertices": (vertices - (0, neutral[tooth, 1].min(), arch.max())).astype(np.float32),
        "teeth_places": places.astype(np.float32),
        "teeth_triangles": np.ascontiguousarray(faces, np.int32),
        "teeth_picture": np.round(255 * picture.clip(0, 1)).astype(np.uint8),
    }


def _photographed(
    neutral: Array, triangles: Triangles, tooth: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """The jaw from the front: float64 [H, W, 4], RGB times alpha, and alpha; its `_arch` [W].

    tooth [V]: which vertices are of teeth.
    """
    width, height = np.round((VIEW[1] - VIEW[0]) * DENSITY).astype(int)
    place = (neutral - (VIEW[0, 0], VIEW[1, 1], 0)) * (DENSITY, -DENSITY, -DENSITY)
    seen = np.column_stack(
        [_vertex_normals(neutral, triangles), neutral[:, 2], tooth, np.ones(len(neutral))]
    ).astype(np.float32)
    maps = np.zeros((height, width, seen.shape[1]), np.float32)
    depth = np.empty((height, width), np.float32)
    _core.rasterize(place.astype(np.float32), triangles.astype(np.int32), seen, maps, depth)
    normals, deep, teeth, there = np.split(maps.astype(np.float64), [3, 4, 5], 2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-6
    there = there[..., 0] > 0
    arch = _arch(deep[..., 0], there)
    behind = np.where(there, deep[..., 0], deep[there].min() - 0.5)
    shade = _shade(normals, behind)
    colours = [bright * hue for bright, hue in zip(BRIGHT, (TOOTH, GUM), strict=True)]
    colour = teeth * colours[0] + (1 - teeth) * colours[1]
    glossy = (normals @ (ABOVE / np.linalg.norm(ABOVE))).clip(0)[..., None] ** SHARPNESS
    colour = colour * (LEAST + (1 - LEAST) * shade) + GLOSS * teeth * glossy * shade
    return _without_gaps(colour, there, behind > arch - THICK), arch


def _vertex_normals(vertices: Array, triangles: Triangles) -> Array:
    """Area-weighted unit normals [V, 3]."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], face)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def _arch(deep: Array, there: NDArray[np.bool_]) -> Array:
    """Z of the front of each column: an even polynomial of what is furthest in front."""
    across = np.linspace(*VIEW[:, 0], deep.shape[1])
    powers = np.stack([across**0, across**2, across**4], 1)
    known = there.any(0)
    front = np.where(there, deep, 0).max(0)
    return np.asarray(powers @ np.linalg.lstsq(powers[known], front[known])[0])


def _shade(normals: Array, deep: Array) -> Array:
    """How much light there is: [H, W, 1]."""
    light = (normals @ ABOVE + AMBIENT).clip(0, 1)
    for reach, weight in CREASES.items():
        around = cv2.GaussianBlur(deep, (0, 0), reach * DENSITY)
        light *= np.exp(-weight * (around - deep).clip(0, 1))
    return np.asarray(light * np.exp((deep - deep.max()) / FADE))[..., None]


def _without_gaps(colour: Array, there: NDArray[np.bool_], front: NDArray[np.bool_]) -> Array:
    """A picture [H, W, 4] of what is in ``front``; gaps between teeth are a little darker."""
    side = round(GAP * DENSITY) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    whole = cv2.morphologyEx(there.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    gaps = whole - there
    levels = np.round(255 * colour.clip(0, 1)).astype(np.uint8)
    filled = cv2.inpaint(levels, gaps, 3, cv2.INPAINT_TELEA) / 255
    colour = np.where(gaps[..., None] > 0, GAP_LIGHT * filled, colour)
    alpha = cv2.morphologyEx((front | (gaps > 0)).astype(np.uint8), cv2.MORPH_CLOSE, disc)
    reach = AROUND * DENSITY
    seen = alpha.astype(np.float64)[..., None]
    mean = cv2.GaussianBlur(colour * seen, (0, 0), reach, sigmaY=1)
    mean /= np.maximum(cv2.GaussianBlur(seen, (0, 0), reach, sigmaY=1), 0.05)[..., None]
    darker = colour + APART * np.minimum(colour - mean, 0)
    colour = np.maximum(darker, np.minimum(colour, DARKEST * mean))
    soft = cv2.GaussianBlur(seen, (0, 0), 1)[..., None]
    return np.concatenate([colour * soft, soft], 2)


def _card(there: NDArray[np.bool_], arch: Array) -> tuple[Array, Array, Triangles]:
    """Vertices [C, 3], places in the picture [C, 2] and triangles of a mesh over ``there``."""
    step = round(CELL * DENSITY)
    rows, columns = (-(-side // step) for side in there.shape)
    padded = np.zeros((rows * step, columns * step), bool)
    padded[: there.shape[0], : there.shape[1]] = there
    cells = np.argwhere(padded.reshape(rows, step, columns, step).any((1, 3)))
    corners = cells[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    used, index = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    quads = index.reshape(-1, 4)
    places = step * used[:, ::-1].astype(np.float64)
    deep = arch[np.minimum(places[:, 0].astype(int), len(arch) - 1)]
    flat = places / DENSITY * (1, -1) + (VIEW[0, 0], VIEW[1, 1])
    faces = np.concatenate([quads[:, [0, 2, 1]], quads[:, [1, 2, 3]]])
    return np.column_stack([flat, deep]), places, faces
