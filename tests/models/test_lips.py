"""The error of lips, and the calibration that it decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

import models.train.loop as loop
from models import sync
from models.attributes import Attributes
from models.audio import AudioEncoder
from models.train import anchors, lips
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle
from tests.support import portrait_samples


def test_lip_error_of_known_lips() -> None:
    """Nothing for the same lips; a shift counts as position alone; shut against moving lips do not
    agree."""
    attributes = Attributes().requires_grad_(False)
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    error = lips.LipError(attributes, model, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    true = 5 * torch.randn(2, 24, 16, generator=generator)
    keep = torch.ones(2, 24, dtype=torch.bool)
    for k, v in error(true, true, keep).items():
        assert float(v) == pytest.approx(0, abs=1e-5), k
    still, other = torch.zeros(2, 24, 16), torch.ones(2, 1, 16).expand(2, 24, 16)
    shifted = error(other, still, keep)
    assert shifted["position"] > 0
    for k in ("motion", "aperture", "agreement", "velocity"):
        assert float(shifted[k]) == pytest.approx(0, abs=1e-5), k
    assert error(still, true, keep)["agreement"] > 0.3
    # What is not kept does not count.
    spoilt = true.clone()
    spoilt[:, 20:] = 9
    keep[:, 20:] = False
    for k, v in error(spoilt, true, keep).items():
        assert float(v) == pytest.approx(0, abs=1e-5), k


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_calibration_undoes_what_a_timid_network_does(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are lips' true codes drawn together, and moved off, become true codes again."""
    error = lips.LipError(
        loop.load_weights(Attributes(), "attributes").requires_grad_(False),
        portrait_samples.model(),
        torch.device("cpu"),
    )
    rng = np.random.default_rng(0)
    opened = torch.from_numpy(portrait_samples.expression(jawOpen=0.5))
    rest, way = error.code(torch.zeros(1, 53)), error.code(opened)
    way = way - rest
    off = 0.3 * torch.randn(1, 16, generator=torch.Generator().manual_seed(1))

    def answer(*_: object) -> anchors.Answer:
        open_by = torch.from_numpy(np.abs(rng.normal(0.5, 0.2, 400)).astype(np.float32))[:, None]
        open_by[:40] = 0
        code = rest + open_by * way
        opening = error.aperture(code) - error.aperture(rest)
        made = off + rest + (0.5 + share * (open_by - 0.5)) * way
        every = torch.ones(400, dtype=torch.bool)
        return anchors.Answer(made, code, opening, every, every)

    monkeypatch.setattr(anchors, "answer", answer)
    module = sync.Sync()
    anchors.calibrate(module, AudioEncoder().eval(), error, [Any] * 8, [Any] * 8)  # type: ignore[list-item]
    assert float(module.lip_gain) == pytest.approx(1 / share, abs=0.2)
    one = answer()
    spoken = module.lip_shut + module.lip_gain * (one.made - module.lip_anchor)
    made = error.aperture(spoken) - error.aperture(module.lip_shut)
    assert float(made.mean()) == pytest.approx(float(one.opening.mean()), rel=0.1)
    miss = made.clamp(min=0) - one.opening
    assert float(miss.square().mean().sqrt()) < 0.15 * float(one.opening.std() + one.opening.mean())
