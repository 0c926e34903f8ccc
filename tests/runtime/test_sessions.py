"""Networks run where they were asked to."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from parlante.errors import DeviceError
from parlante.runtime import bundle as bundle_module
from parlante.runtime import sessions as sessions_module
from parlante.runtime.bundle import Bundle
from parlante.runtime.machine import cuda_device_count
from parlante.runtime.sessions import resolve_device


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
    monkeypatch.setattr(sessions_module, "cuda_device_count", lambda: 0)
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
