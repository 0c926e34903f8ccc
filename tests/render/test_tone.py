"""What colours a photo has, and what is made of those that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from parlante.contract import Image
from parlante.render.tone import LUMA, Tone

SKIN, LIPS = (198, 158, 136), (176, 104, 100)


def patch(colour: tuple[float, ...]) -> Image:
    """Pixels around a colour, as brightness differs."""
    shades = np.linspace(0.8, 1.2, 64)[:, None] * colour
    return np.round(shades.clip(0, 255)).astype(np.uint8)


def tone(skin: tuple[float, ...], lips: tuple[float, ...]) -> Tone:
    return Tone.of(np.stack([patch(skin), patch(lips)]), patch(skin), patch(lips))


def printed(colour: tuple[int, ...]) -> tuple[float, ...]:
    """As a blue print shows it."""
    light = float(colour @ LUMA)
    return 0.7 * light, 1.05 * light, 1.1 * light


def test_red_lips_are_coloured_and_their_colours_stay() -> None:
    own = tone(SKIN, LIPS)
    assert own.coloured == 1
    planes = np.random.default_rng(0).random((3, 4, 4), np.float32)
    before = planes.copy()
    own.apply(planes)
    np.testing.assert_array_equal(planes, before)


@pytest.mark.parametrize("lips", [SKIN, (148, 118, 102)])
def test_lips_of_stone_are_not(lips: tuple[int, ...]) -> None:
    assert tone(SKIN, lips).coloured < 0.05


def test_in_a_print_all_is_of_its_ink() -> None:
    own = tone(printed(SKIN), printed(LIPS))
    assert own.coloured < 0.05
    planes = np.zeros((3, 2, 2), np.float32)
    planes[0] = 0.5  # red
    light = np.tensordot(LUMA, planes, 1)
    own.apply(planes)
    np.testing.assert_allclose(np.tensordot(LUMA, planes, 1), light, rtol=2e-2)
    seen = planes[:, 0, 0] / own.balance
    ink = np.array(printed(SKIN))
    np.testing.assert_allclose(seen / seen[1], ink / ink[1], rtol=5e-2)


def test_black_and_white() -> None:
    own = tone((128, 128, 128), (90, 90, 90))
    planes = np.random.default_rng(0).random((3, 4, 4), np.float32)
    own.apply(planes)
    assert own.grey
    assert np.ptp(planes, axis=0).max() < 1e-6
