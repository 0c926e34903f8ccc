"""What is drawn is no sharper than the photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from parlante import RenderOptions
from parlante.contract import ATLAS, CELL_PIXELS, COLOR_PLANES, MOUTH, TILE, Float, Image
from parlante.render.renderer import FrameRenderer
from parlante.render.scene import in_rows
from parlante.render.softness import softer
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, expression, model


def edges(sigma: float) -> Float:
    """Patches of bars with edges of a Gaussian's blur."""
    rows, columns = np.indices(ATLAS)
    bars = ((rows // 24 + columns // 24) % 2 * 180 + 30).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(bars, (0, 0), sigma), np.float32)


@pytest.mark.parametrize("sigma", [1.8, 2.4, 3.0])
def test_blur_is_measured(sigma: float) -> None:
    assert softer(edges(sigma)) == pytest.approx(np.sqrt(sigma**2 - 1.2**2), rel=0.15)


def test_sharp_pictures_stay_sharp() -> None:
    assert softer(edges(0.6)) == 0
    assert softer(np.full(ATLAS, 90, np.float32)) == 0  # nothing to measure


def test_what_is_drawn_into_a_soft_photo_is_soft() -> None:
    portrait = avatar().portrait
    canvas: Image = portrait.canvas.copy()
    canvas[..., :3] = cv2.GaussianBlur(canvas[..., :3], (0, 0), 1)
    options = RenderOptions(size=512, frame="head", seed=1)
    blurred = replace(portrait, canvas=canvas)
    draws = FrameRenderer(Bundle.default(), model(), blurred, options)
    scene, wide, still = draws._scene, expression(jawOpen=0.8)[0], np.zeros(6, np.float32)
    assert scene.softer > 2

    def fine() -> float:
        """What the network adds to the mouth that is finer than two pixels."""
        draws.draw(wide, still)
        canvas = draws._canvases[0]
        added = canvas._x0[MOUTH] - canvas._warp.condition[MOUTH, :COLOR_PLANES]
        red = in_rows(added[:CELL_PIXELS]).reshape(TILE, TILE)
        return float(np.abs(red - cv2.GaussianBlur(red, (0, 0), 2)).mean())

    soft = fine()
    scene.softer = 0.0
    assert 0 < soft < 0.5 * fine()
