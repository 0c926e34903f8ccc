"""Every native op beside its peers, as a table: ``python -m benchmarks.kernels --out FILE.md``.

Runs `bench_log_mel.py` and `bench_visual.py` (which check each result before they time it), then
copies memory: as many bytes as each op moves, by as many threads or fewer, in one process, since
what fits a cache is copied faster. Bytes and floating-point operations are counted, not measured:
each array once, read or written. Last, what share of a drawn frame each op takes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from parlante.app import bench
from parlante.runtime.machine import cpu_name, cpu_threads

ROOT = Path(__file__).resolve().parents[1]
SUITES = ("benchmarks/bench_log_mel.py", "benchmarks/bench_visual.py")
OURS = "parlante"
COPIES = 300


def run_suites(arguments: list[str]) -> list[dict[str, Any]]:
    """The benchmarks of pytest-benchmark's report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pytest", "-q", *SUITES, f"--benchmark-json={report}"]
        subprocess.run([*command, *arguments], check=True, cwd=ROOT)
        found: list[dict[str, Any]] = json.loads(report.read_text())["benchmarks"]
        return found


def copy_seconds(size: int, threads: int) -> float:
    """Median time in which ``threads`` threads move ``size`` bytes: half read, half written."""
    parts = [np.ones(max(1, size // 2 // threads), np.uint8) for _ in range(threads)]
    targets = [np.empty_like(part) for part in parts]
    times = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(COPIES):
            began = time.perf_counter()
            if threads == 1:
                np.copyto(targets[0], parts[0])
            else:
                list(pool.map(np.copyto, targets, parts))
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def named(entry: dict[str, Any]) -> str:
    """Who did it: the parameter ``name``, or ourselves."""
    return str((entry.get("params") or {}).get("name", OURS))


def table(entries: list[dict[str, Any]]) -> list[str]:
    """Markdown lines, one an implementation, op by op."""
    lines = [
        "| op | by | µs | GB/s | of copying | GFLOP/s | best peer's time over ours |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry["group"], []).append(entry)
    for group, rows in groups.items():
        peers = [r["stats"]["median"] for r in rows if not named(r).startswith(OURS)]
        for row in rows:
            seconds, name = row["stats"]["median"], named(row)
            cells = [group, name, f"{seconds * 1e6:.1f}"]
            if name.startswith(OURS):
                moved, flop = row["extra_info"]["bytes"], row["extra_info"]["flop"]
                threads = 2 if name.endswith("2 threads") else 1
                copied = min(copy_seconds(moved, n) for n in range(1, threads + 1))
                cells += [
                    f"{moved / seconds / 1e9:.1f}",
                    f"{copied / seconds:.0%}",
                    f"{flop / seconds / 1e9:.1f}",
                    f"{min(peers) / seconds:.1f}" if peers else "",
                ]
            else:
                cells += [""] * 4
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="Markdown")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --: -- -k denoise")
    arguments = parser.parse_args()
    entries = run_suites(arguments.pytest)
    frame = bench.measure()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    whole = sum(v for k, v in frame["stages"].items() if k != "video_encoder")
    lines = [
        "# The native ops beside their peers",
        "",
        f"Written by `python -m benchmarks.kernels` at {commit or 'an unknown commit'} on "
        f"{cpu_name()}, {cpu_threads()} cores, {platform.system()}. Medians.",
        "",
        *table(entries),
        "",
        f"Shares of a frame of {frame['size']}², K = {frame['steps']}, {frame['threads']} threads "
        f"({whole:.1f} ms, {frame['fps']} a second):",
        "",
        "| stage | ms | share |",
        "|---|---|---|",
        *(
            f"| {stage} | {ms:.2f} | {ms / whole:.0%} |"
            for stage, ms in frame["stages"].items()
            if stage != "video_encoder"
        ),
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")
    print(arguments.out.read_text())


if __name__ == "__main__":
    main()
