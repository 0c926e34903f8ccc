"""What the page of `parlante serve` offers: faces by their names, and voices that read text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from parlante.app.viewer import jpeg, speech_of
from parlante.avatar import Avatar
from parlante.errors import ParlanteError

PICTURE_SIDE = 192  # pixels of a face's small picture


@dataclass(frozen=True)
class Choices:
    """Avatars by their names, the first of them where none is asked for; voices of espeak-ng.

    Raises:
        ParlanteError: there is no face, no such voice, or no espeak-ng for it.
    """

    faces: Mapping[str, Avatar]
    voices: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.faces:
            raise ParlanteError("no face; give at least one")
        for voice in self.voices:
            speech_of("a", voice)

    def name(self, asked: str | None) -> str:
        """The face that is asked for, or the first.

        Raises:
            ParlanteError: there is no such face.
        """
        names = list(self.faces)
        if asked is not None and asked not in names:
            raise ParlanteError(f"face={asked!r}; there are {', '.join(names)}")
        return names[0] if asked is None else asked

    def picture(self, name: str) -> bytes:
        """A small picture of the face, JPEG."""
        return self._pictures[name]

    @cached_property
    def _pictures(self) -> dict[str, bytes]:
        return {name: _small(avatar) for name, avatar in self.faces.items()}


def _small(avatar: Avatar) -> bytes:
    side = (PICTURE_SIDE, PICTURE_SIDE)
    small = cv2.resize(avatar.portrait.image[..., :3], side, interpolation=cv2.INTER_AREA)
    return jpeg(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), np.uint8))
