"""Builds, tests, sanitizes and times the CUDA twins on a machine with an NVIDIA GPU.

One command:

    python benchmarks/gpu_suite.py --out DIR

Needs nvcc, CMake, pybind11, NumPy, PyTorch with CUDA and pytest; the stage "frames" also what
parlante needs, with onnxruntime-gpu. No network, and nothing is installed: the module is built into
DIR/work, which is removed at the end. Every stage is guarded, so that a failure leaves the others'
results. Writes DIR/gpu_suite.json, DIR/gpu_suite.log and DIR/gpu.md, the table that it prints last.
Takes a few minutes.

How it times: a kernel of the serving sizes (256x128 atlas, 512x512 frame) is captured 50 times in a
CUDA graph, whose replays are timed with events: microseconds a launch, data in L2 as in the frame
loop. For its share of bandwidth a kernel runs once on arrays far larger than L2, which is flushed
before. Medians of 20. Bytes are counted, not measured: each array once. Every result is compared
with the CPU op before it is timed.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 20
LAUNCHES = 50  # of a small kernel in one graph
FLUSH_BYTES = 256 << 20  # several times the L2 of any GPU this runs on


# The stages, each a process of its own.


class Suite:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.work = out / "work"
        self.site = self.work / "site"
        self.results: dict[str, Any] = {"stages": {}}
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        (out / "gpu_suite.log").write_text("")

    def run(self, stage: str, command: list[str], limit_s: float) -> bool:
        """Runs a command, its output into the log; never raises."""
        print(f"== {stage}: {' '.join(command)}", flush=True)
        environment = os.environ | {
            "PYTHONPATH": f"{self.site}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        begin = time.monotonic()
        output_path = self.work / f"{stage}.txt"
        with output_path.open("w") as output:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    code = process.wait(limit_s)
                    status = "ok" if code == 0 else f"exit code {code}"
                except subprocess.TimeoutExpired:
                    # A sanitizer's or a build's children too.
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    status = f"stopped after {limit_s:.0f} s"
            except OSError as error:
                status = str(error)
        seconds = time.monotonic() - begin
        text = output_path.read_text(errors="replace")
        with (self.out / "gpu_suite.log").open("a") as log:
            log.write(f"== {stage}: {status}\n{text}\n")
        lines = text.splitlines()
        self.results["stages"][stage] = {
            "status": status,
            "seconds": round(seconds, 1),
            "last_lines": lines[-15:],
        }
        if status != "ok":
            print("\n".join(lines[-30:]), flush=True)
        print(f"   {status}, {seconds:.0f} s", flush=True)
        return status == "ok"

    def build(self, architecture: str) -> bool:
        """CMake into `self.work`; the package's Python files beside the modules."""
        pybind11 = subprocess.run(
            [sys.executable, "-m", "pybind11", "--cmakedir"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        build = self.work / "build"
        cmake, ninja = find_tool("cmake"), find_tool("ninja")
        generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja != "ninja" else []
        configure = [
            *(cmake, "-S", str(ROOT), "-B", str(build), *generator),
            "-DPARLANTE_CUDA=ON",
            "-DSKBUILD_PROJECT_VERSION=0.0.0",
            f"-DCMAKE_CUDA_ARCHITECTURES={architecture}",
            f"-Dpybind11_DIR={pybind11}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DCMAKE_CUDA_COMPILER={find_tool('nvcc')}",
            f"-DCMAKE_INSTALL_PREFIX={self.site}",
        ]
        if not self.run("configure", configure, 60):
            return False
        if not self.run("compile", [cmake, "--build", str(build), "--parallel"], 180):
            return False
        shutil.copytree(
            ROOT / "python" / "parlante",
            self.site / "parlante",
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        return self.run("install", [cmake, "--install", str(build)], 30)

    def test(self, stage: str, tests: str, limit_s: float) -> bool:
        options = ["-q", "-m", "cuda", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
        command = [sys.executable, "-m", "pytest", *options, str(ROOT / "tests" / tests)]
        return self.run(stage, command, limit_s)

    def sanitize(self) -> None:
        sanitizer = find_tool("compute-sanitizer")
        for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
            command = [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable]
            self.run(tool, [*command, str(Path(__file__)), "--exercise"], 240)

    def measure(self) -> None:
        path = self.work / "measurements.json"
        command = [sys.executable, str(Path(__file__)), "--measure", str(path)]
        self.run("measure", command, 120)
        if path.exists():  # written after each kernel: also there if the process failed later
            self.results["measurements"] = json.loads(path.read_text())

    def print_table(self) -> None:
        print("\nstage        status                 seconds")
        for stage, result in self.results["stages"].items():
            print(f"{stage:12} {result['status'][:22]:22} {result['seconds']:7.1f}")
        for stage in ("pytest", "frames"):
            for line in self.results["stages"].get(stage, {}).get("last_lines", [])[-1:]:
                print(f"{stage}: {line}")
        if "measurements" in self.results:
            table = kernel_table(self.results["measurements"])
            (self.out / "gpu.md").write_text(table)
            print(f"\n{table}")


def kernel_table(measurements: dict[str, Any]) -> str:
    """What was measured, in Markdown."""
    copy = measurements["copy_gb_s"]
    lines = [
        f"{measurements['device']}; PyTorch {measurements['torch']}; device-to-device copy "
        f"{copy:.0f} GB/s, bytes read and written.",
        "",
        "| kernel | µs | GB/s | of the copy | PyTorch, µs | times faster |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for row in measurements["kernels"]:
        if "error" in row:
            lines.append(f"| {row['name']} | {row['error']} | | | | |")
            continue
        rate = row["bytes"] / row["us"] / 1e3
        share = f"{rate / copy:.0%}" if row["cold"] else "in L2"
        peer = row.get("torch_us")
        against = f"{peer:.0f} | {peer / row['us']:.0f}" if peer else "– | –"
        lines.append(f"| {row['name']} | {row['us']:.1f} | {rate:.0f} | {share} | {against} |")
    return "\n".join(lines) + "\n"


def run_suite(out: Path) -> int:
    suite = Suite(out.resolve())
    stages: list[Callable[[], object]] = [
        lambda: suite.build(gpu_architecture()),
        lambda: suite.test("pytest", "ops/cuda", 120),
        lambda: suite.test("frames", "render/test_device_chain.py", 240),
        suite.measure,
        suite.sanitize,
    ]
    for stage in stages:
        try:
            stage()
        except Exception:  # a broken stage must not cost the results of the others
            traceback.print_exc()
    (suite.out / "gpu_suite.json").write_text(json.dumps(suite.results, indent=1))
    shutil.rmtree(suite.work, ignore_errors=True)
    suite.print_table()
    stages_ok = [result["status"] == "ok" for result in suite.results["stages"].values()]
    return 0 if stages_ok and all(stages_ok) else 1


def find_tool(name: str) -> str:
    """A program beside this Python, on the path, or among CUDA's.

    CMake and Ninja come as wheels, newer than a system's.
    """
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    )
    return shutil.which(name, path=path) or name


def gpu_architecture() -> str:
    """The first GPU's compute capability as CMake writes it; 90-real if it cannot be told."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
        return answer.stdout.splitlines()[0].strip().replace(".", "") + "-real"
    except (OSError, subprocess.SubprocessError, IndexError):
        return "90-real"


# What runs on the GPU. PyTorch is imported late: the suite itself has to start without it.


def upload(arrays: dict[str, Any]) -> dict[str, Any]:
    """Copies in device memory; what is left out, None, stays so."""
    import torch

    return {k: None if v is None else torch.from_numpy(v).cuda() for k, v in arrays.items()}


class Kernel:
    """One op at one size: how to run it on both devices, and PyTorch's way to do it."""

    def __init__(
        self,
        name: str,
        arrays: dict[str, Any],
        out: dict[str, Any],
        options: dict[str, Any],
        peer: Callable[[dict[str, Any]], Any] | None,
        cold: bool,
    ) -> None:
        from parlante import _cuda

        self.name, self.cold = name, cold
        there = {key: value for key, value in arrays.items() if value is not None}
        self.bytes = sum(array.nbytes for array in [*there.values(), *out.values()])
        self._arrays, self._out, self._options, self._peer = arrays, out, options, peer
        self._op = name.split()[0]
        self._cuda_op = getattr(_cuda, self._op)
        self._device = upload(arrays)
        self._device_out = upload(out)

    def check(self) -> None:
        """Compares with the CPU op bit by bit, and PyTorch's way with it on average."""
        import numpy as np

        from parlante import _core

        self.launch()
        threads = os.cpu_count() or 1
        getattr(_core, self._op)(**self._arrays, **self._out, **self._options, threads=threads)
        for key, want in self._out.items():
            got = self._device_out[key].cpu().numpy()
            if not np.array_equal(got, want, equal_nan=True):
                raise AssertionError(f"{key}: {np.mean(got != want):.2%} differ from the CPU's")
        if self._peer and self._op != "denoise_step":  # whose noise is not PyTorch's
            got = self.run_peer().cpu().numpy()
            (want,) = self._out.values()
            scale = 127.5 if want.dtype == np.uint8 else 1.0
            error = np.abs(got - want.astype(np.float32)).mean() / scale
            if not error < 2e-3:  # half a level of rounding
                raise AssertionError(f"PyTorch's result is {error:.1e} away")

    def launch(self) -> None:
        import torch

        stream = torch.cuda.current_stream().cuda_stream
        self._cuda_op(**self._device, **self._device_out, **self._options, stream=stream)

    @property
    def has_peer(self) -> bool:
        return self._peer is not None

    def run_peer(self) -> Any:
        assert self._peer is not None
        return self._peer(self._device)


def time_events(action: Callable[[], object], before: Callable[[], object] | None) -> float:
    """Median microseconds on the device."""
    import torch

    times = []
    for repeat in range(REPEATS + 3):
        if before:
            before()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        action()
        end.record()
        end.synchronize()
        if repeat >= 3:  # the first are warm-up
            times.append(begin.elapsed_time(end) * 1e3)
    return statistics.median(times)


def time_kernel(launch: Callable[[], object], flush: Any, cold: bool) -> float:
    """Microseconds a launch: cold ones alone after a flush, small ones 50 in a row."""
    import torch

    launches = 1 if cold else LAUNCHES
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(launches):
            launch()
    return time_events(graph.replay, flush.zero_ if cold else None) / launches


def copy_gb_s() -> float:
    """Bytes read and written by a large device-to-device copy, over its time."""
    import torch

    source = torch.ones(1 << 28, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / time_events(lambda: target.copy_(source), None) / 1e3


def make_kernels(serving: bool) -> Iterator[Callable[[], Kernel]]:
    """The ops at the sizes of a frame, or at sizes far beyond L2."""
    import numpy as np

    from benchmarks import visual_peers as peers
    from benchmarks import visual_samples as samples

    rng = np.random.default_rng(0)
    rows, columns = atlas = samples.ATLAS if serving else (4096, 4096)
    coefficients = {"c_x0": peers.C_X0, "c_xt": peers.C_XT, "sigma": peers.SIGMA}
    step = coefficients | {"seed": 1, "step": 1}

    def zeros(*shape: int, dtype: Any = np.float32) -> Any:
        return np.zeros(shape, dtype)

    def make(
        name: str,
        arrays: dict[str, Any],
        out: dict[str, Any],
        options: dict[str, Any],
        peer: Callable[[dict[str, Any]], object] | None = None,
    ) -> Kernel:
        return Kernel(name, arrays, out, options, peer, cold=not serving)

    if serving:
        yield lambda: make(
            "rasterize 256, 1458 triangles",
            samples.grid_mesh(rng, 256, 27),
            {"out": zeros(256, 256, 3), "depth": zeros(256, 256)},
            {},
        )
    yield lambda: make(
        f"pack {rows} x {columns}",
        samples.pack_sample(rng, atlas),
        {"condition": zeros(1, 144, rows // 4, columns // 4)},
        {},
        peers.torch_pack,
    )

    def denoise() -> Kernel:
        arrays = samples.denoise_sample(rng, atlas)
        arrays["condition"] = np.ascontiguousarray(arrays["condition"][:, :48])
        out = {"out": zeros(1, 48, rows // 4, columns // 4)}
        name = f"denoise_step {rows} x {columns}"
        return make(name, arrays, out, step, peers.torch_denoise_step)

    yield denoise

    @functools.lru_cache(maxsize=1)
    def compose_arrays(size: int, grid: int) -> dict[str, Any]:
        return samples.compose_sample(rng, (size, size), (grid, grid))

    def compose(size: int, grid: int, image_format: str) -> Kernel:
        shape = samples.frame_shape((size, size), image_format)
        return make(
            f"compose {size} of {grid}, {image_format}",
            compose_arrays(size, grid),
            {"out": zeros(*shape, dtype=np.uint8)},
            {"format": image_format},
            peers.torch_compose if image_format == "rgb" else None,
        )

    for size, grid in [(256, 256), (512, 256)] if serving else [(4096, 4096), (4096, 2048)]:
        for image_format in ("rgb", "rgba", "nv12"):
            yield functools.partial(compose, size, grid, image_format)


def measure(path: Path) -> int:
    """Times all kernels; writes what there is after each."""
    import torch

    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "copy_gb_s": copy_gb_s(),
        "kernels": [],
    }
    flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device="cuda")
    failed = 0
    for serving in (True, False):
        for make_kernel in make_kernels(serving):
            row: dict[str, Any] = {"name": "a kernel that could not be made"}
            try:
                kernel = make_kernel()
                row = {"name": kernel.name, "bytes": kernel.bytes, "cold": kernel.cold}
                kernel.check()
                row["us"] = time_kernel(kernel.launch, flush, kernel.cold)
                if kernel.has_peer:
                    before = flush.zero_ if kernel.cold else None
                    row["torch_us"] = time_events(kernel.run_peer, before)
            except Exception as error:
                traceback.print_exc()
                row["error"] = f"{type(error).__name__}: {error}"
                failed += 1
            results["kernels"].append(row)
            path.write_text(json.dumps(results, indent=1))
    return 1 if failed else 0


def exercise() -> int:
    """Every kernel once or twice on small arrays, for the sanitizers."""
    import numpy as np
    import torch

    from benchmarks import visual_samples as samples
    from parlante import _cuda

    rng = np.random.default_rng(0)

    def zeros(*shape: int, dtype: Any = np.float32) -> Any:
        return torch.from_numpy(np.zeros(shape, dtype)).cuda()

    stream = torch.cuda.current_stream().cuda_stream
    mesh = upload(samples.random_mesh(rng, (50, 70), 300, 3))
    _cuda.rasterize(**mesh, out=zeros(50, 70, 3), depth=zeros(50, 70), stream=stream)
    pack = upload(samples.pack_sample(rng, (36, 52)))
    _cuda.pack(**pack, condition=zeros(1, 144, 9, 13), stream=stream)
    denoise = upload(samples.denoise_sample(rng, (36, 52)))
    options = {"c_x0": 0.4, "c_xt": 0.7, "sigma": 0.3, "seed": 1, "step": 1}
    _cuda.denoise_step(**denoise, out=zeros(1, 48, 9, 13), **options, stream=stream)
    for size in ((36, 52), (70, 90)):
        compose = upload(samples.compose_sample(rng, size, (36, 52), (64, 32)))
        for image_format in ("rgb", "rgba", "nv12"):
            out = zeros(*samples.frame_shape(size, image_format), dtype=np.uint8)
            _cuda.compose(**compose, out=out, format=image_format, stream=stream)
    _cuda.Stream().synchronize()
    if hasattr(_cuda, "LogMel"):
        _cuda.LogMel()(zeros(4000), zeros(25, 80), stream=stream)
    torch.cuda.synchronize()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--measure", type=Path, help="only time the kernels, into this file")
    parser.add_argument("--exercise", action="store_true", help="only run each kernel, small")
    arguments = parser.parse_args()
    if arguments.exercise:
        return exercise()
    if arguments.measure:
        return measure(arguments.measure)
    if arguments.out:
        return run_suite(arguments.out)
    parser.error("--out: where to?")


if __name__ == "__main__":
    sys.exit(main())
