"""The CUDA `compose` gives the bits of the CPU's."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.visual_samples import ATLAS, compose_sample, frame_shape
from parlante import _core
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda

FORMATS = ["rgb", "bgr", "rgba", "nv12"]
Background = str | tuple[int, int, int]


def sample(
    size: tuple[int, int], grid: tuple[int, int], atlas: tuple[int, int] = ATLAS
) -> dict[str, Any]:
    return compose_sample(np.random.default_rng(0), size, grid, atlas)


def assert_same(
    cuda: ModuleType, arrays: dict[str, Any], image_format: str, background: Background = "plate"
) -> None:
    out = np.full(frame_shape(arrays["plate"].shape[:2], image_format), 137, np.uint8)
    device_out = upload(out)
    device = {k: None if array is None else upload(array) for k, array in arrays.items()}
    options: dict[str, Any] = {"format": image_format, "background": background}
    _core.compose(**arrays, out=out, **options)
    cuda.compose(**device, out=device_out, **options, stream=current_stream())
    np.testing.assert_array_equal(download(device_out), out)


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (300, 202), (64, 20)])
@pytest.mark.parametrize("image_format", FORMATS)
def test_sizes(cuda: ModuleType, size: tuple[int, int], image_format: str) -> None:
    assert_same(cuda, sample(size, (256, 256)), image_format)


@pytest.mark.parametrize("size", [(33, 37), (1, 1), (97, 130)])
@pytest.mark.parametrize("grid", [(32, 64), (33, 37), (1, 3)])
@pytest.mark.parametrize("image_format", FORMATS[:3])
def test_odd_sizes(
    cuda: ModuleType, size: tuple[int, int], grid: tuple[int, int], image_format: str
) -> None:
    assert_same(cuda, sample(size, grid, (16, 12)), image_format)


@pytest.mark.parametrize("size", [(64, 64), (100, 84)])
@pytest.mark.parametrize("background", ["plate", "alpha", (10, 200, 255)])
def test_backgrounds(cuda: ModuleType, size: tuple[int, int], background: Background) -> None:
    arrays = sample(size, (64, 64), (64, 32))
    assert_same(cuda, arrays, "rgba", background)
    if background != "alpha":
        assert_same(cuda, arrays, "nv12", background)


@pytest.mark.parametrize("size", [(64, 64), (100, 84)])
def test_without_a_residual(cuda: ModuleType, size: tuple[int, int]) -> None:
    arrays = sample(size, (64, 64), (64, 32))
    assert_same(cuda, arrays | {"x0": None}, "rgba")
    assert_same(cuda, arrays | {"x0": None, "condition": None}, "rgba")
    none = {"places": arrays["places"][:0], "bands": arrays["bands"][:0]}
    assert_same(cuda, arrays | none, "rgba")


@pytest.mark.parametrize("size", [(64, 64), (100, 84)])
def test_patches_that_overlap_turn_and_leave_the_frame(
    cuda: ModuleType, size: tuple[int, int]
) -> None:
    arrays = sample(size, (64, 64), (64, 32))
    places = np.random.default_rng(1).uniform(-1.5, 1.5, (9, 2, 3)).astype(np.float32)
    places[..., 2] *= 40
    places[:2] = np.eye(2, 3)  # whose edges lie on pixels
    bands = np.tile(arrays["bands"], (3, 1))
    assert_same(cuda, arrays | {"places": places, "bands": bands}, "rgba")


def test_values_that_are_no_numbers(cuda: ModuleType) -> None:
    arrays = sample((100, 84), (64, 64), (64, 32))
    arrays["warp"][3:5, 2:9] = np.float32([[np.nan, 3], [5, -np.inf]])[:, None]
    arrays["x0"][0, 7, 1] = np.nan
    arrays["places"][1, 0] = [np.nan, 1, np.inf]
    assert_same(cuda, arrays, "rgba")


def test_bands_beyond_the_atlas_are_skipped(cuda: ModuleType) -> None:
    arrays = sample((100, 84), (64, 64), (64, 32))
    device = {k: None if array is None else upload(array) for k, array in arrays.items()}
    want, got = (upload(np.zeros((100, 84, 3), np.uint8)) for _ in range(2))
    for name in ("places", "bands"):
        device[name] = upload(arrays[name][:1])
    cuda.compose(**device, out=want, stream=current_stream())
    device["places"] = upload(arrays["places"][[0, 0, 0, 0]])
    device["bands"] = upload(np.int32([[0, 32], [0, 65], [-1, 32], [32, 0]]))
    cuda.compose(**device, out=got, stream=current_stream())
    np.testing.assert_array_equal(download(got), download(want))
