"""Photos, from the bytes of a file to the pixels that the first network would see."""

from __future__ import annotations

from fuzz.input import refusal
from parlante.portrait.pictures import Pictures


def check(data: bytes) -> None:
    with refusal():
        for photo in Pictures.read([data]).photos:
            assert photo.rgb.shape[2:] == (3,)
            assert photo.alpha is None or photo.alpha.shape == photo.rgb.shape[:2]
