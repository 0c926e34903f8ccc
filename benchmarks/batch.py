"""How ``parlante batch`` grows with the cores: ``python -m benchmarks.batch``.

The same table, of the demo's photo and voice, is made by one process on one core and by a process a
core on all of them, in turns. Printed are videos a minute, start and all, and the share of what as
many single cores would make: 1 is perfect. Needs Linux, which says on which cores a program runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parlante.runtime.assets import demo


def minutes(table: Path, videos: int, cores: list[int], size: int) -> float:
    """That it takes to make all videos of a table with a process on each of the cores."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "parlante.app.cli", "batch", str(table), "-o", folder]
        began = time.perf_counter()
        done = subprocess.run(
            [*program, "--workers", str(len(cores)), "--size", str(size)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        taken = (time.perf_counter() - began) / 60
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert states == ["made"] * videos, states
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parsed = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rates: dict[int, list[float]] = {1: [], len(cores): []}
    with demo() as (photo, voice), tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        rows = "".join(f"{photo},{voice},{n}\n" for n in range(parsed.videos))
        table.write_text(f"photo,audio,seed\n{rows}", encoding="utf-8")
        for _ in range(parsed.rounds):
            for count, rate in rates.items():
                taken = minutes(table, parsed.videos, cores[:count], parsed.size)
                rate.append(parsed.videos / taken)
    for count, rate in rates.items():
        print(f"{count} core(s): {statistics.median(rate):.1f} videos a minute")
    shares = [all_ / one / len(cores) for one, all_ in zip(*rates.values(), strict=True)]
    print(f"share of what {len(cores)} single cores make: {statistics.median(shares):.2f}")


if __name__ == "__main__":
    main()
