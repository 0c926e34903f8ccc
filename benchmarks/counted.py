"""What the benchmarks tell `benchmarks.kernels` beside their times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture


def count(benchmark: BenchmarkFixture, group: str, arrays: Iterable[Any], flop: int) -> None:
    """The group of a benchmark, and what one call moves (each array once) and computes."""
    benchmark.group = group
    benchmark.extra_info["bytes"] = sum(array.nbytes for array in arrays)
    benchmark.extra_info["flop"] = flop
