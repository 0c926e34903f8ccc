"""Moods, seen in drawn frames: each moves what it says, lips still meet, the rest stays."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import VERTICES
from parlante.face.topology import LIP_CORNERS, RIGID, lip_aperture
from parlante.media.photo import Photo
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.render.mood import EASE
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion
from tests.support.portrait_samples import avatar, model

INNER_BROWS, OUTER_BROWS = [107, 336], [46, 276]
EYE_CORNERS = [33, 133, 362, 263]
UPPER_LIP = 13


def renderer(**options: object) -> FrameRenderer:
    chosen = RenderOptions(size=512, **options)  # type: ignore[arg-type]
    return FrameRenderer(Bundle.default(), model(), avatar().portrait, chosen)


def resting(draws: FrameRenderer) -> Motion:
    return Motion(draws.shut, np.zeros(6, np.float32), np.zeros(2, np.float32))


@cache
def drawn(**options: object) -> NDArray[np.float32]:
    """Landmarks [478, 2] that the tracker finds in a face at rest, pixels."""
    draws = renderer(**options)
    picture = draws.render(resting(draws))
    found = PortraitEncoder(Bundle.default())._find(Photo(picture, None), None)
    assert found is not None
    return found[:, :2]


def height(found: NDArray[np.float32], points: list[int], over: list[int]) -> float:
    """How far points lie above others: rows count downwards."""
    return float(found[over, 1].mean() - found[points, 1].mean())


def smile(found: NDArray[np.float32]) -> float:
    return height(found, list(LIP_CORNERS), [UPPER_LIP])


def test_friendly_smiles() -> None:
    half, full = drawn(mood=("friendly", 0.5)), drawn(mood="friendly")
    assert smile(full) > smile(half) > smile(drawn())
    width = [np.ptp(found[list(LIP_CORNERS), 0]) for found in (drawn(), full)]
    assert width[1] > 1.02 * width[0]


def test_sad_bends_the_mouth_and_lifts_the_inner_brows() -> None:
    assert smile(drawn(mood="sad")) < smile(drawn()) - 1
    inner, outer = (
        height(drawn(mood="sad"), brows, EYE_CORNERS) - height(drawn(), brows, EYE_CORNERS)
        for brows in (INNER_BROWS, OUTER_BROWS)
    )
    assert inner > 1 and inner > 2 * outer


def test_brows_are_up_in_surprise_and_down_when_serious() -> None:
    brows = [*INNER_BROWS, *OUTER_BROWS]
    up, rest, down = (
        height(drawn(**mood), brows, EYE_CORNERS)
        for mood in ({"mood": "surprised"}, {}, {"mood": "serious"})
    )
    assert up > rest + 2 and down < rest - 1


def test_a_smile_is_taken_back() -> None:
    """The demo's photo smiles."""
    assert smile(drawn()) > smile(drawn(neutral=1.0)) + 1


@pytest.mark.parametrize("mood", ["friendly", "serious", "sad", "surprised"])
def test_lips_meet_and_the_head_stays(mood: str) -> None:
    draws = renderer(mood=mood)
    portrait = avatar().portrait
    shown = draws.expression(resting(draws))
    moved = draws.mesh.move(shown[None], portrait.pose).vertices[:, :VERTICES]
    assert lip_aperture(moved)[0] < 0.03
    moved_by = (drawn(mood=mood) - drawn())[list(RIGID)]
    assert np.abs(np.median(moved_by, 0)).max() < 3.5


def test_a_new_mood_comes_little_by_little() -> None:
    draws = renderer()
    motion = resting(draws)
    before = draws.expression(motion)
    draws.change(RenderOptions(size=512, mood="friendly"))
    steps = [draws.expression(motion) for _ in range(60)]
    wanted = renderer(mood="friendly").expression(motion)
    first = np.abs(steps[0] - before).max() / np.abs(wanted - before).max()
    assert first == pytest.approx(EASE, abs=0.02)
    np.testing.assert_allclose(steps[-1], wanted, atol=1e-3)
