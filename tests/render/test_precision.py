"""The shipped renderer in other number formats, as the runtime draws with it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra [train]")

from export.manifest import Part, write_manifest
from export.networks import export, networks
from export.quantize import quantize, watch
from models.train.loop import WEIGHTS
from parlante import Avatar
from parlante.contract import Precision
from parlante.errors import BundleError, ParlanteError
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import RENDERER, Bundle
from parlante.runtime.compute import Compute
from parlante.speech.motion import MotionStream
from tests.support import portrait_samples as samples


def renderer(bundle: Bundle, precision: Precision) -> FrameRenderer:
    portrait = samples.avatar().portrait
    return FrameRenderer(
        bundle, samples.model(), portrait, RenderOptions(size=256), Compute(precision=precision)
    )


def drawn(bundle: Bundle, precision: Precision) -> NDArray[np.float32]:
    motions = MotionStream(Bundle.default(), seed=1).push(samples.demo_speech()[:32_000])
    draws = renderer(bundle, precision)
    return np.stack([draws.render(m) for m in motions[::5]]).astype(np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The built-in bundle with its renderer in float16, and in 8 bits after the demo's ranges."""
    default = Bundle.default()
    folder = tmp_path_factory.mktemp("bundle")
    shutil.copytree(default.folder, folder, dirs_exist_ok=True)
    draws = renderer(default, "float32")
    rows = watch(draws)
    for motion in MotionStream(default, seed=2).push(samples.demo_speech()[:64_000])[::9]:
        draws.render(motion)
    parts = {}
    for name, network in networks(WEIGHTS).items():
        parts[name] = Part(f"{name}.onnx", "", "", network.extra)
        if name in RENDERER:
            half, small = (f"{name}_{precision}" for precision in ("float16", "int8"))
            export(network, folder / f"{half}.onnx", half=True)
            parts[half] = replace(parts[name], file=f"{half}.onnx")
            written = quantize(folder / f"{name}.onnx", folder / f"{small}.onnx", rows[name])
            parts[small] = Part(f"{small}.onnx", "", "", {**network.extra, **written})
    write_manifest(folder, parts)
    return Bundle.open(folder)


@pytest.mark.parametrize(
    ("precision", "dtype", "decibels"), [("float16", np.float16, 60), ("int8", np.uint8, 45)]
)
def test_pictures_are_nearly_those_of_float32(
    bundle: Bundle, precision: Precision, dtype: type, decibels: float
) -> None:
    for own in renderer(bundle, precision).networks:
        assert own["denoise"].inputs["x_t"].dtype == dtype
    error = np.square(drawn(bundle, precision) - drawn(bundle, "float32")).mean()
    assert 10 * np.log10(255**2 / error) > decibels


def test_8_bits_are_built_in() -> None:
    """Their ranges are those of many people, not of this one."""
    error = np.square(drawn(Bundle.default(), "int8") - drawn(Bundle.default(), "float32")).mean()
    assert 0 < error < 255**2 / 10**4.5


def test_precisions_that_are_not_there() -> None:
    with pytest.raises(ParlanteError, match=r"precision='int4'.*float32"):
        Avatar(samples.demo_rgb(), precision="int4", cache=False)  # type: ignore[arg-type]
    avatar = Avatar(samples.demo_rgb(), precision="float16", cache=False)
    with pytest.raises(BundleError, match="has the renderer in float32, int8 only"):
        next(iter(avatar.speak(samples.demo_speech(), sample_rate=16_000)))
