"""The manifest of a bundle, as `export.manifest` writes it and damage leaves it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from export.manifest import Part, write_manifest
from parlante.errors import BundleError
from parlante.runtime.bundle import Bundle
from parlante.runtime.manifest import FRONT_END
from tests.support.bundle_samples import PARTS


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_manifest(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    assert content["format"] == 4
    assert content["front_end"]["log_mel"]["hop_length"] == 160
    network = (folder / "double.onnx").read_bytes()
    assert content["files"]["double.onnx"] == {
        "sha256": hashlib.sha256(network).hexdigest(),
        "bytes": len(network),
        "licence": "Apache-2.0",
        "training_data": "none",
    }
    manifest = Bundle.open(folder).manifest
    assert manifest.version == "2.5"
    assert manifest.networks["twice"] == {
        "file": "double.onnx",
        "factor": [1.0, 2.0],
        "inputs": {"x": {"type": "tensor(float)", "shape": [1, 3]}},
        "outputs": {"y": {"type": "tensor(float)", "shape": [1, 3]}},
    }
    assert [entry.name for entry in folder.iterdir() if "partial" in entry.name] == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 1}, "format 1"),
        ({"format": None}, "another version"),
        ({"front_end": {**FRONT_END, "fps": 30}}, "another version"),
        ({"front_end": {**FRONT_END, "mel_window": [24, 8]}}, "another version"),
        ({"files": []}, "lacks its tables"),
        ({"files": {"a": 1}}, "lacks its tables"),
        ({"networks": None}, "lacks its tables"),
        ({"version": 3}, "lacks its tables"),
        ({"files": {"../a": {"sha256": "0" * 64}}, "networks": {}}, "bad entry"),
        ({"files": {"a": {}}, "networks": {}}, "bad entry"),
        ({"networks": {"a": {"file": "b"}}}, "'a' without its file"),
    ],
)
def test_bad_manifest(folder: Path, changes: dict[str, Any], says: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=says):
        Bundle.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match="no JSON"):
        Bundle.open(folder)


@pytest.mark.parametrize("file", ["missing.onnx", "../double.onnx", "double.onnx", "."])
def test_bad_parts(folder: Path, file: str) -> None:
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match="plain name of its own file"):
        write_manifest(folder, {**PARTS, "more": Part(file, "", "")})
    assert (folder / "manifest.json").read_bytes() == before
