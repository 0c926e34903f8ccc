"""What colours a photo has, and what is made of those that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from parlante.contract import Float, Image
from parlante.render.tone import LUMA, TEETH, YELLOW, YELLOWER, Skin, Tone, hue_of
from tests.support.portrait_samples import model

SKIN, LIPS, WHITE = (198, 158, 136), (176, 104, 100), (226, 214, 208)
NOBODY: Image = np.zeros((0, 3), np.uint8)


def patch(colour: tuple[float, ...]) -> Image:
    """Pixels around a colour, as brightness differs."""
    shades = np.linspace(0.8, 1.2, 64)[:, None] * colour
    return np.round(shades.clip(0, 255)).astype(np.uint8)


def tone(skin: tuple[float, ...], lips: tuple[float, ...], eyes: Image = NOBODY) -> Tone:
    return Tone.of(np.stack([patch(skin), patch(lips)]), patch(skin), patch(lips), eyes)


def eye(white: tuple[float, ...]) -> Image:
    """Pixels between lids: the white, a brown iris, a reflection and some lashes."""
    others = np.repeat(np.uint8([(70, 45, 30), (255, 255, 255), (20, 15, 15)]), (30, 4, 10), 0)
    return np.concatenate([patch(white)[20:40], patch(white)[20:40], others])


def printed(colour: tuple[int, ...]) -> tuple[float, ...]:
    """As a blue print shows it."""
    light = float(colour @ LUMA)
    return 0.7 * light, 1.05 * light, 1.1 * light


def test_skin_is_more_saturated_in_its_shades() -> None:
    """A line through most pixels: brows and a blue spot do not matter; nor does what is darker."""
    lights = np.linspace(0.5, 1.0, 600)
    true = lights[:, None] * (150, 160, 180) + (70, -6, -40)
    other = np.concatenate([np.full((60, 3), 20), np.full((60, 3), (60, 90, 230))])
    skin = Skin.of(np.round(np.concatenate([true, other])).astype(np.uint8))
    luma = (true @ LUMA / 127.5).astype(np.float32)
    np.testing.assert_allclose(skin.at(luma).T, true / 127.5, atol=0.03)
    assert skin.light == pytest.approx(np.median(luma), abs=0.08)
    assert np.mean(luma < skin.lightest) == pytest.approx(0.95, abs=0.03)
    dark = np.float32([0.2, 0.1]) * skin.light
    colours = skin.at(dark)
    np.testing.assert_allclose(colours[:, 0] / 2, colours[:, 1], rtol=1e-5)  # of one hue
    np.testing.assert_allclose(LUMA @ colours, dark, rtol=1e-4)
    assert (skin.share(dark) == 0).all() and (skin.share(luma[300:]) == 1).all()


def test_skin_of_one_colour_has_its_hue() -> None:
    skin = Skin.of(np.full((50, 3), (200, 150, 130), np.uint8))
    luma = np.float32([0.5, 1.0])
    wanted = np.outer(luma, np.array([200, 150, 130]) / ((200, 150, 130) @ LUMA))
    np.testing.assert_allclose(skin.at(luma).T, wanted, rtol=1e-4)


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


def test_a_face_whose_eyes_are_white_has_colours() -> None:
    """Dark lips may have the hue of dark skin. Eyes of a print and of a marble have it, too."""
    dark, lips = (120.0, 72.0, 46.0), (102.0, 61.2, 39.1)
    assert tone(dark, lips).coloured < 0.05
    assert tone(dark, lips, eye(WHITE)).coloured == 1
    assert tone(dark, lips, eye((176, 106, 68))).coloured < 0.05
    ink = tuple(tuple(printed(colour)) for colour in (SKIN, LIPS, WHITE))
    assert tone(ink[0], ink[1], eye(ink[2])).coloured < 0.05


@pytest.mark.parametrize("skin", [SKIN, (120, 72, 46), (214, 150, 90)])
def test_teeth_are_white_where_eyes_are(skin: tuple[int, ...]) -> None:
    """In warm light, and before dark skin; a little warmer than the white, and never blue."""

    def yellow(colour: Float) -> float:
        return float((colour[0] - colour[2]) / (colour @ LUMA))

    without, own = tone(skin, LIPS), tone(skin, LIPS, eye(WHITE))
    assert (without.teeth == 1).all()
    before = yellow(TEETH / without.balance)
    after = yellow(TEETH * own.teeth / own.balance)
    wanted = max(yellow(np.float32(WHITE)) + YELLOWER, YELLOW)
    assert after == pytest.approx(min(wanted, before), abs=0.02)
    assert LUMA @ (TEETH * own.teeth / own.balance) == pytest.approx(
        LUMA @ (TEETH / own.balance), rel=0.01
    )
    blue = tone(skin, LIPS, eye((190, 205, 235)))
    assert yellow(TEETH * blue.teeth / blue.balance) >= min(YELLOW, before) - 0.02
    # An eye in the shade tells nothing, nor does one that is all a reflection.
    shade = tuple(0.4 * level * (skin @ LUMA) / 200 for level in WHITE)
    for eyes in (eye(shade), np.full((9, 3), 255, np.uint8)):
        assert (tone(skin, LIPS, eyes).teeth == 1).all()


def test_teeth_have_the_colour_of_the_model() -> None:
    colours = model().teeth_picture.reshape(-1, 4)
    np.testing.assert_allclose(hue_of(colours[colours[:, 3] > 200, :3]), TEETH, atol=0.01)


@pytest.mark.parametrize(
    ("lips", "red"), [((150, 116, 106), 0.0), ((160, 108, 100), 0.25), ((176, 90, 92), 1.0)]
)
def test_how_red_lips_are(lips: tuple[int, ...], red: float) -> None:
    """Over their brightness: of two sets of lips the darker one may be as red."""
    for light in (1.0, 0.6):
        seen = tuple(light * level for level in lips)
        assert tone(SKIN, seen).red == pytest.approx(red, abs=0.2)


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


def test_noise_in_the_colours_of_black_and_white_is_no_colour() -> None:
    """Lips that are redder by chance stay as grey as the skin."""
    rng = np.random.default_rng(1)
    skin, lips = (
        np.clip(patch((level,) * 3) + rng.integers(-6, 7, (64, 3)) + tint, 0, 255).astype(np.uint8)
        for level, tint in ((150, (0, 0, 0)), (90, (5, 0, 0)))
    )
    own = Tone.of(np.stack([skin, lips]), skin, lips, NOBODY)
    assert not own.grey
    planes = np.random.default_rng(0).random((3, 4, 4), np.float32)
    own.apply(planes)
    seen = planes / own.balance[:, None, None]
    assert np.ptp(seen, axis=0).max() < 0.05


def test_black_and_white() -> None:
    own = tone((128, 128, 128), (90, 90, 90))
    planes = np.random.default_rng(0).random((3, 4, 4), np.float32)
    own.apply(planes)
    assert own.grey
    assert np.ptp(planes, axis=0).max() < 1e-6
