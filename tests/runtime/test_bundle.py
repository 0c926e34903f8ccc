"""The model bundle: what is in it is what its manifest says."""

from pathlib import Path

import numpy as np
import pytest

from export.manifest import write_manifest
from parlante.errors import BundleError
from parlante.runtime.bundle import Bundle
from tests.support.bundle_samples import PARTS


def test_use(folder: Path) -> None:
    opened = Bundle.open(str(folder))
    (y,) = opened.session("twice", threads=2).run(["y"], {"x": np.ones((1, 3), np.float32)})
    np.testing.assert_array_equal(y, [[2, 2, 2]])
    arrays = opened.arrays("table")
    np.testing.assert_array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
    assert arrays["b"] == 7
    assert opened.path("table.npz") == folder / "table.npz"
    assert opened.problems() == []


def test_key_follows_the_contents(folder: Path) -> None:
    before = Bundle.open(folder).key
    write_manifest(folder, PARTS, version="9")
    assert Bundle.open(folder).key == before
    np.savez(folder / "table.npz", a=np.zeros(1))
    write_manifest(folder, PARTS, version="9")
    assert Bundle.open(folder).key != before


@pytest.mark.parametrize("name", ["double.onnx", "table.npz"])
@pytest.mark.parametrize("how", ["flip", "cut", "replace", "remove"])
def test_damaged_file(folder: Path, name: str, how: str) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[len(data) // 2] ^= 1
    elif how == "cut":
        del data[-1]
    elif how == "replace":
        data[:] = b"something else"
    path.write_bytes(data)
    if how == "remove":
        path.unlink()
    opened = Bundle.open(folder)
    says = "cannot be read" if how == "remove" else "SHA-256"
    with pytest.raises(BundleError, match=says):
        opened.path(name)
    with pytest.raises(BundleError, match=says):
        opened.session("twice") if name == "double.onnx" else opened.arrays("table")
    (problem,) = opened.problems()
    assert name in problem


def test_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    opened = Bundle.open(folder)
    with pytest.raises(BundleError, match="no network 'triple', only twice"):
        opened.session("triple")
    with pytest.raises(BundleError, match="not in the manifest"):
        opened.path("manifest.json")
    with pytest.raises(BundleError, match="not in the manifest"):
        opened.arrays("../table")
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        Bundle.open(tmp_path / "nowhere")


def test_pickles_are_refused(folder: Path) -> None:
    np.savez(folder / "table.npz", a=np.array([{"run": "me"}], dtype=object))
    write_manifest(folder, PARTS, version="1")
    with pytest.raises(BundleError, match="allow_pickle=False"):
        Bundle.open(folder).arrays("table")


def test_files_that_are_not_what_they_are_called(folder: Path) -> None:
    (folder / "table.npz").write_bytes(b"PK\x03\x04 no archive")
    write_manifest(folder, PARTS, version="1")
    with pytest.raises(BundleError, match="no arrays"):
        Bundle.open(folder).arrays("table")
    (folder / "double.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match="network 'twice' is no ONNX file"):
        write_manifest(folder, PARTS, version="1")
