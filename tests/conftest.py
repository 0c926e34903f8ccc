"""What several test files need."""

import importlib
import importlib.util
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def cuda() -> ModuleType:
    """`parlante._cuda`, for tests with the marker `cuda`; skips where there is none or no GPU."""
    torch = pytest.importorskip("torch", reason="device arrays are made with PyTorch")
    if importlib.util.find_spec("parlante._cuda") is None:
        pytest.skip("parlante was built without CUDA")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device, or a PyTorch without CUDA")
    return importlib.import_module("parlante._cuda")
