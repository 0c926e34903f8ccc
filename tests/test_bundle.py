"""The model bundle: what is in it is what its manifest says, and runs where it was asked to."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.manifest import Part, write_manifest
from parlante.errors import BundleError, DeviceError
from parlante.runtime import bundle as bundle_module
from parlante.runtime.bundle import Bundle
from parlante.runtime.machine import cuda_device_count
from parlante.runtime.manifest import FRONT_END
from parlante.runtime.sessions import resolve_device


def double(path: Path) -> None:
    """A network y = x + x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


PARTS = {
    "twice": Part("double.onnx", "Apache-2.0", "none", {"factor": [1.0, 2.0]}),
    "table": Part("table.npz", "CC-BY-4.0", "thin air"),
}
WINDOW = (9, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    double(tmp_path / "double.onnx")
    np.savez(tmp_path / "table.npz", a=np.arange(6).reshape(2, 3), b=np.float32(7))
    write_manifest(tmp_path, PARTS, version="2.5")
    return tmp_path


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_manifest(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    assert content["format"] == 3
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


def test_mel_window_is_checked(folder: Path) -> None:
    write_manifest(folder, PARTS, mel_window=(24, 8))
    with pytest.raises(BundleError, match="another version"):
        Bundle.open(folder)


def test_front_end_is_the_one_in_use() -> None:
    """The constants in the manifest are those of the code."""
    from parlante.speech import audio

    assert FRONT_END["sample_rate"] == audio.SAMPLE_RATE
    assert FRONT_END["samples_per_frame"] * FRONT_END["fps"] == FRONT_END["sample_rate"]


def test_use(folder: Path) -> None:
    opened = Bundle.open(str(folder))
    (y,) = opened.session("twice", threads=2).run(["y"], {"x": np.ones((1, 3), np.float32)})
    np.testing.assert_array_equal(y, [[2, 2, 2]])
    arrays = opened.arrays("table")
    np.testing.assert_array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
    assert arrays["b"] == 7
    assert opened.path("table.npz") == folder / "table.npz"
    assert opened.problems() == []


def test_sessions_are_shared(folder: Path) -> None:
    opened = Bundle.open(folder)
    one = opened.session("twice", threads=1)
    assert (
        opened.session("twice", threads=1, device="auto" if not cuda_device_count() else "cpu")
        is one
    )
    assert opened.session("twice", threads=2) is not one
    got: list[object] = []
    workers = [
        threading.Thread(target=lambda: got.append(opened.session("twice", threads=3)))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(map(id, got))) == 1


def test_session_options(folder: Path) -> None:
    options = Bundle.open(folder).session("twice", threads=3).get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.use_deterministic_compute
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_key_follows_the_contents(folder: Path) -> None:
    before = Bundle.open(folder).key
    write_manifest(folder, PARTS, version="9")
    assert Bundle.open(folder).key == before
    np.savez(folder / "table.npz", a=np.zeros(1))
    write_manifest(folder, PARTS, version="9")
    assert Bundle.open(folder).key != before


# Damage


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
    with pytest.raises(BundleError, match="cannot load network 'twice'"):
        write_manifest(folder, PARTS, version="1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 1}, "format 1"),
        ({"format": None}, "another version"),
        ({"front_end": {**FRONT_END, "fps": 30}}, "another version"),
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


# Devices


def test_cpu_only_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    opened = Bundle.open(folder)
    assert resolve_device("auto") == "cpu"
    assert opened.session("twice", device="auto") is opened.session("twice", device="cpu")
    with pytest.raises(DeviceError, match="install onnxruntime-gpu"):
        opened.session("twice", device="cuda")


def test_no_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(bundle_module, "cuda_device_count", lambda: 0)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        Bundle.open(folder).session("twice", device="cuda")


def test_cuda_that_does_not_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a silent fallback: not when ORT raises, and not when it quietly uses the CPU."""
    real = onnxruntime.InferenceSession

    def falls_back(content: bytes, options: Any, *, providers: Any, **more: Any) -> Any:
        return real(content, options, providers=["CPUExecutionProvider"])

    def fails(content: bytes, options: Any, *, providers: Any, **more: Any) -> Any:
        if providers[0][0] == "CUDAExecutionProvider":
            raise RuntimeError("libcudnn.so.9: cannot open shared object file")
        return real(content, options, providers=providers)

    monkeypatch.setattr(bundle_module, "resolve_device", lambda d: "cpu" if d == "cpu" else "cuda")
    for broken, says in ((falls_back, "fell back"), (fails, "libcudnn")):
        monkeypatch.setattr(onnxruntime, "InferenceSession", broken)
        with pytest.raises(DeviceError, match=says):
            Bundle.open(folder).session("twice", device="cuda")
        used = Bundle.open(folder).session("twice", device="auto")
        assert used.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["gpu", "CUDA", "", "cuda:0"])
def test_unknown_device(folder: Path, device: str) -> None:
    with pytest.raises(DeviceError, match="give 'cpu', 'cuda', 'openvino' or 'auto'"):
        Bundle.open(folder).session("twice", device=device)


@pytest.mark.parametrize("threads", [0, -1, 1000, True])
def test_bad_threads(folder: Path, threads: int) -> None:
    with pytest.raises(DeviceError, match="threads"):
        Bundle.open(folder).session("twice", threads=threads)


@pytest.mark.cuda
def test_cuda(folder: Path) -> None:
    try:
        resolve_device("cuda")
    except DeviceError as error:
        pytest.skip(str(error))
    session = Bundle.open(folder).session("twice", device="cuda")
    assert session.get_providers()[0] == "CUDAExecutionProvider"
    (y,) = session.run(["y"], {"x": np.ones((1, 3), np.float32)})
    np.testing.assert_array_equal(y, [[2, 2, 2]])
