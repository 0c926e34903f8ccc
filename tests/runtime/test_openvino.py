"""The renderer's networks through OpenVINO; with onnxruntime-openvino in onnxruntime's place."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from parlante import Avatar
from parlante.contract import Precision
from parlante.runtime.bundle import RENDERER, Bundle
from tests.support.portrait_samples import demo_rgb, demo_speech

pytestmark = [
    pytest.mark.openvino,
    pytest.mark.skipif(
        "OpenVINOExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this onnxruntime is not onnxruntime-openvino",
    ),
]


def drawn(device: str, precision: Precision = "float32") -> NDArray[np.int16]:
    avatar = Avatar(demo_rgb(), device=device, precision=precision, cache=False)
    frames = avatar.speak(demo_speech()[:16_000], sample_rate=16_000, seed=3)
    return np.stack([frame.image for frame in frames]).astype(np.int16)


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.int16]:
    return drawn("openvino")


def test_only_the_renderer_is_run_there() -> None:
    bundle = Bundle.default()
    for name in bundle.manifest.networks:
        providers = bundle.session(name, device="openvino").get_providers()
        wanted = "OpenVINO" if name.startswith(RENDERER) else "CPU"
        assert providers[0] == f"{wanted}ExecutionProvider"


def test_pictures_are_those_of_the_cpu(pictures: NDArray[np.int16]) -> None:
    difference = np.abs(pictures - drawn("cpu"))
    assert np.square(difference).mean() < 0.5  # 51 dB
    assert np.quantile(difference, 0.999) <= 8


def test_pictures_in_8_bits_are_those_of_the_cpu() -> None:
    difference = np.abs(drawn("openvino", "int8") - drawn("cpu", "int8"))
    assert 0 < np.square(difference).mean() < 2  # 45 dB


def test_same_pictures_every_time(pictures: NDArray[np.int16]) -> None:
    np.testing.assert_array_equal(pictures, drawn("openvino"))
