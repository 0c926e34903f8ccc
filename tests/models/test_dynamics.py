"""The dynamics VAE draws window after window."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

from models import dynamics
from parlante.contract import LATENT, TAIL, WINDOW


def test_dynamics_decoder_is_causal() -> None:
    """Audio of later frames does not change a frame; its own and earlier audio does."""
    decoder = dynamics.DynamicsDecoder().eval()
    latent, tail = torch.randn(1, LATENT), torch.randn(1, TAIL, dynamics.MOTION)
    audio = torch.randn(1, TAIL + WINDOW, 128)
    with torch.no_grad():
        made = decoder(latent, tail, audio)
        for frame in (0, 1, 12, WINDOW - 1):
            changed = audio.clone()
            changed[:, TAIL + frame + 1 :] = torch.randn_like(changed[:, TAIL + frame + 1 :])
            # exp(−10⁴) is 0 in float32: the masked frames weigh nothing at all.
            later = decoder(latent, tail, changed)
            torch.testing.assert_close(
                later[:, : frame + 1], made[:, : frame + 1], rtol=0, atol=1e-6
            )
            changed[:, TAIL + frame] += 1
            assert (decoder(latent, tail, changed)[:, frame] - made[:, frame]).abs().max() > 1e-4
            assert frame == WINDOW - 1 or not torch.equal(later, made)
    assert made.shape == (1, WINDOW, dynamics.MOTION)
    lids = made[..., dynamics.LIDS]
    assert (lids >= 0).all() and (lids <= 1).all()


def test_dynamics_continue_from_the_tail() -> None:
    decoder = dynamics.DynamicsDecoder().eval()
    torch.nn.init.zeros_(decoder.head[1].weight)
    torch.nn.init.zeros_(decoder.head[1].bias)
    tail = torch.randn(2, TAIL, dynamics.MOTION)
    with torch.no_grad():
        made = decoder(torch.randn(2, 32), tail, torch.randn(2, 35, 128))
    for t in range(WINDOW):
        torch.testing.assert_close(made[:, t, :6], tail[:, -1, :6])
        torch.testing.assert_close(made[:, t, 8:], tail[:, -1, 8:])
