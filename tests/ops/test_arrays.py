"""The native ops take whatever shares its memory by DLPack, and copy nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from benchmarks import visual_samples as samples
from parlante import _core

torch = pytest.importorskip("torch", reason="needs the extra [train]")

STEP: dict[str, Any] = {"c_x0": 0.5, "c_xt": 0.5, "sigma": 0.1, "seed": 1, "step": 1}


class Shared:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def arrays() -> dict[str, Any]:
    return samples.denoise_sample(np.random.default_rng(0), (32, 48))


@pytest.mark.parametrize("wrap", [torch.from_numpy, Shared])
def test_inputs_and_outputs_of_other_libraries(wrap: Any) -> None:
    given = arrays()
    wanted, out = (np.full((1, 48, 8, 12), np.nan, np.float32) for _ in range(2))
    _core.denoise_step(**given, out=wanted, **STEP)
    other = {name: wrap(array.copy()) for name, array in given.items()}
    _core.denoise_step(**other, out=wrap(out), **STEP)
    np.testing.assert_array_equal(out, wanted)


def test_ort_values() -> None:
    """They are read where they are; written through the array that they share."""
    given = arrays()
    wanted, out = (np.full((1, 48, 8, 12), np.nan, np.float32) for _ in range(2))
    _core.denoise_step(**given, out=wanted, **STEP)
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    other = {name: value(array) for name, array in given.items()}
    shared = value(out)
    _core.denoise_step(**other, out=out, **STEP)
    np.testing.assert_array_equal(np.from_dlpack(shared), wanted)


def test_they_are_checked_as_numpy_arrays_are() -> None:
    given, out = arrays(), torch.zeros(1, 48, 8, 12)
    with pytest.raises(TypeError, match="out: expected dtype float32, got float64"):
        _core.denoise_step(**given, out=out.double(), **STEP)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out: expected a C-contiguous"):
        _core.denoise_step(**given, out=out.mT.contiguous().mT, **STEP)  # type: ignore[arg-type]
    frozen = out.numpy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected a writable array"):
        _core.denoise_step(**given, out=frozen, **STEP)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _core.log_mel([0.0] * 640)  # type: ignore[arg-type]


def test_memory_elsewhere_is_refused() -> None:
    with pytest.raises((BufferError, RuntimeError, TypeError)):
        _core.log_mel(torch.zeros(640, device="meta"))  # type: ignore[arg-type]
