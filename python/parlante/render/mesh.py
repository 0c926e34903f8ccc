"""The warp mesh: how one photographed head moves when the 3DMM's expression and pose move.

Motion is relative: the landmarks measured on the photo are the geometry, the 3DMM supplies the
change. Around the 468 face vertices rings (hair and neck, surroundings, border) carry the
motion outwards until it vanishes, so the mesh covers the whole crop. The openings between the lips
and between the lids are surfaces of their own. What is seen through them stays where it is in the
head: lips part before the photo's teeth, lids slide over its eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import GRID, VERTICES, Float, Image
from parlante.errors import ImageError
from parlante.face.model import FaceModel
from parlante.face.pose import Pose
from parlante.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    LIPS_INNER,
    LIPS_OUTER,
)
from parlante.portrait.portrait import Portrait
from parlante.render.contact import EYES, closed_blink, part_lips, shut_lids
from parlante.render.mouth import teeth_of
from parlante.render.ramp import ramp
from parlante.render.rings import FADING, RING, RINGS, Rings
from parlante.render.silhouette import on_skin, unfolded

OPPOSITE = [LIPS_INNER[-k] for k in range(len(LIPS_INNER))]  # of the other lip; corners: itself
OPENINGS = (LIPS_INNER, *EYES)
HOLE = [vertex for loop in OPENINGS for vertex in loop]
OPENING_STARTS = np.cumsum([0, *map(len, OPENINGS[:-1])])  # in HOLE
EYES_START = VERTICES + len(LIPS_INNER)
RING_START = VERTICES + len(HOLE)
WARP_VERTICES = RING_START + RINGS * RING

FLAT = "the encoded face has no extent; encode the photo again"
LEAST_FACE = 1.0  # pixels of the 256-grid, across its landmarks
# How far each ring goes with the jaw and the cheeks: the shadow under a chin stays under it.
DRAGGED = 0.9, *(0.35 * share for share in (1, *FADING, 0))
# Pixels by which the rings lie behind the face: where a turned cheek and the hair beside it
# overlap, the cheek is seen, whole.
RING_DEPTH = 40.0
# Where the network may draw: all of the lips, and of each eye with its lids; and how far around
# them it fades out, in widths of the mouth and of the eye. Towards the nose nothing moves, and the
# rims of glasses are near: from so much of an eye's width beyond the inner corner on half as far.
DRAWN_MOUTH, FADE_MOUTH = 0.08, 0.22
DRAWN_EYE, FADE_EYE = 0.30, 0.40
NOSE = 0.1
HOLE_DEPTH = 0.5  # pixels: an opening lies just behind the lips or lids
# Between shut lips a photo has a dark line. Lips that part leave it behind: their edges show what
# lies further from it, by so much of the mouth's width and of the lips' thickness at most, once
# they are so many model units further apart.
LINE, LINE_SHARE, PARTED = 0.022, 0.3, 0.3
STRAIGHT: Float = np.zeros(2, np.float32)  # gaze: as in the photo
CORNER = 0.35  # of an eye's width: so near to its corners it goes less with the gaze


def _triangles(face: NDArray[np.int32]) -> NDArray[np.int32]:
    """Triangles of the face and of the strips between the rings.

    Those between the lips or the lids are moved to vertices of their own.
    """
    out = face.tolist()
    first = VERTICES
    for opening in OPENINGS:
        hole_of = {vertex: first + k for k, vertex in enumerate(opening)}
        out = [[hole_of[v] for v in t] if set(t) <= hole_of.keys() else t for t in out]
        first += len(opening)
    rings = np.arange(RINGS * RING).reshape(RINGS, RING) + RING_START
    loops = [list(FACE_OVAL), *rings.tolist()]
    for inner, outer in pairwise(loops):
        for k in range(RING):
            n = (k + 1) % RING
            out.append([inner[k], inner[n], outer[k]])
            out.append([inner[n], outer[n], outer[k]])
    return np.array(out, np.int32)


@dataclass(frozen=True)
class Moved:
    """Where N frames have the mesh, and what of the photo they show there.

    vertices float32 [N, WARP_VERTICES, 3] and teeth [N, C, 3]: positions, in pixels of the
    256-grid; source float32 [N, WARP_VERTICES, 2]: places in the photo, in the same; stirred
    float32 [N, 3]: how far lips, right and left lids are from where they are in the photo, at most,
    in the head, model units.
    """

    vertices: Float
    teeth: Float
    source: Float
    stirred: Float


@dataclass(frozen=True)
class WarpMesh:
    """Geometry of one photographed head, ready to be moved.

    triangles int32 [T, 3]; opening float32 [WARP_VERTICES]: 1 between lips or lids, else 0; drawn
    float32 [WARP_VERTICES]: how far the network may draw there, 1 on lips and lids, 0 away from
    them. All are static; `move` gives the positions. closed_blink float32 [2]: coefficients that
    shut the photo's lids. measured float32 [468, 3]: the photo's landmarks in the model's axes.
    """

    model: FaceModel
    triangles: NDArray[np.int32]
    opening: Float
    drawn: Float
    closed_blink: Float
    measured: Float
    _source_expression: Float
    _source_pose: Pose
    _source: Float
    _from_line: Float
    _eyes: Float
    _rings: Rings
    _ring_head: Float
    _ring_dragged: Float
    _teeth: Float

    @classmethod
    def of(cls, model: FaceModel, portrait: Portrait) -> WarpMesh:
        """Mesh of an encoded face, in pixels of the 256-grid.

        Raises:
            ImageError: the face has no extent, which none that was encoded has.
        """
        p = portrait
        if np.ptp(p.landmarks[:, :2], 0).min() < LEAST_FACE:
            raise ImageError(FLAT)
        with np.errstate(divide="ignore", invalid="ignore"):
            points = on_skin(unfolded(p.landmarks, model.face_triangles), p.at(GRID))
        oval = points[list(FACE_OVAL), :2]
        # Not a number where neighbours on the outline coincide.
        if not np.abs(oval - oval.mean(0)).max(1).min() > 0:
            raise ImageError(FLAT)
        return cls.build(
            model,
            points,
            p.identity,
            p.expression,
            p.pose,
            margins=p.margins,
            matte=p.canvas[..., 3],
        )

    @classmethod
    def build(
        cls,
        model: FaceModel,
        landmarks: Float,
        identity: Float,
        expression: Float,
        pose: Pose,
        size: int = GRID,
        margins: tuple[float, float, float, float] = (0, 0, 0, 0),
        matte: Image | None = None,
    ) -> WarpMesh:
        """Mesh of one photo.

        Landmarks float32 [≥468, 3] in pixels of the size² crop, its fitted identity [100],
        expression [53] and pose (of one frame); what is known of the photo around the crop, as
        `Portrait.margins`, and uint8 [H, W] where in that the person is.
        """
        points = np.asarray(landmarks[:VERTICES], np.float32)
        measured = pose.undo(points[None])[0]

        rings = Rings.of(points, size, margins, matte)
        opening = np.zeros(WARP_VERTICES, np.float32)
        opening[VERTICES:RING_START] = 1
        return cls(
            model=model,
            triangles=_triangles(model.face_triangles),
            opening=opening,
            drawn=_drawn(points),
            closed_blink=closed_blink(model, measured, expression),
            measured=measured,
            _source_expression=np.asarray(expression, np.float32),
            _source_pose=pose,
            _source=np.concatenate([points, points[HOLE], rings.places])[:, :2],
            _from_line=_from_line(points),
            _eyes=_eyes(measured),
            _rings=rings,
            _ring_head=pose.undo(rings.places[None])[0],
            _ring_dragged=np.repeat(np.array(DRAGGED, np.float32), RING)[:, None],
            _teeth=teeth_of(model, measured),
        )

    def move(
        self, expression: Float, pose: Pose, breath: float = 0.0, gaze: Float = STRAIGHT
    ) -> Moved:
        """Positions for N frames, of expressions float32 [N, 53] and as many poses.

        breath: how far the shoulders are lifted, 0 to 1; gaze float32 [2]: how far the irises are
        from where the photo has them, in the head, in widths of an eye, x and y.
        """
        change = np.tensordot(expression - self._source_expression, self.model.motion, 1)
        face = np.asarray(self.measured + change, np.float32)
        part_lips(face, self.measured)
        for eye in EYES:
            shut_lids(face, self.measured, eye)
        return self.around(face, pose, breath, gaze)

    def around(
        self,
        face: Float,
        pose: Pose,
        breath: float = 0.0,
        gaze: Float = STRAIGHT,
    ) -> Moved:
        """Positions for N frames, of faces float32 [N, 468, 3] in the model's axes.

        Breath and gaze as for `move`.
        """
        moved = pose.apply(face)
        hole = moved[:, HOLE] + np.array([0, 0, HOLE_DEPTH], np.float32)
        ring = self._rings.carried(pose.apply(self._ring_head))
        oval = list(FACE_OVAL)
        fallen = moved[:, oval] - pose.apply(self.measured[oval])
        ring[..., :2] += self._ring_dragged * np.tile(fallen[..., :2], (1, RINGS, 1))
        ring[..., 1] -= np.float32(breath) * self._rings.lift
        ring[..., 2] += RING_DEPTH
        source = np.repeat(self._source[None], len(face), 0)
        source[:, LIPS_INNER] += self._parted(face)[..., None] * self._from_line
        seen = face[:, HOLE]
        seen[..., :2] -= self._eyes * gaze
        behind = self._source_pose.apply(seen.reshape(1, -1, 3))
        source[:, VERTICES:RING_START] = behind[..., :2].reshape(len(face), -1, 2)
        vertices = np.concatenate([moved, hole, ring], 1, dtype=np.float32)
        away = np.square((face[:, HOLE] - self.measured[HOLE])[..., :2]).sum(-1)
        stirred = np.sqrt(np.maximum.reduceat(away, OPENING_STARTS, 1))
        return Moved(vertices, pose.apply(self._teeth[None]), source, stirred)

    def _parted(self, face: Float) -> Float:
        """How far each vertex of the inner lips has parted since the photo: float32 [N, 20]."""
        gaps = [f[..., LIPS_INNER, 1] - f[..., OPPOSITE, 1] for f in (face, self.measured)]
        more = np.abs(gaps[0]) - np.abs(gaps[1])
        return np.asarray(np.clip(more / PARTED, 0, 1), np.float32)


def _from_line(points: Float) -> Float:
    """Way from the line between the lips into the lips: float32 [20, 2], of `LIPS_INNER`.

    points float32 [468, 3]: landmarks of the photo.
    """
    way = (points[list(LIPS_OUTER)] - points[list(LIPS_INNER)])[:, :2]
    thick = np.linalg.norm(way, axis=1, keepdims=True)
    most = LINE * np.ptp(points[list(LIPS_OUTER), 0])
    return np.asarray(way * np.minimum(LINE_SHARE, most / np.maximum(thick, 1e-6)), np.float32)


def _eyes(measured: Float) -> Float:
    """How far each vertex of `HOLE` goes with a gaze of one eye's width: float32 [.., 1].

    measured float32 [468, 3]: landmarks in the model's axes. The eye's corners stay.
    """
    out = [np.zeros(len(LIPS_INNER), np.float32)]
    for eye in EYES:
        across = measured[list(eye), 0]
        ends = across[0], across[len(eye) // 2]
        width = abs(ends[0] - ends[1])
        away = np.minimum(*(np.abs(across - end) for end in ends)) / width
        out.append(width * np.clip(away / CORNER, 0, 1))
    return np.concatenate(out, dtype=np.float32)[:, None]


def _drawn(points: Float) -> Float:
    """How far the network may draw at each warp vertex: float32 [WARP_VERTICES].

    points float32 [468, 3]: landmarks of the photo.
    """
    drawn = np.zeros(WARP_VERTICES, np.float32)
    places = points[:VERTICES, :2]
    right, left = places[[EYE_RIGHT[len(EYE_RIGHT) // 2], EYE_LEFT[0]]]  # inner corners
    across = (left - right) / np.linalg.norm(left - right)
    for loop, whole, fade, corner, to_nose in (
        (LIPS_OUTER, DRAWN_MOUTH, FADE_MOUTH, right, 0 * across),
        (EYE_RIGHT, DRAWN_EYE, FADE_EYE, right, across),
        (EYE_LEFT, DRAWN_EYE, FADE_EYE, left, -across),
    ):
        outline = np.ascontiguousarray(places[list(loop)])
        width = float(np.ptp(outline[:, 0]))
        inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in places]
        farther = 1 + ramp((places - corner) @ to_nose / width, 0, NOSE)
        share = np.clip(1 - (-np.array(inside) / width * farther - whole) / fade, 0, 1)
        np.maximum(drawn[:VERTICES], share, out=drawn[:VERTICES])
    drawn[VERTICES:RING_START] = 1  # the openings between lips and lids
    return drawn
