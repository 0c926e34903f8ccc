"""The CUDA `pack` gives the bits of the CPU's."""

from types import ModuleType

import numpy as np
import pytest

from benchmarks.visual_samples import Arrays, pack_sample
from parlante import _core
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda


def assert_same(cuda: ModuleType, arrays: Arrays) -> None:
    h, w = arrays["warp"].shape[:2]
    shape = (1, 128 + len(arrays["features"]), h // 4, w // 4)
    condition = np.full(shape, np.nan, np.float32)
    device_condition = upload(condition)
    device = {name: upload(array) for name, array in arrays.items()}
    _core.pack(**arrays, condition=condition)  # type: ignore[arg-type]
    cuda.pack(**device, condition=device_condition, stream=current_stream())
    np.testing.assert_array_equal(download(device_condition), condition)


@pytest.mark.parametrize("size", [(256, 256), (4, 4), (36, 132), (512, 260)])
@pytest.mark.parametrize("features", [0, 5, 32])
def test_sizes(cuda: ModuleType, size: tuple[int, int], features: int) -> None:
    assert_same(cuda, pack_sample(np.random.default_rng(0), size, features))


def test_source_of_another_size(cuda: ModuleType) -> None:
    rng = np.random.default_rng(1)
    arrays = pack_sample(rng, (64, 64), 3)
    larger = pack_sample(rng, (128, 96), 3)
    assert_same(cuda, arrays | {name: larger[name] for name in ("source", "features")})


def test_positions_that_are_no_numbers_or_far_away(cuda: ModuleType) -> None:
    arrays = pack_sample(np.random.default_rng(2), (32, 32), 4)
    arrays["warp"][:4, :, 0] = np.tile(np.float32([np.nan, np.inf, -np.inf, 1e30]), 8)
    arrays["warp"][4:8, :, 1] = np.tile(np.float32([np.nan, np.inf, -np.inf, -1e30]), 8)
    assert_same(cuda, arrays)


def test_host_arrays_are_refused(cuda: ModuleType) -> None:
    arrays = pack_sample(np.random.default_rng(3), (8, 8), 1)
    condition = upload(np.zeros((1, 129, 2, 2), np.float32))
    with pytest.raises(TypeError, match=r"expected an array in device memory.*ndarray"):
        cuda.pack(**arrays, condition=condition, stream=current_stream())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [("warp", (8, 12, 3), r"plate.*\(8, 12, 3\)"), ("source", (8, 8, 3), r"source.*\(any, any, 4")],
)
def test_shapes_are_checked(
    cuda: ModuleType, name: str, shape: tuple[int, ...], message: str
) -> None:
    arrays = pack_sample(np.random.default_rng(3), (8, 8), 1)
    arrays[name] = np.zeros(shape, arrays[name].dtype)
    device = {name: upload(array) for name, array in arrays.items()}
    condition = upload(np.zeros((1, 129, 2, 2), np.float32))
    with pytest.raises(ValueError, match=message):
        cuda.pack(**device, condition=condition, stream=current_stream())


def test_layout_and_alignment_are_checked(cuda: ModuleType) -> None:
    arrays = pack_sample(np.random.default_rng(4), (8, 8), 1)
    condition = upload(np.zeros((1, 129, 2, 2), np.float32))
    device = {name: upload(array) for name, array in arrays.items()}
    shifted = upload(np.zeros(8 * 8 * 3 + 1, np.float32))[1:].reshape(8, 8, 3)
    transposed = device["warp"].transpose(0, 1)
    for warp in (shifted, transposed):
        with pytest.raises(ValueError, match="warp: expected a C-contiguous array aligned to 16"):
            cuda.pack(**(device | {"warp": warp}), condition=condition, stream=current_stream())
