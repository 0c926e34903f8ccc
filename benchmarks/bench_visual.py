"""The visual ops side by side with their peers, in one process, at the sizes of a frame.

    pytest benchmarks/bench_visual.py --benchmark-columns=median,iqr,ops

The peers are the same operations written with OpenCV, NumPy and PyTorch (visual_peers.py), with
their own defaults for threads. Results are checked before they are timed: the peers against the op,
whose own tests are elsewhere. `denoise_step` draws other noise than its peers, so there only the
mean and the spread are compared.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import visual_peers as peers
from parlante import _core
from tests import visual_samples as samples

CROP = 256
STEP = {"c_x0": peers.C_X0, "c_xt": peers.C_XT, "sigma": peers.SIGMA, "seed": 1, "step": 1}
ONE, TWO = "parlante, 1 thread", "parlante, 2 threads"


def threads_of(name: str) -> int:
    return 2 if name == TWO else 1


def tensors(arrays: samples.Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.parametrize("name", [ONE, TWO, "OpenCV"])
def test_rasterize(benchmark: BenchmarkFixture, name: str) -> None:
    mesh: dict[str, Any] = samples.grid_mesh(np.random.default_rng(0), CROP, 27)
    out = np.zeros((CROP, CROP, 3), np.float32)
    depth = np.zeros((CROP, CROP), np.float32)
    _core.rasterize(**mesh, out=out, depth=depth)
    benchmark.group = f"rasterize, {len(mesh['triangles'])} triangles"
    if name == "OpenCV":
        if not hasattr(peers.cv2, "triangleRasterize"):
            pytest.skip("this OpenCV has no rasterizer")
        # Its camera is far but not infinitely so: 20 / 20,000 of 128 pixels.
        assert np.median(np.abs(peers.opencv_rasterize(mesh, CROP) - out)) < 0.13
        benchmark(peers.opencv_rasterize, mesh, CROP)
    else:
        benchmark(_core.rasterize, **mesh, out=out, depth=depth, threads=threads_of(name))


@pytest.mark.parametrize("name", [ONE, TWO, "OpenCV and NumPy", "torch"])
def test_pack(benchmark: BenchmarkFixture, name: str) -> None:
    arrays: dict[str, Any] = samples.pack_sample(np.random.default_rng(0), (CROP, CROP), 32)
    condition = np.zeros((1, 160, CROP // 4, CROP // 4), np.float32)
    _core.pack(**arrays, condition=condition)
    benchmark.group = "pack, 32 features"
    if name.startswith("parlante"):
        benchmark(_core.pack, **arrays, condition=condition, threads=threads_of(name))
        return
    peer: Callable[[Any], Any] = peers.torch_pack if name == "torch" else peers.opencv_pack
    given = tensors(arrays) if name == "torch" else arrays
    # OpenCV rounds positions to 1/32 pixel, which random pixels make the most of.
    assert np.abs(np.asarray(peer(given)) - condition).mean() < 0.01
    benchmark(peer, given)


def denoise_arrays(guided: bool) -> dict[str, Any]:
    arrays: dict[str, Any] = samples.denoise_sample(np.random.default_rng(0), (CROP, CROP))
    arrays["condition"] = np.ascontiguousarray(arrays["condition"][:, :48])
    if not guided:
        del arrays["residual_uncond"]
    return arrays


@pytest.mark.parametrize("name", [ONE, TWO, "NumPy", "torch"])
@pytest.mark.parametrize("guided", [False, True])
def test_denoise_step(benchmark: BenchmarkFixture, guided: bool, name: str) -> None:
    arrays = denoise_arrays(guided)
    options: dict[str, Any] = STEP | ({"guidance": peers.GUIDANCE} if guided else {})
    out = np.zeros_like(arrays["x_t"])
    _core.denoise_step(**arrays, out=out, **options)
    benchmark.group = "denoise_step, guided" if guided else "denoise_step"
    if name.startswith("parlante"):
        options["threads"] = threads_of(name)
        benchmark(_core.denoise_step, **arrays, out=out, **options)
        return
    rng = np.random.default_rng(0)
    given = tensors(arrays) if name == "torch" else arrays
    peer: Callable[[Any], Any] = (
        peers.torch_denoise_step
        if name == "torch"
        else lambda given: peers.numpy_denoise_step(given, rng)
    )
    difference: NDArray[np.float32] = np.asarray(peer(given)) - out
    # The difference of two noises: 196,608 values of spread sqrt(2) * sigma.
    assert abs(difference.mean()) < 0.01
    assert abs(difference.std() / (2**0.5 * peers.SIGMA) - 1) < 0.01
    benchmark(peer, given)


@pytest.mark.parametrize("name", [ONE, TWO, "OpenCV and NumPy", "torch"])
@pytest.mark.parametrize("size", [256, 512, 1024])
def test_compose(benchmark: BenchmarkFixture, size: int, name: str) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = samples.compose_sample(rng, (size, size), (CROP, CROP))
    arrays["condition"] = np.ascontiguousarray(arrays["condition"][:, :48])
    out = np.zeros((size, size, 3), np.uint8)
    _core.compose(**arrays, out=out)
    benchmark.group = f"compose, {size} x {size} rgb"
    if name.startswith("parlante"):
        benchmark(_core.compose, **arrays, out=out, threads=threads_of(name))
        return
    peer: Callable[[Any], Any] = peers.torch_compose if name == "torch" else peers.opencv_compose
    given = tensors(arrays) if name == "torch" else arrays
    # Levels. OpenCV rounds positions to 1/32 pixel, which random pixels make the most of.
    assert np.abs(np.asarray(peer(given)).astype(float) - out).mean() < 1
    benchmark(peer, given)


@pytest.mark.parametrize("image_format", ["rgb", "rgba", "nv12"])
def test_compose_formats(benchmark: BenchmarkFixture, image_format: str) -> None:
    size = (512, 512)
    arrays: Any = samples.compose_sample(np.random.default_rng(0), size, (CROP, CROP))
    out = np.zeros(samples.frame_shape(size, image_format), np.uint8)
    benchmark.group = "compose, 512 x 512, 1 thread"
    benchmark(_core.compose, **arrays, out=out, format=image_format)
