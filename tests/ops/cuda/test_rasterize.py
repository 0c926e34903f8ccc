"""The CUDA rasterizer gives the bits of the CPU's."""

from types import ModuleType

import numpy as np
import pytest

from benchmarks.visual_samples import Arrays, grid_mesh, random_mesh
from parlante import _core
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda


def assert_same(cuda: ModuleType, mesh: Arrays, size: tuple[int, int]) -> None:
    # Set marks, so that pixels which must stay untouched show.
    out = np.full((*size, mesh["attributes"].shape[1]), 123, np.float32)
    depth = np.full(size, 321, np.float32)
    device = {name: upload(array) for name, array in mesh.items()}
    device_out, device_depth = upload(out), upload(depth)
    _core.rasterize(**mesh, out=out, depth=depth)  # type: ignore[arg-type]
    cuda.rasterize(**device, out=device_out, depth=device_depth, stream=current_stream())
    np.testing.assert_array_equal(download(device_depth), depth)
    np.testing.assert_array_equal(download(device_out), out)


@pytest.mark.parametrize("size", [(256, 256), (1, 1), (33, 50), (511, 300)])
@pytest.mark.parametrize("triangles", [3, 200, 700])
def test_random_meshes(cuda: ModuleType, size: tuple[int, int], triangles: int) -> None:
    assert_same(cuda, random_mesh(np.random.default_rng(triangles), size, triangles, 3), size)


@pytest.mark.parametrize("attributes", range(1, 9))
def test_attribute_counts(cuda: ModuleType, attributes: int) -> None:
    assert_same(cuda, random_mesh(np.random.default_rng(0), (40, 40), 50, attributes), (40, 40))


def test_dense_mesh(cuda: ModuleType) -> None:
    assert_same(cuda, grid_mesh(np.random.default_rng(0), 256, 27), (256, 256))


def test_equal_depth_is_decided_by_order(cuda: ModuleType) -> None:
    mesh = random_mesh(np.random.default_rng(1), (64, 64), 600, 2)
    mesh["vertices"][:, 2] = 1
    assert_same(cuda, mesh, (64, 64))


def test_no_triangles(cuda: ModuleType) -> None:
    mesh = random_mesh(np.random.default_rng(2), (20, 20), 5, 2)
    assert_same(cuda, mesh | {"triangles": np.zeros((0, 3), np.int32)}, (20, 20))


def test_indices_out_of_range_are_skipped(cuda: ModuleType) -> None:
    mesh = random_mesh(np.random.default_rng(3), (32, 32), 40, 1)
    valid = mesh["triangles"].copy()
    bad = np.array([[0, 1, 40], [-1, 2, 3], [2**31 - 1, 0, 1]], np.int32)
    mesh["triangles"] = np.concatenate([bad, valid])
    out = upload(np.zeros((32, 32, 1), np.float32))
    depth = upload(np.zeros((32, 32), np.float32))
    device = {name: upload(array) for name, array in mesh.items()}
    cuda.rasterize(**device, out=out, depth=depth, stream=current_stream())
    want = np.zeros((32, 32, 1), np.float32)
    _core.rasterize(
        mesh["vertices"],  # type: ignore[arg-type]
        valid,  # type: ignore[arg-type]
        mesh["attributes"],  # type: ignore[arg-type]
        want,
        np.zeros((32, 32), np.float32),
    )
    np.testing.assert_array_equal(download(out), want)
