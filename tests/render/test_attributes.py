"""From a motion to the face: what the gains of lips, lids and head do."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from parlante.contract import Float
from parlante.face.topology import eye_aperture, lip_aperture
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion, MotionStream
from tests.support.portrait_samples import avatar, demo_speech, model


def renderer(**options: float) -> FrameRenderer:
    return FrameRenderer(
        Bundle.default(),
        model(),
        avatar().portrait,
        RenderOptions(size=128, steps=1, **options),  # type: ignore[arg-type]
    )


@cache
def spoken() -> list[Motion]:
    """Of two seconds of the demo."""
    return MotionStream(Bundle.default()).push(demo_speech()[:32_000])


def mesh_of(draws: FrameRenderer, motion: Motion) -> Float:
    """The mesh of a motion [1, V, 3], in the pose of the photo."""
    return draws.mesh.move(draws.expression(motion)[None], avatar().portrait.pose).vertices


def openings(gain: float) -> Float:
    """How wide the lips of the mesh are open in each frame of `spoken` [N]."""
    draws = renderer(expression=gain)
    return np.array([lip_aperture(mesh_of(draws, motion))[0] for motion in spoken()], np.float32)


def test_gain_of_lips() -> None:
    shut, half, natural, double = (openings(gain) for gain in (0, 0.5, 1, 2))
    # The photo's mouth is open; without lip motion it is shut.
    assert np.ptp(shut) < 1e-5 and shut.max() < 0.05
    assert np.ptp(shut) < np.ptp(half) < np.ptp(natural)
    assert np.ptp(double) > 1.4 * np.ptp(natural) > 0.1
    assert np.mean(double) > 1.3 * np.mean(natural)


@pytest.mark.parametrize("eye", [0, 1])
def test_gain_of_blinks(eye: int) -> None:
    closure = np.zeros(2, np.float32)
    closure[eye] = 1
    rest = spoken()[0]
    blinking = Motion(rest.lip, rest.pose, closure)
    gains = (0.0, 0.5, 1.0, 2.0)
    opened = [
        eye_aperture(mesh_of(renderer(blink=gain), blinking))[0, [eye, 1 - eye]] for gain in gains
    ]
    wide, half, shut, double = (own for own, _ in opened)
    assert wide == pytest.approx(eye_aperture(avatar().portrait.landmarks[None])[0, eye], abs=0.01)
    assert shut < 0.15 * wide
    assert shut < half < 0.85 * wide
    assert double == shut  # a lid that is shut shuts no further
    assert np.ptp([other for _, other in opened]) < 1e-3


def test_gain_of_the_head() -> None:
    """Half the gain of twice the motion is the motion, to the bit: powers of two are exact."""
    motion = spoken()[20]
    turned = Motion(motion.lip, np.float32([0.05, 0.1, 0.02, 0.1, -0.1, 0.02]), motion.closure)
    twice = Motion(turned.lip, 2 * turned.pose, turned.closure)
    natural = renderer().render(turned)
    np.testing.assert_array_equal(renderer(pose=0.5).render(twice), natural)
    np.testing.assert_array_equal(renderer(pose=0).render(twice), renderer(pose=0).render(turned))
    assert np.abs(natural.astype(int) - renderer(pose=0).render(turned)).mean() > 1
