"""The report on an installation."""

import json
from pathlib import Path
from typing import Any

import av
import onnxruntime
import pytest

import parlante
from export.manifest import Part, write_manifest
from parlante.app import doctor


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notes.npz").write_bytes(b"contents")
    parts = {"notes": Part("notes.npz", "CC0-1.0", "none")}
    write_manifest(tmp_path, parts, version="7")
    monkeypatch.setattr(doctor, "networks_folder", lambda: tmp_path)
    return tmp_path


def test_report(bundle: Path) -> None:
    found = doctor.report()
    assert json.loads(json.dumps(found)) == found
    assert found["ok"] is True
    assert found["parlante"] == parlante.__version__
    assert found["packages"]["onnxruntime"] == onnxruntime.__version__
    assert found["packages"]["av"] == av.__version__
    assert "CPUExecutionProvider" in found["providers"]
    assert found["native"]["core"]["path"].endswith((".so", ".pyd"))
    assert found["cpu"]["threads"] >= 1
    assert all(found["codecs"].values())
    assert found["bundle"] == {
        "folder": str(bundle),
        "version": "7",
        "networks": [],
        "bytes": 8,
        "ok": True,
        "problems": [],
    }


def test_text(bundle: Path) -> None:
    lines = doctor.text(doctor.report()).splitlines()
    assert lines[0].split() == ["parlante", parlante.__version__]
    assert lines[-1].strip() == "ready"
    assert any("version 7" in line and str(bundle) in line for line in lines)


def test_damaged_bundle(bundle: Path) -> None:
    (bundle / "notes.npz").write_bytes(b"other contents")
    found = doctor.report()
    assert found["ok"] is False
    assert found["bundle"]["ok"] is False
    assert "SHA-256" in found["bundle"]["problems"][0]
    written = doctor.text(found)
    assert "damaged" in written
    assert "SHA-256" in written
    assert written.endswith("not ready")


def test_no_bundle(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    found = doctor.report()
    assert found["bundle"]["ok"] is False
    assert "manifest.json" in doctor.text(found)


def test_missing_parts(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_import(name: str) -> Any:
        raise ImportError(f"no {name}")

    def no_codec(name: str, mode: str) -> Any:
        raise ValueError(name)

    monkeypatch.setattr(doctor, "import_module", no_import)
    monkeypatch.setattr(av, "Codec", no_codec)
    monkeypatch.setattr(doctor, "_PACKAGES", ("numpy", "a-package-that-is-not-there"))
    found = doctor.report()
    assert found["ok"] is False
    assert found["native"]["core"] == {"ok": False, "path": None, "error": "no parlante._core"}
    assert found["packages"]["a-package-that-is-not-there"] is None
    written = doctor.text(found)
    assert "no parlante._core" in written
    assert "not installed" in written
    assert "libx264 encoder" in written


def test_machine_without_proc(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: Any, **options: Any) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", refuse)
    found = doctor.report()
    assert found["cpu"]["features"] == []
    assert found["cpu"]["name"]
