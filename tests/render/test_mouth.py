"""Insides of mouths that the photo does not show."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from parlante import Avatar, RenderOptions, _core
from parlante.contract import TILE, Float
from parlante.face.topology import LIP_CORNERS, LIPS_INNER
from parlante.render.contact import shut_lips
from parlante.render.mesh import WarpMesh
from parlante.render.mouth import (
    Mouth,
    are_enough,
    are_parted,
    are_teeth,
    keep,
    teeth_of,
    upper_teeth,
)
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, mode, model

UPPER = 13  # landmark: middle of the upper inner lip
PIXELS = 16  # of the tile, per model unit
STILL = np.zeros(6, np.float32)  # change of the pose
TOP = 40  # row of the tile in which the upper lip ends


@cache
def measured() -> Float:
    return WarpMesh.of(model(), avatar().portrait).measured


def opening(height: int, width: int = 80) -> Float:
    """A mouth whose upper lip is straight."""
    out = np.zeros((TILE, TILE), np.float32)
    cv2.ellipse(out, (TILE // 2, TOP), (width // 2, height), 0, 0, 180, 1, -1)
    out[:TOP] = 0
    return out


def teeth() -> Float:
    """From the front, as far below the upper lip as a third of a wide mouth."""
    out = model().teeth_vertices * (PIXELS, -PIXELS, -PIXELS) + (TILE / 2, TOP + 12, 0)
    return np.asarray(out, np.float32)


def drawn(height: int, *of_photo: Any, given: bool = True) -> Float:
    """Of a photo that is so much softer, of such red lips and such a grain."""
    out = np.zeros((TILE, TILE, 3), np.float32)
    Mouth(_core.rasterize, model(), *of_photo).draw(
        teeth() if given else None, opening(height), out
    )
    return out


def kept(parted: Float, *, real: bool, lips: float = 0) -> Float:
    out = np.full_like(parted, np.nan)
    keep(parted, out, real=real, lips=lips)
    return out


def test_teeth_go_by_the_mouth() -> None:
    own = teeth_of(model(), measured())
    left, right = sorted(measured()[list(LIP_CORNERS), 0])
    across = model().teeth_vertices[:, :2]
    _, edge = np.polyfit(across[:, 1], own[:, 1], 1)
    assert 0 < (measured()[UPPER, 1] - edge) / (right - left) < 0.15
    assert left < np.polyfit(across[:, 0], own[:, 0], 1)[1] < right
    sizes = [
        np.ptp(teeth_of(model(), model().neutral * np.float32([width, 1, 1]))[:, 0])
        for width in (0.6, 0.9)
    ]
    assert sizes[0] / sizes[1] == pytest.approx(2 / 3, rel=1e-3)


def test_teeth_are_bright_and_the_throat_is_dark() -> None:
    made = drawn(36)
    front, throat = made[TOP + 4 : TOP + 9, 58:70], made[TOP + 16 : TOP + 22, 58:70]
    assert front.mean() > 3 * throat.mean()
    red_of_teeth, red_of_throat = (
        part[..., 0].mean() / part[..., 1].mean() for part in (front, throat)
    )
    assert 1 < red_of_teeth < 1.6 < red_of_throat
    # What lies in the corners gets less light than the middle; the tongue, lower down, more.
    assert made[TOP + 4, 30:34].mean() < 0.7 * front.mean()
    assert made[TOP + 30, 62:66].mean() > throat.mean()


def test_teeth_stay_where_they_are_in_the_head() -> None:
    rows = [drawn(height)[TOP + 3 : TOP + 8, 44:84].mean((0, 2)) for height in (26, 44)]
    assert np.corrcoef(*rows)[0, 1] > 0.98
    assert rows[0].std() > 0.02  # one tooth can be told from the next


def test_a_mouth_is_as_red_as_its_lips() -> None:
    """Teeth keep their colour."""
    pale, red = (
        [made[rows, 58:70].mean((0, 1)) for rows in (slice(TOP + 4, TOP + 8), slice(TOP + 26, 70))]
        for made in (drawn(36, 0.0, red) for red in (0.0, 1.0))
    )
    np.testing.assert_allclose(pale[0], red[0], rtol=0.02)
    assert red[1][0] / red[1][1] > 1.15 * pale[1][0] / pale[1][1]


def test_throat_and_tongue_have_the_grain_and_teeth_have_none() -> None:
    grain = np.where(np.indices((TILE, TILE)).sum(0) // 2 % 2, 0.2, -0.2).astype(np.float32)
    added = np.abs(drawn(36, 0.0, 1.0, grain) / np.maximum(drawn(36), 1e-3) - 1)
    assert added[TOP + 20 : TOP + 30, 56:72].mean() > 0.02
    assert added[TOP + 4 : TOP + 8, 58:70].mean() < 0.005


def test_teeth_for_a_soft_photo_are_soft() -> None:
    rows = [drawn(36, softer)[TOP + 3 : TOP + 8, 44:84].mean((0, 2)) for softer in (0, 2.5)]
    sharp, soft = (np.abs(np.diff(row)).max() for row in rows)
    assert soft < 0.4 * sharp
    assert rows[1].mean() == pytest.approx(rows[0].mean(), rel=0.1)


def test_no_teeth_in_a_slit_or_where_the_photo_has_its_own() -> None:
    wide = drawn(36).max()
    assert drawn(4).max() < 0.4 * wide
    assert drawn(36, given=False).max() < 0.6 * wide


def test_nothing_in_a_shut_mouth() -> None:
    out = np.full((TILE, TILE, 3), 7, np.float32)
    Mouth(_core.rasterize, model()).draw(teeth(), np.zeros((TILE, TILE), np.float32), out)
    assert (out == 7).all()
    assert not kept(np.zeros((TILE, TILE), np.float32), real=True).any()


def test_the_middle_of_a_wide_mouth_is_kept() -> None:
    wide = opening(36)
    out = kept(wide, real=False)
    assert (out[TOP + 8 : TOP + 24, 56:72] > 0.99).all()
    assert not out[wide == 0].any()
    middle = out[:, TILE // 2]
    upper, lower = middle[TOP : TOP + 3].mean(), middle[TOP + 33 : TOP + 36].mean()
    assert lower < 0.2 < upper  # lips fade into the dark, teeth touch the upper one
    assert not kept(opening(3), real=False).any()
    assert kept(opening(8), real=True).max() > 0.5  # teeth that the photo shows


def test_lips_beside_a_wide_mouth_are_kept() -> None:
    """Away from it, beside its corners, too; the more, the less of a reference is seen."""
    wide = opening(36)
    out, half = kept(wide, real=False, lips=1), kept(wide, real=False, lips=0.5)
    inside, middle = wide > 0, out[:, TILE // 2]
    np.testing.assert_array_equal(out[inside], kept(wide, real=False)[inside])
    np.testing.assert_allclose(half[~inside], out[~inside] / 2)
    assert (middle[TOP + 36 + 14 :] > 0.99).all() and (middle[: TOP - 14] > 0.99).all()
    assert middle[TOP - 3 : TOP].max() < 0.01 and middle[TOP + 36 : TOP + 39].max() < 0.01
    left, right = np.flatnonzero(inside.any(0))[[0, -1]]
    beyond = (out[:, : left - 14], out[:, right + 15 :])
    assert all((columns > 0.99).all() for columns in beyond)
    assert not kept(opening(3), real=True, lips=1)[~(opening(3) > 0)].any()


@pytest.mark.parametrize(
    ("height", "gap", "rim"), [(3, 20, True), (8, 20, False), (3, 5, False), (5, 20, True)]
)
def test_a_rim_of_teeth_is_no_set_of_them(height: int, gap: int, rim: bool) -> None:
    """Of a mouth 88 pixels wide: unless they fill a narrow opening."""
    inside = np.zeros((128, 128), np.uint8)
    inside[40 : 40 + gap, 20:108] = 1
    teeth = np.zeros(inside.shape, np.float32)
    teeth[40 : 40 + height, 20:108] = 1
    luma = np.where(teeth > 0, 0.55, 0.2).astype(np.float32)
    assert are_enough(teeth, inside, luma, 0.5, 88) != rim
    assert not are_enough(teeth, inside, luma, 0.6, 88)  # of gum, or in the shade


def test_upper_teeth_alone_are_seen_to_stay() -> None:
    """Not the dark below them, nor lower teeth, however bright; and their edge is even."""
    inside = np.zeros((128, 128), np.uint8)
    inside[40:80, 20:108] = 1
    light = np.full(inside.shape, 150, np.float32)
    light[40:80, 20:108] = 40
    light[42:56, 20:108] = 170 + 30 * (np.arange(88) // 11 % 2)
    light[42:70, 60] = 170  # a spot of light on the tongue
    light[70:80, 20:108] = 220
    seen = upper_teeth(light, inside)
    assert (seen[43:53, 23:105] > 0.95).all()
    assert not seen[60:].any() and not seen[:, :17].any()
    light[56:80, 20:108] = 150  # an opening full of teeth
    assert (upper_teeth(light, inside)[43:77, 23:105] > 0.95).all()


def test_a_tongue_is_no_tooth() -> None:
    """Where it lies against the teeth, and is nearly as bright, they end as beside it."""
    inside = np.zeros((128, 128), np.uint8)
    inside[40:80, 20:108] = 1
    white = np.full(inside.shape, 120, np.float32)
    white[40:52, 20:108] = 170
    white[52:80, 20:60] = 40
    white[40:80, 60:108] = np.linspace(170, 110, 40)[:, None]
    seen = upper_teeth(white, inside)
    assert (seen[42:50, 23:105] > 0.95).all()
    assert not seen[63:].any()


def test_cheeks_beside_teeth_are_none() -> None:
    inside = np.zeros((128, 128), np.uint8)
    inside[40:80, 20:108] = 1
    white = np.full(inside.shape, 40, np.float32)
    white[40:52, 20:108] = 170
    white[40:64, 20:34] = white[40:64, 94:108] = 150
    seen = upper_teeth(white, inside)
    assert (seen[42:50, 23:105] > 0.95).all()
    assert not seen[57:].any()


def test_parted_lips_show_an_inside() -> None:
    shut, parted = measured().copy(), measured().copy()
    for face, gap in ((shut, 0.02), (parted, 0.2)):
        width = np.ptp(face[list(LIP_CORNERS), 0])
        face[14, 1] = face[UPPER, 1] - gap * width
    assert not are_parted(shut)
    assert are_parted(parted)


def test_teeth_are_brighter_than_skin() -> None:
    """The demo's smile shows them; parted lips with the dark between them do not."""
    scene = FrameRenderer(Bundle.default(), model(), avatar().portrait)._scene
    assert scene.shows_teeth
    assert not are_teeth(np.full(100, 0.3), 0.5)
    assert are_teeth(np.linspace(0.1, 0.9, 100), 0.5)
    assert not are_teeth(np.zeros(0), 0.5)


def test_a_frame_shows_it_as_it_is() -> None:
    """Steps of the chain change lips, but not what lies in the middle between them."""
    photo = avatar().portrait
    drawer = FrameRenderer(Bundle.default(), model(), photo)
    shut = photo.expression + shut_lips(model(), measured())
    portrait = Avatar(drawer.draw(shut, STILL), cache=False).portrait
    shown = portrait.expression.copy()
    shown[mode("jawOpen")] += 0.8
    one, four = (
        FrameRenderer(Bundle.default(), model(), portrait, RenderOptions(steps=steps))
        for steps in (1, 4)
    )
    assert not are_parted(one.mesh.measured)
    frames = [one.draw(shown, STILL), four.draw(shown, STILL)]
    moved = one.mesh.move(shown[None], portrait.pose).vertices[0]
    lips = np.round(moved[list(LIPS_INNER), :2] * (len(frames[0]) / 256)).astype(np.int32)
    inner = np.zeros(frames[0].shape[:2], np.uint8)
    cv2.fillPoly(inner, [lips], 1)
    middle = cv2.erode(inner, np.ones((19, 19), np.uint8)) > 0
    assert middle.sum() > 20
    np.testing.assert_array_equal(frames[0][middle], frames[1][middle])
    around = cv2.dilate(inner, np.ones((9, 9), np.uint8)) > inner
    assert (frames[0][around] != frames[1][around]).any()
