"""The CUDA `denoise_step` gives the bits of the CPU's, its noise included."""

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.visual_samples import denoise_sample
from parlante import _core
from tests.support import cuda_device
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda

COEFFICIENTS = {"c_x0": 0.4, "c_xt": 0.7, "sigma": 0.3, "seed": 0xFEDC_BA98_7654_3210, "step": 3}


def run_both(
    cuda: ModuleType, size: tuple[int, int], absent: set[str], **options: float
) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    arrays = denoise_sample(np.random.default_rng(0), size)
    given = {name: None if name in absent else array for name, array in arrays.items()}
    device = {name: None if array is None else upload(array) for name, array in given.items()}
    out = np.full_like(arrays["x_t"], np.nan)
    device_out = upload(out)
    _core.denoise_step(**given, out=out, **options)  # type: ignore[arg-type]
    cuda.denoise_step(**device, out=device_out, **options, stream=current_stream())
    return out, download(device_out)


@pytest.mark.parametrize("size", [(256, 256), (4, 4), (36, 140), (1024, 512)])
@pytest.mark.parametrize("absent", [(), ("warp",)])
def test_sizes(cuda: ModuleType, size: tuple[int, int], absent: tuple[str, ...]) -> None:
    want, got = run_both(cuda, size, set(absent), **COEFFICIENTS)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("absent", "changes"),
    [
        ((), {}),
        ((), {"sigma": 0.0}),
        (("x_t",), {"c_xt": 0.0}),
        (("residual",), {}),
        (("residual", "x_t", "warp"), {"c_xt": 0.0}),
        (("residual", "x_t", "warp"), {"c_xt": 0.0, "c_x0": 0.0, "sigma": 1.0}),
    ],
)
def test_absent_arrays(
    cuda: ModuleType, absent: tuple[str, ...], changes: dict[str, float]
) -> None:
    want, got = run_both(cuda, (64, 96), set(absent), **(COEFFICIENTS | changes))
    np.testing.assert_array_equal(got, want)


def test_noise_has_the_same_bits_on_both_devices(cuda: ModuleType) -> None:
    absent = {"residual", "x_t", "warp"}
    options = {"c_x0": 0.0, "c_xt": 0.0, "sigma": 1.0, "seed": 11}
    for step in range(3):
        want, got = run_both(cuda, (1024, 1024), absent, **options, step=step)
        assert want.tobytes() == got.tobytes()


def test_out_may_be_an_input(cuda: ModuleType) -> None:
    arrays = denoise_sample(np.random.default_rng(0), (64, 64))
    want, _ = run_both(cuda, (64, 64), set(), **COEFFICIENTS)
    for name in ("residual", "x_t"):
        device = {name: upload(array) for name, array in arrays.items()}
        cuda.denoise_step(**device, out=device[name], **COEFFICIENTS, stream=current_stream())
        np.testing.assert_array_equal(download(device[name]), want)


@pytest.mark.parametrize("dtype", [np.float16, np.uint8])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_next_has_the_same_bits(cuda: ModuleType, dtype: type, sigma: float) -> None:
    arrays = denoise_sample(np.random.default_rng(0), (64, 96))
    options = COEFFICIENTS | {"sigma": sigma, "scale": 0.02, "zero_point": 117.0}
    out, made = np.empty_like(arrays["x_t"]), np.zeros(arrays["x_t"].shape, dtype)
    _core.denoise_step(**arrays, out=out, next=made, **options)  # type: ignore[arg-type]
    device = {name: upload(array) for name, array in arrays.items()}
    device_next = upload(np.ones_like(made))
    cuda.denoise_step(
        **device, out=device["x_t"], next=device_next, **options, stream=current_stream()
    )
    np.testing.assert_array_equal(download(device_next), made)


def test_steps_replay_in_a_graph(cuda: ModuleType) -> None:
    if cuda_device.emulated:
        pytest.skip("graphs are not emulated")
    torch = pytest.importorskip("torch")
    arrays = denoise_sample(np.random.default_rng(0), (64, 64))
    device = {name: upload(array) for name, array in arrays.items()}
    x_t = device.pop("x_t")
    first = x_t.clone()

    def two_steps() -> None:
        for step in range(2):
            options = COEFFICIENTS | {"step": step}
            cuda.denoise_step(**device, x_t=x_t, out=x_t, **options, stream=current_stream())

    two_steps()
    want = download(x_t)
    x_t.copy_(first)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        two_steps()
    np.testing.assert_array_equal(download(x_t), download(first))  # captured, not run
    graph.replay()
    np.testing.assert_array_equal(download(x_t), want)
