"""Reduce USC ICT-FaceKit to the face model the runtime carries.

``python -m export.face_model --assets DIR`` samples the 3DMM at the 468 vertices of the MediaPipe
face mesh (barycentric correspondence, found by a thin-plate warp through the 68 landmarks both
meshes name, then the closest point of ICT's face surface) and adds its upper teeth
(`export.teeth`). Units stay ICT's (about 1 cm), x to the person's left, y up, z towards the
camera.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from export.teeth import Array, Triangles, upper_teeth
from parlante.face.topology import LANDMARKS_68

FACE_SURFACE = 9409  # ICT vertices [0, 9409) are the face


def read_obj(path: Path) -> tuple[Array, Triangles]:
    """Vertices [V, 3] and triangles [F, 3] of a Wavefront file that holds triangles only."""
    vertices, triangles = [], []
    for line in path.read_text().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in fields[:3]])
        elif kind == "f":
            triangles.append([int(x.split("/")[0]) - 1 for x in fields])
    return np.array(vertices), np.array(triangles)


def closest_on_surface(
    points: Array, vertices: Array, triangles: Triangles, neighbours: int = 40
) -> tuple[Triangles, Array]:
    """For each point its closest on the surface, as triangle and barycentric weights.

    The triangle is three vertex indices.
    """
    tree = cKDTree(vertices[triangles].mean(1))
    corners = np.empty((len(points), 3), np.int64)
    weights = np.empty((len(points), 3))
    for i, point in enumerate(points):
        candidates = triangles[tree.query(point, neighbours)[1]]
        t = vertices[candidates]
        options = []
        ab, ac, ap = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0], point - t[:, 0]
        aa, bb, cc = (ab * ab).sum(1), (ac * ac).sum(1), (ab * ac).sum(1)
        d1, d2 = (ab * ap).sum(1), (ac * ap).sum(1)
        area = aa * bb - cc * cc
        v, w = (bb * d1 - cc * d2) / area, (aa * d2 - cc * d1) / area
        inside = np.stack([1 - v - w, v, w], 1)
        options.append(np.where((inside >= 0).all(1, keepdims=True), inside, np.nan))
        for a, b in ((0, 1), (1, 2), (2, 0)):
            edge = t[:, b] - t[:, a]
            along = np.clip(((point - t[:, a]) * edge).sum(1) / (edge * edge).sum(1), 0, 1)
            option = np.zeros_like(inside)
            option[:, a], option[:, b] = 1 - along, along
            options.append(option)
        stacked = np.stack(options, 1)
        distance = np.linalg.norm(np.einsum("tkc,tcx->tkx", stacked, t) - point, axis=-1)
        best = np.unravel_index(np.nanargmin(distance), distance.shape)
        corners[i], weights[i] = candidates[best[0]], stacked[best]
    return corners, weights


def reduce_face_model(assets: Path) -> dict[str, NDArray[np.generic]]:
    """Arrays of ``face_model.npz``; see `parlante.face.model.FaceModel` for their meaning."""
    with np.load(assets / "ict_facekit_full_f16.npz", allow_pickle=False) as ict:
        neutral = ict["neutral"].astype(np.float64)
        identity = ict["identity"].astype(np.float64)
        expression = ict["expression"].astype(np.float64)
        triangles = ict["tri"].astype(np.int64)
        mode_names = [str(name) for name in ict["exp_names"]]
    groups = json.loads((assets / "ict_facekit_vertex_indices.json").read_text())
    names = [str(name) for name in groups["expressions"]]
    expression = expression[[mode_names.index(name) for name in names]]
    landmarks_68 = groups["idx_to_landmark_verts"]

    canonical, face_triangles = read_obj(assets / "canonical_face_model.obj")
    warped = RBFInterpolator(
        canonical[list(LANDMARKS_68)], neutral[landmarks_68], kernel="thin_plate_spline"
    )(canonical)
    surface = triangles[(triangles < FACE_SURFACE).all(1)]
    corners, weights = closest_on_surface(warped, neutral, surface)

    def at_mesh(field: Array) -> Array:
        return np.asarray(np.einsum("vk,...vkx->...vx", weights, field[..., corners, :]))

    falls = np.linalg.norm(expression[names.index("jawOpen")], axis=1)
    return {
        "neutral": at_mesh(neutral).astype(np.float32),
        "identity": at_mesh(identity).astype(np.float16),
        "expression": at_mesh(expression).astype(np.float16),
        "motion": at_mesh(expression).astype(np.float16),
        "lip_spread": np.eye(
            sum(name.startswith(("jaw", "mouth")) for name in names), dtype=np.float32
        ),
        "expression_names": np.array(names),
        "face_triangles": face_triangles.astype(np.int32),
        **upper_teeth(neutral, triangles, falls),
    }


def correct_motion(file: Path, modes: Path) -> None:
    """Add what `models.train.modes` found to ``face_model.npz``."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    found = {name: tensor.numpy() for name, tensor in load_file(modes).items()}
    motion = arrays["expression"].astype(np.float32) + found["change"]
    arrays |= {"motion": motion.astype(np.float16), "lip_spread": found["lip_spread"]}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--assets", type=Path, required=True, help="folder with ICT-FaceKit and the canonical mesh"
    )
    parser.add_argument("--out", type=Path, default=Path("python/parlante/assets/networks"))
    arguments = parser.parse_args()
    arrays = reduce_face_model(arguments.assets)
    np.savez_compressed(arguments.out / "face_model.npz", **arrays)  # type: ignore[arg-type]
    print({name: array.shape for name, array in arrays.items()})


if __name__ == "__main__":
    main()
