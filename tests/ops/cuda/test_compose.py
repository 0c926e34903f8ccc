"""The CUDA `compose` gives the bits of the CPU's."""

from types import ModuleType

import numpy as np
import pytest

from benchmarks.visual_samples import compose_sample, frame_shape
from parlante import _core
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda

FORMATS = ["rgb", "bgr", "rgba", "nv12"]
Background = str | tuple[int, int, int]


def assert_same(
    cuda: ModuleType,
    size: tuple[int, int],
    grid: tuple[int, int],
    image_format: str,
    background: Background = "plate",
    spoil: bool = False,
) -> None:
    arrays = compose_sample(np.random.default_rng(0), size, grid)
    if spoil:
        arrays["warp"][3:5, 2:9, :2] = np.float32([[np.nan, 3], [5, -np.inf]])[:, None]
        arrays["x0"][0, 7, 1] = np.nan
    out = np.full(frame_shape(size, image_format), 137, np.uint8)
    device_out = upload(out)
    device = {name: upload(array) for name, array in arrays.items()}
    options = {"format": image_format, "background": background}
    _core.compose(**arrays, out=out, **options)  # type: ignore[arg-type]
    cuda.compose(**device, out=device_out, **options, stream=current_stream())
    np.testing.assert_array_equal(download(device_out), out)


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (300, 202), (64, 20)])
@pytest.mark.parametrize("image_format", FORMATS)
def test_sizes(cuda: ModuleType, size: tuple[int, int], image_format: str) -> None:
    assert_same(cuda, size, (256, 256), image_format)


@pytest.mark.parametrize("size", [(33, 37), (1, 1), (97, 130)])
@pytest.mark.parametrize("image_format", FORMATS[:3])
def test_odd_sizes(cuda: ModuleType, size: tuple[int, int], image_format: str) -> None:
    assert_same(cuda, size, (32, 64), image_format)


@pytest.mark.parametrize("size", [(64, 64), (100, 84)])
@pytest.mark.parametrize("background", ["plate", "picture", "alpha", (10, 200, 255)])
def test_backgrounds(cuda: ModuleType, size: tuple[int, int], background: Background) -> None:
    assert_same(cuda, size, (64, 64), "rgba", background)
    if background != "alpha":
        assert_same(cuda, size, (64, 64), "nv12", background)


def test_values_that_are_no_numbers(cuda: ModuleType) -> None:
    assert_same(cuda, (100, 84), (64, 64), "rgba", spoil=True)
