"""The visual ops side by side with their peers, in one process, at the sizes of a frame.

    pytest benchmarks/bench_visual.py --benchmark-columns=median,iqr,ops
    python -m benchmarks.kernels                       # these and the front end, as a table

The peers are the same operations written with OpenCV, NumPy and PyTorch (visual_peers.py), with
their own defaults for threads. Results are checked before they are timed: the peers against the op,
whose own tests are elsewhere. `denoise_step` draws other noise than its peers, so where there is
noise only the mean and the spread are compared.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import visual_peers as peers
from benchmarks import visual_samples as samples
from benchmarks.counted import count
from parlante import _core

# Of the compiler behind torch.compile.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")

CROP = 256
ATLAS = samples.ATLAS
PIXELS = ATLAS[0] * ATLAS[1]
STEP = {"c_x0": peers.C_X0, "c_xt": peers.C_XT, "seed": 1, "step": 1}
ONE, TWO = "parlante, 1 thread", "parlante, 2 threads"
Peer = Callable[[Any], Any]
# Floating-point operations a pixel or value, by the shared bodies in csrc/ops/*.h; noise is
# integers but for the last transform of each three normals. A frame counts without its patches.
RASTERIZE_FLOP, PACK_FLOP, COMPOSE_FLOP = 16, 88, 58
STEP_FLOP, NOISE_FLOP = 4, 14


def threads_of(name: str) -> int:
    return 2 if name == TWO else 1


def tensors(arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def peer_of(
    name: str, arrays: Mapping[str, Any], by_numpy: Peer, by_torch: Peer
) -> tuple[Peer, Mapping[str, Any]]:
    """The peer of that name, and the arrays as it takes them."""
    if name.endswith("NumPy"):
        return by_numpy, arrays
    compiled = name == "torch.compile"
    return torch.compile(by_torch) if compiled else by_torch, tensors(arrays)


@pytest.mark.parametrize("name", [ONE, TWO, "OpenCV"])
def test_rasterize(benchmark: BenchmarkFixture, name: str) -> None:
    mesh: dict[str, Any] = samples.grid_mesh(np.random.default_rng(0), CROP, 27)
    out = np.zeros((CROP, CROP, 3), np.float32)
    depth = np.zeros((CROP, CROP), np.float32)
    _core.rasterize(**mesh, out=out, depth=depth)
    group = f"rasterize, {len(mesh['triangles'])} triangles"
    count(benchmark, group, [*mesh.values(), out, depth], RASTERIZE_FLOP * CROP * CROP)
    if name == "OpenCV":
        if not hasattr(peers.cv2, "triangleRasterize"):
            pytest.skip("this OpenCV has no rasterizer")
        # Its camera is far but not infinitely so: 20 / 20,000 of 128 pixels.
        assert np.median(np.abs(peers.opencv_rasterize(mesh, CROP) - out)) < 0.13
        benchmark(peers.opencv_rasterize, mesh, CROP)
    else:
        benchmark(_core.rasterize, **mesh, out=out, depth=depth, threads=threads_of(name))


@pytest.mark.parametrize("name", [ONE, TWO, "OpenCV and NumPy", "torch", "torch.compile"])
def test_pack(benchmark: BenchmarkFixture, name: str) -> None:
    arrays: dict[str, Any] = samples.pack_sample(np.random.default_rng(0), ATLAS)
    condition = np.zeros((1, 144, ATLAS[0] // 4, ATLAS[1] // 4), np.float32)
    _core.pack(**arrays, condition=condition)
    count(benchmark, "pack", [*arrays.values(), condition], PACK_FLOP * PIXELS)
    if name.startswith("parlante"):
        benchmark(_core.pack, **arrays, condition=condition, threads=threads_of(name))
        return
    peer, given = peer_of(name, arrays, peers.opencv_pack, peers.torch_pack)
    # OpenCV rounds positions to 1/32 pixel, which random pixels make the most of.
    assert np.abs(np.asarray(peer(given)) - condition).mean() < 0.01
    benchmark(peer, given)


def step_arrays() -> dict[str, Any]:
    """What `denoise_step` reads of a frame, and nothing beside it."""
    arrays: dict[str, Any] = samples.denoise_sample(np.random.default_rng(0), ATLAS)
    arrays["condition"] = np.ascontiguousarray(arrays["condition"][:, :48])
    return arrays


# The runtime's own steps draw no noise but for the first.
SIGMAS = {"": 0.0, ", noise": peers.SIGMA}


@pytest.mark.parametrize("name", [ONE, TWO, "NumPy", "torch", "torch.compile", "diffusers"])
@pytest.mark.parametrize("kind", SIGMAS)
def test_denoise_step(benchmark: BenchmarkFixture, kind: str, name: str) -> None:
    sigma = SIGMAS[kind]
    arrays = step_arrays()
    options: dict[str, Any] = STEP | {"sigma": sigma}
    out = np.zeros_like(arrays["x_t"])
    _core.denoise_step(**arrays, out=out, **options)
    read = [v for k, v in arrays.items() if k != "warp" or sigma]
    flop = STEP_FLOP + (NOISE_FLOP if sigma else 0)
    count(benchmark, f"denoise_step{kind}", [*read, out], flop * out.size)
    if name.startswith("parlante"):
        options["threads"] = threads_of(name)
        benchmark(_core.denoise_step, **arrays, out=out, **options)
        return
    of_torch = peers.diffusers_denoise_step if name == "diffusers" else peers.torch_denoise_step
    by_numpy = partial(peers.numpy_denoise_step, rng=np.random.default_rng(0), sigma=sigma)
    peer, given = peer_of(name, arrays, by_numpy, partial(of_torch, sigma=sigma))
    difference: NDArray[np.float32] = np.asarray(peer(given)) - out
    if sigma:
        # The difference of two noises: 98,304 values of spread sqrt(2) * sigma.
        assert abs(difference.mean()) < 0.01
        assert abs(difference.std() / (2**0.5 * peers.SIGMA) - 1) < 0.01
    elif name != "diffusers":
        assert np.abs(difference).max() < 1e-5
    benchmark(peer, given)


@pytest.mark.parametrize("name", [ONE, TWO, "NumPy", "torch", "torch.compile"])
@pytest.mark.parametrize("dtype", [np.float16, np.uint8])
def test_denoise_step_and_next_input(benchmark: BenchmarkFixture, dtype: Any, name: str) -> None:
    arrays = step_arrays()
    options: dict[str, Any] = STEP | {"sigma": 0.0}
    options |= {"scale": peers.SCALE, "zero_point": peers.ZERO_POINT}
    out = np.zeros_like(arrays["x_t"])
    made = np.zeros(out.shape, dtype)
    _core.denoise_step(**arrays, out=out, next=made, **options)
    read = [v for k, v in arrays.items() if k != "warp"]
    group = f"denoise_step, next input {np.dtype(dtype).name}"
    count(benchmark, group, [*read, out, made], (STEP_FLOP + 2) * out.size)
    if name.startswith("parlante"):
        options["threads"] = threads_of(name)
        benchmark(_core.denoise_step, **arrays, out=out, next=made, **options)
        return

    def by_numpy(a: Any) -> Any:
        x = peers.numpy_denoise_step(a, np.random.default_rng(0), sigma=0.0)
        return x, peers.numpy_next(x, dtype)

    def by_torch(a: Any) -> Any:
        x = peers.torch_denoise_step(a, sigma=0.0)
        return x, peers.torch_next(x, dtype)

    peer, given = peer_of(name, arrays, by_numpy, by_torch)
    for theirs, ours in zip(peer(given), (out, made), strict=True):
        # Values on the edge between two bytes may fall to either side.
        difference = np.abs(np.asarray(theirs).astype(float) - ours)
        assert difference.max() <= (1 if ours.dtype == np.uint8 else 2e-3)
        assert difference.mean() < 1e-4
    benchmark(peer, given)


@pytest.mark.parametrize("name", [ONE, TWO, "OpenCV and NumPy", "torch", "torch.compile"])
@pytest.mark.parametrize("size", [256, 512, 1080])
def test_compose(benchmark: BenchmarkFixture, size: int, name: str) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = samples.compose_sample(rng, (size, size), (CROP, CROP))
    out = np.zeros((size, size, 3), np.uint8)
    _core.compose(**arrays, out=out)
    group = f"compose, {size} x {size} rgb"
    count(benchmark, group, [*arrays.values(), out], COMPOSE_FLOP * size * size)
    if name.startswith("parlante"):
        benchmark(_core.compose, **arrays, out=out, threads=threads_of(name))
        return
    peer, given = peer_of(name, arrays, peers.opencv_compose, peers.torch_compose)
    # Levels. OpenCV rounds positions to 1/32 pixel, which random pixels make the most of.
    assert np.abs(np.asarray(peer(given)).astype(float) - out).mean() < 1
    benchmark(peer, given)


@pytest.mark.parametrize("image_format", ["rgb", "rgba", "nv12"])
def test_compose_formats(benchmark: BenchmarkFixture, image_format: str) -> None:
    size = (512, 512)
    arrays: Any = samples.compose_sample(np.random.default_rng(0), size, (CROP, CROP))
    out = np.zeros(samples.frame_shape(size, image_format), np.uint8)
    group = "compose, 512 x 512, 1 thread"
    count(benchmark, group, [*arrays.values(), out], COMPOSE_FLOP * 512 * 512)
    benchmark(_core.compose, **arrays, out=out, format=image_format)
