"""The list of what the wheel is made of."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, files
from typing import Any

import pytest

pytest.importorskip("cyclonedx", reason="needs the extra [test]")

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from export import sbom
from parlante import __version__
from parlante.runtime.assets import networks_folder
from parlante.runtime.bundle import Bundle
from parlante.runtime.manifest import MANIFEST


def listed() -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in json.loads(sbom.PATH.read_text("utf-8"))["components"]}


def test_it_is_what_its_format_asks_for() -> None:
    text = sbom.PATH.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["metadata"]["component"]["version"] == __version__


def test_it_names_every_file_of_the_bundle() -> None:
    own = {name: part for name, part in listed().items() if "networks/" in name}
    known = Bundle.default().manifest.files
    assert set(own) == {f"parlante/assets/networks/{name}" for name in known}
    for name, file in known.items():
        part = own[f"parlante/assets/networks/{name}"]
        assert part["hashes"] == [{"alg": "SHA-256", "content": file["sha256"]}]
        assert part["licenses"]
    assert {path.name for path in networks_folder().iterdir()} == {*known, MANIFEST}


def test_it_names_every_package_that_is_needed_and_its_licence() -> None:
    parts = listed()
    for name, (versions, scope) in sbom.requirements().items():
        part = parts[name]
        assert part["scope"] == scope.value
        assert part["purl"] == f"pkg:pypi/{name}"
        assert part["properties"] == [{"name": "parlante:versions", "value": versions}]
        assert part["licenses"]
        assert "unknown" not in json.dumps(part["licenses"]).lower()


def test_an_installed_wheel_holds_it() -> None:
    try:
        paths = [path for path in files("parlante") or [] if path.match("*.dist-info/sboms/*")]
    except PackageNotFoundError:
        pytest.skip("parlante runs from its sources here")
    assert [path.read_text("utf-8") for path in paths] == [sbom.PATH.read_text("utf-8")]
