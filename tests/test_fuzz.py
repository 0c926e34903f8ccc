"""What the fuzzing begins with passes its own harnesses, and so do damaged copies of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from fuzz.sound import damaged

pytest.importorskip("aiohttp")
SEEDS = Path(__file__).parents[1] / "fuzz" / "seeds"
COPIES = 5  # of each file
# Libraries warn of what they find in damaged files.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", ["photo", "speech", "video", "face", "bundle", "messages"])
def test_seeds_and_damaged_ones(name: str) -> None:
    check = import_module(f"fuzz.python.{name}").check
    files = sorted((SEEDS / name).iterdir())
    assert files
    for seed, path in enumerate(files):
        data = path.read_bytes()
        check(data)
        for number in range(COPIES):
            check(damaged(data, seed, number))


def test_arrays_of_every_kind() -> None:
    check = import_module("fuzz.python.arrays").check
    random = np.random.default_rng(0)
    for _ in range(2000):
        check(random.bytes(200))


def test_faces_with_other_arrays() -> None:
    check = import_module("fuzz.python.face").check
    random = np.random.default_rng(0)
    for _ in range(150):
        check(random.bytes(40))


def test_seeds_are_small() -> None:
    assert sum(path.stat().st_size for path in SEEDS.rglob("*") if path.is_file()) < 300_000
