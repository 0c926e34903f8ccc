"""What a scene takes from its portrait."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from parlante.contract import UNSHUFFLE
from parlante.face.topology import EYE_LEFT, EYE_RIGHT
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait
from parlante.render.renderer import FrameRenderer
from parlante.render.scene import Scene, in_cells
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, expression, model


def renderer(portrait: Portrait) -> FrameRenderer:
    return FrameRenderer(Bundle.default(), model(), portrait, RenderOptions(size=256, steps=1))


def scene(portrait: Portrait) -> Scene:
    return renderer(portrait)._scene


def test_cells() -> None:
    image = np.random.default_rng(0).random((16, 24), np.float32)
    cells = in_cells(image)
    for dy in range(UNSHUFFLE):
        for dx in range(UNSHUFFLE):
            own = image[dy::UNSHUFFLE, dx::UNSHUFFLE]
            np.testing.assert_array_equal(cells[UNSHUFFLE * dy + dx], own)


def grainy(portrait: Portrait, levels: float) -> Portrait:
    """The portrait without any texture of its own, but with a grain."""
    colours = cv2.GaussianBlur(portrait.canvas[..., :3], (0, 0), 4).astype(np.float32)
    colours += np.random.default_rng(0).normal(0, levels, colours.shape[:2])[..., None]
    canvas = portrait.canvas.copy()
    canvas[..., :3] = colours.clip(0, 255)
    return replace(portrait, canvas=canvas)


def test_texture_is_the_photos() -> None:
    portrait = avatar().portrait
    none, little, much = (scene(grainy(portrait, levels)).texture.std() for levels in (0, 4, 8))
    assert none < 0.2 * little
    assert 1.7 < much / little < 2.3


def test_the_grain_of_a_mouth_is_the_photos_without_lines() -> None:
    portrait = avatar().portrait
    none, little, much = (scene(grainy(portrait, levels)).grain for levels in (0, 4, 8))
    assert none.std() < 0.2 * little.std()
    assert 1.7 < much.std() / little.std() < 2.3
    assert np.abs(little).max() < 4 * np.median(np.abs(little))
    painted = grainy(portrait, 4)
    painted.canvas[::6, :, :3] //= 2
    assert not scene(painted).grain.any()


def test_lashes_are_as_dark_as_the_photos() -> None:
    portrait = avatar().portrait
    found = []
    for light in (0.7, 0.4):
        canvas = portrait.canvas.copy()
        left, top, side = portrait.crop
        for eye in (EYE_RIGHT, EYE_LEFT):
            outline = portrait.landmarks[list(eye), :2] * (side / 256) + (left, top)
            skin = canvas[..., :3].mean((0, 1)) * light
            cv2.polylines(canvas, [outline.astype(np.int32)], True, (*skin.tolist(), 255), 7)
        found.append(scene(replace(portrait, canvas=canvas)).lashes)
    assert found[1] - found[0] > 0.1


def test_shut_lids_have_the_texture() -> None:
    portrait = grainy(avatar().portrait, 8)
    draws = renderer(portrait)
    shut = portrait.expression + expression(eyeBlink_L=1, eyeBlink_R=1)[0]
    still = np.zeros(6, np.float32)
    textured = draws.draw(shut, still).astype(int)
    draws._scene.texture.fill(0)
    added = textured - draws.draw(shut, still)
    eyes = portrait.landmarks[[*EYE_RIGHT, *EYE_LEFT], :2].astype(int)
    (left, top), (right, bottom) = eyes.min(0), eyes.max(0)
    width = right - left
    around = np.zeros(added.shape[:2], bool)
    around[top - width // 4 : bottom + width // 4, left - width // 4 : right + width // 4] = True
    assert not added[~around].any()
    for x, y in (eyes[: len(EYE_RIGHT)].mean(0), eyes[len(EYE_RIGHT) :].mean(0)):
        lid = added[int(y) - 2 : int(y) + 3, int(x) - 4 : int(x) + 5].mean(2)
        assert lid.std() > 1
