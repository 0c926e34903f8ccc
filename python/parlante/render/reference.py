"""Which of a portrait's references is shown to the network: for each patch the nearest one."""

from __future__ import annotations

import numpy as np

from parlante.contract import BANDS, VERTICES, Float, Image
from parlante.face.topology import LIPS_INNER
from parlante.portrait.references import SHAPES
from parlante.render.contact import sides

# Pixels of the atlas, on average over the lips, by which a mouth opens wider than the nearest
# reference: from the second on it is drawn from the photo, as without references, between the two
# from both. Drawn out, what a reference shows of its inside is a plug.
ENOUGH, TOO_NARROW = 3.0, 8.0
# A reference gives way to one that is nearer by this factor of squared distance: else two that are
# about as near would take turns, and the picture would flicker.
NEARER = 0.7


class NearestReference:
    """The choice for the latest frame, from which the next one's starts.

    atlases uint8 [R, 256, 128, 3] and places float32 [R, 3, 468, 2] as in
    `parlante.portrait.references`.
    """

    def __init__(self, atlases: Image, places: Float) -> None:
        self.atlases, self._places = atlases, places
        self._shapes = [
            self._places[:, patch, list(loop)].reshape(-1, 2 * len(loop)) for patch, loop in SHAPES
        ]
        self._chosen: list[int | None] = [None] * len(BANDS)

    def __bool__(self) -> bool:
        return len(self.atlases) > 0

    def choose(self, patch: int, places: Float) -> int:
        """Number of the one for a frame whose vertices lie at ``places`` [V, 2] in the atlas."""
        _, loop = SHAPES[patch]
        away = np.square(self._shapes[patch] - places[list(loop)].ravel()).sum(1)
        nearest, held = int(away.argmin()), self._chosen[patch]
        if held is None or away[nearest] < NEARER * away[held]:
            self._chosen[patch] = held = nearest
        return held

    def share(self, patch: int, number: int, places: Float) -> float:
        """How far that reference may be shown there, 0 to 1: of eyes all, of wider mouths less."""
        if patch:
            return 1.0
        wider = _gap(places) - _gap(self._places[number, patch])
        narrow = float(np.clip((wider - ENOUGH) / (TOO_NARROW - ENOUGH), 0, 1))
        return 1 - narrow * narrow * (3 - 2 * narrow)

    def places(self, patch: int, number: int, places: Float) -> Float:
        """Where vertices that lie at ``places`` [V, 2] in the atlas lie in that of a reference.

        What is not of the face, and the inside of mouth or eye, stay at their own places.
        """
        shown: Float = places.copy()
        shown[:VERTICES] = self._places[number, patch]
        return shown


def _gap(places: Float) -> float:
    """Between the inner lips of vertices [V, 2], pixels, on average."""
    upper, lower = sides(LIPS_INNER)
    return float((places[lower, 1] - places[upper, 1]).mean())
