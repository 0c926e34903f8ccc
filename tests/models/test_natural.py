"""How far lip codes are from those of people."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

from models.train.lips import LEAST_SPREAD, USUAL, Natural


def test_only_what_people_never_do_costs() -> None:
    """Codes that differ along a few slanting directions: within them free, across them dear."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    spread = torch.tensor([0.2, 0.1, 0.05] + [0.0] * 13)
    people = torch.randn(4_000, 16, generator=generator) * spread @ axes.T + 0.3
    natural = Natural(people)
    assert natural(people) < 0.01
    centre = people.mean(0)
    for k, own in enumerate(spread):
        usual = USUAL * max(float(own), LEAST_SPREAD)
        assert natural(centre + 0.9 * usual * axes[:, k]) < 0.01
        beyond = natural(centre + 3 * usual * axes[:, k])
        if own > 0:  # one of sixteen directions, by twice what is usual
            assert beyond == pytest.approx(2 * USUAL / 16, rel=0.15)
        assert beyond > 0.05
