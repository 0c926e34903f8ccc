"""What several test files need."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import cuda_device

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings of the tests' own, also of the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session", params=["gpu", "emulated"])
def cuda(request: Any, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """`parlante._cuda`, for tests with the marker `cuda`.

    On a GPU where there is one, and compiled for the CPU where CMake and a compiler are.
    """
    cuda_device.emulated = request.param == "emulated"
    if cuda_device.emulated:
        return emulated_cuda(tmp_path_factory.mktemp("emulation"))
    torch = pytest.importorskip("torch", reason="device arrays are made with PyTorch")
    if importlib.util.find_spec("parlante._cuda") is None:
        pytest.skip("parlante was built without CUDA")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device, or a PyTorch without CUDA")
    return importlib.import_module("parlante._cuda")


def emulated_cuda(build: Path) -> ModuleType:
    """The CUDA twins with `csrc/emulation` in CUDA's place."""
    pybind11 = pytest.importorskip("pybind11", reason="what the module is built with")
    if not (cmake := shutil.which("cmake")) or not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("no CMake or no C++ compiler to build the kernels for the CPU with")
    for step in (
        ["-S", str(ROOT), "-B", str(build), "-DPARLANTE_CUDA=EMULATED", "-DPARLANTE_WERROR=ON",
         "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
         "-DCMAKE_UNITY_BUILD=ON", "-DSKBUILD_PROJECT_VERSION=0",
         f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}"],
        ["--build", str(build), "--target", "_cuda", "--parallel", "2"],
    ):  # fmt: skip
        done = subprocess.run([cmake, *step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (path,) = build.glob("_cuda.*")
    # Under the name of the real module pybind11 would give that one, once it has been imported.
    spec = importlib.util.spec_from_file_location("emulated._cuda", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
