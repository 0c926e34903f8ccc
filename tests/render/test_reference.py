"""Which reference is shown: the nearest, and the same one as long as none is much nearer."""

from __future__ import annotations

from functools import cache

import numpy as np

from parlante.contract import ATLAS, VERTICES, Float
from parlante.face.topology import LIPS_INNER
from parlante.portrait.references import SHAPES, References
from parlante.render.mesh import WARP_VERTICES
from parlante.render.reference import ENOUGH, NEARER, TOO_NARROW, NearestReference


@cache
def place() -> Float:
    return np.random.default_rng(1).uniform(0, 128, (3, VERTICES, 2)).astype(np.float32)


def references(shifts: list[float]) -> NearestReference:
    """Of one colour each, with lips and lids lower by so much."""
    atlases = np.stack([np.full((*ATLAS, 3), 10 * (k + 1), np.uint8) for k in range(len(shifts))])
    places = np.stack([place() + np.float32([0, shift]) for shift in shifts])
    return NearestReference(atlases, places)


def at(shift: float) -> Float:
    """Vertices of a frame, [3, V, 2]."""
    out = np.zeros((3, WARP_VERTICES, 2), np.float32)
    out[:, :VERTICES] = place() + np.float32([0, shift])
    return out


def choose(reference: NearestReference, vertices: Float) -> list[int]:
    """For all patches."""
    return [reference.choose(patch, vertices[patch]) for patch in range(3)]


def test_the_nearest_is_shown() -> None:
    reference = references([0, 10, 20])
    for shift, wanted in ((1, 0), (19, 2), (11, 1)):
        vertices = at(shift)
        assert choose(reference, vertices) == [wanted] * 3
        for patch in range(3):
            places = reference.places(patch, wanted, vertices[patch])
            np.testing.assert_array_equal(places[:VERTICES], at(10 * wanted)[patch, :VERTICES])
            np.testing.assert_array_equal(places[VERTICES:], vertices[patch, VERTICES:])


def test_it_changes_only_for_one_that_is_much_nearer() -> None:
    reference = references([0, 10])
    choose(reference, at(1))
    # Squared distances of 5 ± d: the second is nearer by the factor at this d.
    root = np.sqrt(NEARER)
    edge = 5 * (1 - root) / (1 + root)
    for shift, wanted in ((0.9 * edge, 0), (1.1 * edge, 1), (-0.9 * edge, 1)):
        assert choose(reference, at(5 + shift)) == [wanted] * 3


def test_a_mouth_that_opens_wider_shows_less_of_it() -> None:
    """Where it is much wider nothing: drawn out, its inside would be a plug."""
    reference, lower = references([0]), list(LIPS_INNER)[: len(LIPS_INNER) // 2 : -1]
    shares = []
    for wider in (-20, 0, ENOUGH, (ENOUGH + TOO_NARROW) / 2, TOO_NARROW, 40):
        vertices = at(0)
        vertices[:, lower] += np.float32([0, wider])
        choose(reference, vertices)
        shares.append(reference.share(0, 0, vertices[0]))
        assert reference.share(1, 0, vertices[1]) == reference.share(2, 0, vertices[2]) == 1
    np.testing.assert_allclose(shares, [1, 1, 1, 0.5, 0, 0], atol=1e-5)


def test_each_patch_has_its_own() -> None:
    vertices = at(0)
    vertices[0, list(SHAPES[0][1])] += np.float32([0, 10])
    assert choose(references([0, 10]), vertices) == [1, 0, 0]


def test_one_photo_has_none() -> None:
    none = References.none()
    assert not NearestReference(none.atlases, none.places)
