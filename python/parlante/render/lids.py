"""Upper lids: where they shut, skin is seen that the photo does not show.

As the lid comes down its lashes and what the photo shows of it come down whole, and between them
and the crease lies new skin: that from above the crease, mirrored. So the lid has the photo's own
colour and grain.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from parlante.contract import Float

# Columns across the right and the left eye, of vertices: of the lid's edge, of the crease above,
# and half way to the brow. The outermost ones are only the ends of the rows between.
COLUMNS = (
    (
        (246, 161, 160, 159, 158, 157, 173),
        (247, 30, 29, 27, 28, 56, 190),
        (225, 225, 224, 223, 222, 221, 189),
    ),
    (
        (466, 388, 387, 386, 385, 384, 398),
        (467, 260, 259, 257, 258, 286, 414),
        (445, 445, 444, 443, 442, 441, 413),
    ),
)
EDGE, CREASE, ABOVE = (np.array([v for eye in COLUMNS for v in eye[row][1:-1]]) for row in range(3))
ROWS = 3  # new rows: the top of what comes down, the same as the end of new skin, its middle
LID_VERTICES = ROWS * len(EDGE)
OWN = 0.75  # of the way from the lid's edge to the crease: what comes down whole
NEAR, FAR = 0.15, 0.8  # of the way from the crease to `ABOVE`: where mirrored skin ends, at most


def with_lids(face: NDArray[np.int32], first: int) -> list[list[int]]:
    """Triangles of the face, those of the upper lids of new vertices from ``first`` on."""
    out = [list(map(int, t)) for t in face]
    for eye, (edge, crease, _) in enumerate(COLUMNS):
        mine = {*edge, *crease}
        out = [t for t in out if not mine.issuperset(t)]
        inner = len(edge) - 2
        start = first + eye * inner
        rows = [list(edge)]
        for row in range(ROWS):
            begin = start + row * len(EDGE)
            rows.append([crease[0], *range(begin, begin + inner), crease[-1]])
        rows.append(list(crease))
        for lower, upper in ((0, 1), (2, 3), (3, 4)):
            for (a, b), (c, d) in zip(pairwise(rows[lower]), pairwise(rows[upper]), strict=True):
                out += [[a, b, c], [b, d, c]]
    return [t for t in out if len(set(t)) == 3]


def lid_places(face: Float, gap: Float) -> Float:
    """Places of the new vertices: [N, LID_VERTICES, 3] of faces [N, 468, 3].

    gap float32 [n]: from the edges to the creases in the photo.
    """
    edge, crease = face[:, EDGE], face[:, CREASE]
    share = _shares(edge, crease, gap)
    rows = [edge + s * (crease - edge) for s in (share, share, (1 + share) / 2)]
    return np.concatenate(rows, 1)


def lid_gap(face: Float) -> Float:
    """From the lids' edges to the creases, [n], of a face [468, 3]."""
    return np.asarray(np.linalg.norm(face[CREASE] - face[EDGE], axis=-1), np.float32)


def lid_source(face: Float, gap: Float, photo: Float) -> Float:
    """What the new vertices show of the photo: [N, LID_VERTICES, 2].

    face [N, 468, 3] and gap as in `lid_places`, photo [468, 2 or more]: the photo's landmarks.
    """
    photo = photo[:, :2]
    edge, crease, above = photo[EDGE], photo[CREASE], photo[ABOVE]
    length = np.linalg.norm(face[:, CREASE] - face[:, EDGE], axis=-1, keepdims=True)
    longer = length / gap[:, None]
    new = np.clip(longer - 1, 0, 1)
    new = new * new * (3 - 2 * new)
    own = edge + OWN * (crease - edge)
    middle = edge + (1 + OWN) / 2 * (crease - edge)
    rest = np.linalg.norm(crease - edge, axis=-1)[:, None]
    room = np.linalg.norm(above - crease, axis=-1)[:, None]
    far = np.minimum((longer - OWN) / 2 * rest / np.maximum(room, 1e-3), FAR)
    up = above - crease
    end = own + new * (crease + NEAR * up - own)
    top = middle + new * (crease + far * up - middle)
    return np.concatenate([np.broadcast_to(own, end.shape), end, top], 1)


def _shares(edge: Float, crease: Float, gap: Float) -> Float:
    length = np.linalg.norm(crease - edge, axis=-1, keepdims=True)
    return np.asarray(OWN * np.minimum(1, gap[:, None] / np.maximum(length, 1e-6)))
