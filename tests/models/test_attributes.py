"""Expressions as codes of lips, blinks and the rest."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

from models.attributes import Attributes


def test_codes_add_up() -> None:
    """A code moves the expression by the same amount, whatever the other codes are."""
    decoder = Attributes().decoder.eval()
    lip, blink, residual = torch.randn(4, 16), torch.randn(4, 2), torch.randn(4, 12)
    other = torch.randn(4, 16)
    with torch.no_grad():
        here = decoder(other, blink, residual) - decoder(lip, blink, residual)
        there = decoder(other, blink.flip(0), residual.flip(0)) - decoder(
            lip, blink.flip(0), residual.flip(0)
        )
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)
    assert here.abs().max() > 0.01
