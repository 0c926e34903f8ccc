"""Pictures: outside lips and lids they are the warp, to the bit, and grey photos stay grey."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait
from parlante.render.renderer import FrameRenderer, is_grey
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion, MotionStream
from tests.support.portrait_samples import avatar, demo_rgb, demo_speech, model

SIZE = 256  # that of the networks' grid: nothing is resampled


@cache
def motions() -> list[Motion]:
    return MotionStream(Bundle.default(), seed=2).push(demo_speech()[:48_000])[::12]


def renderer(portrait: Portrait, size: int = SIZE) -> FrameRenderer:
    return FrameRenderer(Bundle.default(), model(), portrait, RenderOptions(size=size))


def test_the_warp_is_left_alone_but_for_lips_and_lids() -> None:
    draws = renderer(avatar().portrait)
    changed = []
    for motion in motions():
        expression = draws.expression(motion)
        warp = draws.draw_warp(expression, motion.pose)
        made = draws.draw(expression, motion.pose)
        drawn = draws._warp.drawn.reshape(4, 4, 64, 64).transpose(2, 0, 3, 1).reshape(SIZE, SIZE)
        np.testing.assert_array_equal(made[drawn == 0], warp[drawn == 0])
        assert 0.02 < (drawn > 0).mean() < 0.2
        changed.append(np.abs(made.astype(int) - warp)[drawn == 1].mean())
    assert min(changed) > 0.5  # and there it draws


@pytest.mark.parametrize("size", [256, 512])
def test_a_photo_at_rest_is_the_photo(size: int) -> None:
    """The photo's own attributes give its own pixels, but for lips, lids and the soft outline."""
    portrait = avatar().portrait
    draws = renderer(portrait, size)
    made = draws.draw(portrait.expression, np.zeros(6, np.float32))
    photo = portrait.at(size)[0]
    drawn = draws._warp.drawn.reshape(4, 4, 64, 64).transpose(2, 0, 3, 1).reshape(SIZE, SIZE)
    reach = np.ones((5, 5), np.uint8)  # of the upsampling
    away = cv2.dilate(cv2.resize(drawn, (size, size)), reach) == 0
    whole = away & (photo[..., 3] == 255)
    assert whole.mean() > 0.3
    # Pixels are sampled within 1/100 of a pixel from where they lie.
    assert np.abs(made[whole].astype(int) - photo[whole][:, :3]).max() <= 1


def test_grey_photos_stay_grey() -> None:
    grey = cv2.cvtColor(demo_rgb(), cv2.COLOR_RGB2GRAY)
    portrait = avatar().portrait
    canvas = cv2.cvtColor(portrait.canvas[..., :3], cv2.COLOR_RGB2GRAY)
    black_and_white = replace(
        portrait,
        canvas=np.dstack([canvas, canvas, canvas, portrait.canvas[..., 3]]),
        plate=np.repeat(cv2.cvtColor(portrait.plate, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
    )
    assert is_grey(np.repeat(grey[..., None], 3, 2)) and not is_grey(demo_rgb())
    draws = renderer(black_and_white)
    for motion in motions():
        made = draws.render(motion).astype(int)
        assert (made.max(2) - made.min(2)).max() <= 1  # rounding
