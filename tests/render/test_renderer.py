"""Pictures: outside mouth and eyes they are the warp, to the bit, and grey photos stay grey."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from parlante.contract import (
    ATLAS,
    BANDS,
    CELL_PIXELS,
    CELLS,
    COLOR_PLANES,
    DRAWN_PLANES,
    EYES,
    MOUTH,
    OPENING_PLANES,
    PATCHES,
    TILE,
    TILES,
    VERTICES,
)
from parlante.errors import AudioError
from parlante.media.photo import Photo
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.portrait import Portrait
from parlante.render import canvas as canvases
from parlante.render.renderer import FrameRenderer
from parlante.render.tone import LUMA, is_grey
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.speech.motion import Motion, MotionStream
from tests.support.portrait_samples import avatar, demo_rgb, demo_speech, mode, model

SIZE = 256


@cache
def motions() -> list[Motion]:
    return MotionStream(Bundle.default(), seed=2).push(demo_speech()[:48_000])[::12]


def renderer(portrait: Portrait, size: int = SIZE) -> FrameRenderer:
    return FrameRenderer(Bundle.default(), model(), portrait, RenderOptions(size=size))


def drawn_in(draws: FrameRenderer, tiles: list[int]) -> NDArray[np.bool_]:
    """Where the latest frame [size, size], of these tiles, may differ from the warp."""
    warp = draws._canvases[0]._warp
    planes = warp.condition[:, DRAWN_PLANES].reshape(TILES, 4, 4, *CELLS)
    # Along lips it covers the warp, also where it adds nothing.
    atlas = np.maximum(planes.transpose(0, 3, 1, 4, 2).reshape(ATLAS), warp.cover)
    where = np.zeros(warp.flow.shape[:2], bool)
    at = np.stack([*np.meshgrid(*2 * [np.arange(len(where))]), np.ones_like(where)])
    patches = [patch for tile in tiles for patch in PATCHES[tile]]
    for place, (first, last) in ((warp.places[patch], BANDS[patch]) for patch in patches):
        u, v = np.tensordot(place, at, 1)
        inside = (u >= 0) & (u <= ATLAS[1] - 1) & (v >= first) & (v <= last - 1)
        seen = ndimage.map_coordinates(atlas[first:last], [v - first, u], order=1, mode="nearest")
        where |= inside & (seen > 0)
    return where


def test_the_warp_is_left_alone_but_for_lips_and_lids() -> None:
    draws = renderer(avatar().portrait)
    changed = []
    for motion in motions():
        expression = draws.expression(motion)
        tiles = draws._scene.aim(expression, motion.pose).tiles
        warp = draws.draw_warp(expression, motion.pose)
        made = draws.draw(expression, motion.pose)
        drawn = drawn_in(draws, tiles)
        np.testing.assert_array_equal(made[~drawn], warp[~drawn])
        assert drawn.mean() < 0.2
        if tiles:
            changed.append(np.abs(made.astype(int) - warp)[drawn].mean())
    assert len(changed) > len(motions()) / 2
    assert np.median(changed) > 0.5  # and there it draws


@pytest.mark.parametrize("size", [256, 512])
def test_a_photo_at_rest_is_the_photo(size: int) -> None:
    """The photo's own attributes give its own pixels, mouth and eyes, too."""
    portrait = avatar().portrait
    made = renderer(portrait, size).draw(portrait.expression, np.zeros(6, np.float32))
    # Pixels are sampled within 1/100 of a pixel from where they lie.
    assert np.abs(made.astype(int) - portrait.at(size)[..., :3]).max() <= 2


def test_what_has_not_moved_is_not_drawn() -> None:
    """Each of mouth and eyes alone, and the more, the further lips or lids have moved."""
    portrait = avatar().portrait
    scene = renderer(portrait)._scene
    for name, tile, patch in (("jawOpen", 0, 0), ("eyeBlink_R", 1, 1), ("eyeBlink_L", 1, 2)):
        shares = []
        for change in (0.0, 0.02, 0.2, 1.2):
            expression = portrait.expression.copy()
            expression[mode(name)] += change
            aim = scene.aim(expression, np.float32([0.1, 0.2, 0, 0, 0, 0]))
            shares.append(aim.shares[patch])
            assert aim.tiles == ([tile] if shares[-1] else [])
            assert not np.delete(aim.shares, patch).any()
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0, 1)


def test_nothing_of_a_mouth_is_made_bluer(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the edge of the lip, which then gets its own hue."""
    monkeypatch.setattr(canvases, "tint_edge", lambda *_: None)
    portrait = avatar().portrait
    draws = renderer(portrait)
    expression = portrait.expression.copy()
    expression[mode("jawOpen")] = 0.6
    draws.draw(expression, np.zeros(6, np.float32))
    canvas = draws._canvases[0]
    warp = canvas._warp.condition[MOUTH, :COLOR_PLANES].reshape(3, -1)
    drawn = (canvas._x0[MOUTH].reshape(3, -1) - warp) * draws._scene.tone.balance[:, None]
    assert np.abs(drawn).max() > 0.3
    assert (drawn[2] <= drawn[1] + 1e-5).all()


@pytest.mark.parametrize("light", [-0.15, -0.3, -0.85])
def test_lids_that_are_drawn_have_the_colour_of_skin(light: float) -> None:
    """Or of lashes, where they are dark; where they may be drawn, and their light stays."""
    draws = renderer(avatar().portrait)
    canvas, scene = draws._canvases[0], draws._scene
    scene.texture.fill(0)
    gate, opening = (canvas._warp.condition[EYES, p] for p in (DRAWN_PLANES, OPENING_PLANES))
    gate[:], opening[:] = 0, 0
    gate[:, 8:24, 8:24] = 1
    drawn = np.full((3, *gate.shape), light, np.float32) * gate
    grey = np.zeros_like(drawn)
    canvas._as_skin(drawn, grey)
    assert (drawn[:, gate == 0] == 0).all()
    colour = 1 + drawn[:, 0, 16, 16]
    assert colour @ LUMA == pytest.approx(1 + light, rel=1e-2)
    luma = np.float32(1 + light)
    skin = scene.skins[1]  # its rows are the lower half of the cells
    share, lashes = skin.share(luma), luma * scene.lash_hue
    assert (share > 0.5) == (light > -0.5)
    wanted = share * skin.at(luma) + (1 - share) * lashes
    np.testing.assert_allclose(colour, wanted, atol=1e-2)


def test_of_an_eye_that_the_network_leaves_nothing_changes() -> None:
    """But where its lids have met nothing is as white as the eye."""
    draws = renderer(avatar().portrait)
    canvas = draws._canvases[0]
    gate, opening = (canvas._warp.condition[EYES, p] for p in (DRAWN_PLANES, OPENING_PLANES))
    gate[:], opening[:] = 1, 1
    drawn = np.zeros((3, CELL_PIXELS, *CELLS), np.float32)
    warp = np.random.default_rng(0).uniform(-1, 1, drawn.shape).astype(np.float32)
    canvas._as_skin(drawn, warp)
    assert not drawn.any()
    opening[:] = 0
    canvas._as_skin(drawn, warp)
    before, after = (np.tensordot(LUMA, picture + 1, 1) for picture in (warp, warp + drawn))
    for skin, rows in zip(draws._scene.skins, (slice(16), slice(16, 32)), strict=True):
        light, changed = before[:, rows], drawn[:, :, rows]
        assert (light > skin.lightest).any()
        assert after[:, rows].max() <= 1.05 * skin.lightest + 1e-3
        np.testing.assert_allclose(changed[:, light <= skin.lightest], 0, atol=1e-6)


def test_lids_that_change_little_keep_their_hue() -> None:
    """The network's light is taken, its colours are not; between open lids both are."""
    draws = renderer(avatar().portrait)
    canvas, skins = draws._canvases[0], draws._scene.skins
    draws._scene.texture.fill(0)
    gate, opening = (canvas._warp.condition[EYES, p] for p in (DRAWN_PLANES, OPENING_PLANES))
    gate[:], opening[:] = 0, 0
    opening[:, :, 20:] = 1
    drawn = np.zeros((3, CELL_PIXELS, *CELLS), np.float32)
    drawn[2] = 0.04  # blue
    canvas._as_skin(drawn, np.zeros_like(drawn))
    wanted = 0.04 * LUMA[2] * np.stack([skin.hue for skin in skins])
    np.testing.assert_allclose(drawn[:, 0, (4, 28), 4].T, wanted, atol=1e-6)
    between = drawn[:, :, :, 20:]
    assert (between[2] == np.float32(0.04)).all() and not between[:2].any()


def test_where_lids_meet_there_are_lashes() -> None:
    """As dark as in the photo, where they are densest; what is darker stays."""
    draws = renderer(avatar().portrait)
    canvas, lashes = draws._canvases[0], draws._scene.lashes
    assert 0.15 <= lashes <= 0.8
    dense = draws._scene.dense[33]
    assert dense[60] > 0.9
    edges = canvas._warp.edges
    edges.fill(0)
    edges[TILE + 30 : TILE + 36, 20:100] = 1
    warp = np.zeros((3, CELL_PIXELS, *CELLS), np.float32)
    warp[:, :, :, 20:] = -0.95  # dark to the right
    drawn = np.zeros_like(warp)
    canvas._add_lashes(drawn, warp)
    light = drawn.reshape(3, 4, 4, *CELLS).transpose(0, 3, 1, 4, 2).reshape(3, TILE, TILE)
    assert light[:, 33, 60] == pytest.approx(-0.75 * lashes * dense[60], rel=0.05)
    assert not light[:, 60:].any() and not light[:, :20].any()
    assert np.abs(light[:, :, 96:]).max() < 0.05


def test_frames_drawn_at_once_are_those_drawn_alone() -> None:
    """In order, to the bit, on canvases of as many threads; and what fails comes last."""
    rng = np.random.default_rng(4)
    places = rng.uniform(-30, 280, (5, 3, VERTICES, 2)).astype(np.float32)
    references = rng.integers(0, 256, (5, *ATLAS, 3), dtype=np.uint8)
    # One eye blinks harder than the other: its neighbour in the tile is not drawn.
    portrait = replace(avatar().portrait, references=references, reference_places=places)
    given = (Bundle.default(), model(), portrait, RenderOptions(size=SIZE))
    alone = FrameRenderer(*given, Compute(threads=1))
    wanted = [alone.render(motion) for motion in motions()]
    for at_once in (1, 2, 3):
        several = FrameRenderer(*given, Compute(threads=at_once), at_once)
        for a, b in zip(several.stream(motions()), wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        assert several.times.frames == len(wanted)

    def damaged() -> Iterator[Motion]:
        yield from motions()[:5]
        raise AudioError("damaged")

    made = []
    with pytest.raises(AudioError, match="damaged"):
        for image in FrameRenderer(*given, Compute(threads=2), 2).stream(damaged()):
            made.append(image)
    assert len(made) == 5


def test_grey_photos_stay_grey() -> None:
    grey = cv2.cvtColor(demo_rgb(), cv2.COLOR_RGB2GRAY)
    portrait = avatar().portrait
    canvas = cv2.cvtColor(portrait.canvas[..., :3], cv2.COLOR_RGB2GRAY)
    black_and_white = replace(
        portrait,
        canvas=np.dstack([canvas, canvas, canvas, portrait.canvas[..., 3]]),
    )
    assert is_grey(np.repeat(grey[..., None], 3, 2)) and not is_grey(demo_rgb())
    # And where it has references in colour.
    rng = np.random.default_rng(3)
    coloured = replace(
        black_and_white,
        references=rng.integers(0, 256, (2, *ATLAS, 3), dtype=np.uint8),
        reference_places=rng.uniform(0, 128, (2, 3, VERTICES, 2)).astype(np.float32),
    )
    for portrait in (black_and_white, coloured):
        draws = renderer(portrait)
        for motion in motions():
            made = draws.render(motion).astype(int)
            assert (made.max(2) - made.min(2)).max() <= 1  # rounding


# Eyes and brows


def seen_in(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Landmarks [478, 2] that the tracker finds in a picture."""
    found = PortraitEncoder(Bundle.default())._find(Photo(picture, None), None)
    assert found is not None
    return found[:, :2]


def looking(right: float = 0, up: float = 0) -> NDArray[np.float32]:
    """Irises [2] in a drawn face with its eyes turned so far (degrees), in widths of an eye.

    From the middle of their eyes, of both the mean. The tracker sees about half of a shift.
    """
    options = RenderOptions(size=512, gaze=(right, up))
    draws = FrameRenderer(Bundle.default(), model(), avatar().portrait, options)
    found = seen_in(draws.render(resting()))
    offsets = []
    for iris, corners in ((468, (33, 133)), (473, (362, 263))):
        ends = found[list(corners)]
        offsets.append((found[iris] - ends.mean(0)) / np.ptp(ends[:, 0]))
    return np.asarray(np.mean(offsets, 0), np.float32)


def resting() -> Motion:
    draws = renderer(avatar().portrait)
    return Motion(draws.shut, np.zeros(6, np.float32), np.zeros(2, np.float32))


def test_eyes_look_where_they_are_told() -> None:
    ahead, right, left, up = looking(), looking(right=15), looking(right=-15), looking(up=20)
    assert right[0] - ahead[0] > 0.03 and left[0] - ahead[0] < -0.03
    assert up[1] - ahead[1] < -0.015  # rows count downwards
    assert np.abs(right - ahead)[1] < 0.02 and abs(up - ahead)[0] < 0.02


def test_eyes_stay_with_what_they_look_at() -> None:
    """A head that turns takes the irises with it by less than itself."""
    attributes = renderer(avatar().portrait)._attributes
    turned = np.float32([0, 0.3, 0, 0, 0, 0])
    gaze = attributes.gaze(resting(), turned)
    shown = avatar().portrait.pose.changed_by(turned[None])
    step = np.float32([[[0, 0, 0], [0, 0, 1]]])  # the way the face looks
    way = np.diff(shown.apply(step)[0] - avatar().portrait.pose.apply(step)[0], axis=0)[0, 0]
    assert np.sign(gaze[0]) == -np.sign(way) and abs(gaze[0]) > 0.05
    np.testing.assert_array_equal(attributes.gaze(resting(), 0 * turned), 0)


def test_brows_go_up() -> None:
    draws = renderer(avatar().portrait, 512)
    raised = replace(resting(), brows=np.float32([0.8, 0.8, 0.8, 0, 0]))
    rest, up = (seen_in(draws.render(motion)) for motion in (resting(), raised))
    brows, eyes = [105, 107, 334, 336], [33, 133, 362, 263]
    distance = [(found[eyes, 1].mean() - found[brows, 1].mean()) for found in (rest, up)]
    assert distance[1] > 1.05 * distance[0]


def test_a_nod_lowers_the_head_and_nothing_else() -> None:
    """More so with more strength; without any the frame is that of a still head."""
    down = replace(resting(), nod=1.0)
    found = {}
    for strength in (0.0, 1.0, 2.0):
        draws = renderer(avatar().portrait, 512)
        draws.change(RenderOptions(size=512, nod=strength))
        found[strength] = seen_in(draws.render(down))
        if not strength:
            np.testing.assert_array_equal(draws.render(down), draws.render(resting()))
    tip, eyes, corners = 1, [33, 133, 263, 362], [61, 291]

    def below(landmarks: NDArray[np.float32]) -> float:
        """How far the tip of the nose is below the eyes, in distances of the outer corners."""
        width = np.linalg.norm(landmarks[33] - landmarks[263])
        return float((landmarks[tip, 1] - landmarks[eyes, 1].mean()) / width)

    nods = [below(landmarks) for landmarks in found.values()]
    assert nods[0] + 0.01 < nods[1] < nods[2] - 0.005
    for landmarks in found.values():
        # Neither to a side nor rolled.
        turned = landmarks[tip, 0] - landmarks[corners, 0].mean()
        still = found[0.0][tip, 0] - found[0.0][corners, 0].mean()
        assert abs(turned - still) < 3
