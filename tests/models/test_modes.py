"""How landmarks really move: what the regression finds, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from models.train.modes import REACH, fit
from parlante.contract import EXPRESSION, VERTICES
from tests.support.portrait_samples import mode, model


def test_a_known_correction_is_found_where_the_mode_acts() -> None:
    """Of a mode that is used, in a face that moves by more than the mode says."""
    modes = model().expression[:, :VERTICES]
    rng = np.random.default_rng(0)
    jaw = mode("jawOpen")
    coefficients = 0.02 * rng.random((400, EXPRESSION)).astype(np.float32)
    coefficients[:, jaw] = rng.random(400)
    reach = np.linalg.norm(modes[jaw], axis=1)
    acts = reach > REACH * reach.max()
    wanted = np.zeros((VERTICES, 3), np.float32)
    wanted[acts] = 0.2 * modes[jaw][acts]
    noise = 0.01 * rng.normal(size=(400, VERTICES, 3)).astype(np.float32)
    found = fit(coefficients, coefficients[:, jaw, None, None] * wanted + noise, modes, prior=0.1)
    far = reach > 0.3 * reach.max()
    np.testing.assert_allclose(found[jaw][far], wanted[far], atol=0.02)
    assert (found[jaw][~acts] == 0).all()


def test_modes_used_together_stay_apart() -> None:
    """Both lids always move at once; what each is given stays at its own eye."""
    modes = model().expression[:, :VERTICES]
    right, left = mode("eyeBlink_R"), mode("eyeBlink_L")
    coefficients = np.zeros((200, EXPRESSION), np.float32)
    coefficients[:, [right, left]] = np.random.default_rng(1).random((200, 1))
    both = 0.3 * (modes[right] + modes[left])
    found = fit(coefficients, coefficients[:, right, None, None] * both, modes, prior=0.1)
    for own, other in ((right, left), (left, right)):
        at_other = (
            np.linalg.norm(modes[other], axis=1) > 0.5 * np.linalg.norm(modes[other], axis=1).max()
        )
        assert np.abs(found[own][at_other]).max() < 0.01
        assert np.abs(found[own]).max() > 0.1


def test_the_built_in_motion_is_corrected() -> None:
    """Lips open wider to the sides of the middle than the modes say: a U, not a V."""
    face = model()
    jaw = mode("jawOpen")
    change = (face.motion - face.expression)[jaw]
    assert 0.02 < np.abs(change).max() < 1.5
    middle, beside = 14, [87, 317, 178, 402]
    assert change[beside, 1].mean() < change[middle, 1]
