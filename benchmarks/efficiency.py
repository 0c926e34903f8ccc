"""The paper's efficiency table: ``python -m benchmarks.efficiency --out docs/efficiency.md``.

Parameters, GFLOP (two a multiply-add, counted by PyTorch) and time of each network in the bundle
that ships, on the CPU by ONNX Runtime; then the whole of `speak` by picture size, steps and number
format, each in a fresh process, so that its memory is its own. ``--device`` is that of the whole.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from export.networks import Network, networks
from models.train.loop import WEIGHTS
from parlante.runtime.bundle import Bundle

SIZES = (256, 512, 720, 1080)
STEPS = (1, 2, 4)
OFTEN = {  # how often each network runs at 25 fps, K steps a frame
    "audio_encode": "frame",
    "lip_decode": "frame",
    "dynamics_encode": "portrait",
    "dynamics_decode": "frame",
    "attributes_encode": "frame",
    "attributes_decode": "frame",
    "condition": "frame",
    "denoise": "step",
}


def gflop(network: Network) -> float:
    """Floating-point operations of one run, in 10⁹."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.module(*network.inputs.values())
    return counter.get_total_flops() / 1e9


def milliseconds(name: str, network: Network, threads: int, repeats: int = 30) -> float:
    """Median time of one run in the bundle's ONNX Runtime session."""
    session = Bundle.default().session(name, threads=threads)
    inputs = {k: v.numpy() for k, v in network.inputs.items()}
    times = []
    for _ in range(repeats + 5):
        began = time.perf_counter()
        session.run(None, inputs)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[5:])


def whole(
    size: int, steps: int, precision: str, device: str, threads: int, runs: int
) -> dict[str, Any]:
    """`parlante bench` in ``runs`` fresh processes: the median of each figure."""
    results = []
    for _ in range(runs):
        command = [sys.executable, "-m", "parlante.app.cli", "bench", "--json"]
        command += ["--size", str(size), "--steps", str(steps), "--threads", str(threads)]
        command += ["--precision", precision, "--device", device]
        made = subprocess.run(command, check=True, capture_output=True)
        results.append(json.loads(made.stdout))
    keys = ("fps", "p50_ms", "p99_ms", "first_frame_ms", "rss_mb")
    return {key: float(np.median([r[key] for r in results])) for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="of the renderer, for whole videos")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="Markdown")
    arguments = parser.parse_args()
    lines = [
        "# Efficiency",
        "",
        f"Written by `python -m benchmarks.efficiency`: ONNX Runtime, {arguments.threads} threads "
        f"of {os.cpu_count()} CPU cores, medians; whole videos "
        f"by {arguments.runs} runs, device {arguments.device}. The video encoder is not included.",
        "",
        "| network | runs once a | parameters | GFLOP | ms |",
        "|---|---|---|---|---|",
    ]
    torch.set_num_threads(arguments.threads)
    total = 0
    for name, network in networks(WEIGHTS).items():
        count = sum(p.numel() for p in network.module.parameters())
        total += count
        lines.append(
            f"| {name} | {OFTEN[name]} | {count:,} | {gflop(network):.3f} | "
            f"{milliseconds(name, network, arguments.threads):.2f} |"
        )
    lines += [
        f"| all | | {total:,} | | |",
        "",
        "| size | K | precision | fps | p50 ms | p99 ms | first frame ms | RSS MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    jobs = [(size, 2) for size in SIZES] + [(256, k) for k in STEPS if k != 2]
    for precision, (size, steps) in tqdm(list(product(("float32", "int8"), jobs))):
        r = whole(size, steps, precision, arguments.device, arguments.threads, arguments.runs)
        cells = [
            f"{size}²",
            steps,
            precision,
            *(f"{r[k]:.1f}" for k in ("fps", "p50_ms", "p99_ms")),
        ]
        cells += [f"{r[k]:.0f}" for k in ("first_frame_ms", "rss_mb")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
