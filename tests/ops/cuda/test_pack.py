"""The CUDA `pack` gives the bits of the CPU's."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.visual_samples import pack_sample
from parlante import _core
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda


def assert_same(cuda: ModuleType, arrays: dict[str, Any]) -> None:
    h, w = arrays["flow"].shape[:2]
    condition = np.full((1, 144, h // 4, w // 4), np.nan, np.float32)
    device_condition = upload(condition)
    device = {k: None if array is None else upload(array) for k, array in arrays.items()}
    _core.pack(**arrays, condition=condition)
    cuda.pack(**device, condition=device_condition, stream=current_stream())
    np.testing.assert_array_equal(download(device_condition), condition)


@pytest.mark.parametrize("size", [(256, 128), (4, 4), (36, 132), (512, 260)])
def test_sizes(cuda: ModuleType, size: tuple[int, int]) -> None:
    assert_same(cuda, pack_sample(np.random.default_rng(0), size))


def test_without_a_reference(cuda: ModuleType) -> None:
    assert_same(cuda, pack_sample(np.random.default_rng(0), (36, 132)) | {"reference": None})


def test_pictures_of_other_sizes(cuda: ModuleType) -> None:
    rng = np.random.default_rng(1)
    arrays = pack_sample(rng, (64, 64))
    arrays["source"] = pack_sample(rng, (128, 96))["source"]
    arrays["reference"] = pack_sample(rng, (20, 28))["reference"]
    assert_same(cuda, arrays)


def test_positions_that_are_no_numbers_or_far_away(cuda: ModuleType) -> None:
    arrays: dict[str, Any] = pack_sample(np.random.default_rng(2), (32, 32))
    far = np.tile(np.float32([np.nan, np.inf, -np.inf, 1e30]), 8)
    for channel in (0, 1, 4, 5):
        arrays["flow"][4 * channel : 4 * channel + 4, :, channel] = far
    assert_same(cuda, arrays)


def test_host_arrays_are_refused(cuda: ModuleType) -> None:
    arrays = pack_sample(np.random.default_rng(3), (8, 8))
    condition = upload(np.zeros((1, 144, 2, 2), np.float32))
    with pytest.raises(TypeError, match=r"expected an array in device memory.*ndarray"):
        cuda.pack(**arrays, condition=condition, stream=current_stream())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("flow", (8, 12, 6), r"inside.*\(8, 12, 4\)"),
        ("source", (8, 8, 3), r"source.*\(any, any, 4"),
        ("reference", (8, 8, 3), r"reference.*\(any, any, 4"),
    ],
)
def test_shapes_are_checked(
    cuda: ModuleType, name: str, shape: tuple[int, ...], message: str
) -> None:
    arrays = pack_sample(np.random.default_rng(3), (8, 8))
    arrays[name] = np.zeros(shape, arrays[name].dtype)
    device = {name: upload(array) for name, array in arrays.items()}
    condition = upload(np.zeros((1, 144, 2, 2), np.float32))
    with pytest.raises(ValueError, match=message):
        cuda.pack(**device, condition=condition, stream=current_stream())


def test_layout_and_alignment_are_checked(cuda: ModuleType) -> None:
    arrays = pack_sample(np.random.default_rng(4), (8, 8))
    condition = upload(np.zeros((1, 144, 2, 2), np.float32))
    device = {name: upload(array) for name, array in arrays.items()}
    shifted = upload(np.zeros(8 * 8 * 6 + 1, np.float32))[1:].reshape(8, 8, 6)
    transposed = device["flow"].swapaxes(0, 1)
    for flow in (shifted, transposed):
        with pytest.raises(ValueError, match="flow: expected a C-contiguous array aligned to 16"):
            cuda.pack(**(device | {"flow": flow}), condition=condition, stream=current_stream())
