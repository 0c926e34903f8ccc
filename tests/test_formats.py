"""The shipped renderer in 8 bits and in float16, as the runtime draws with it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the extra [train]")

from export import quantize
from export.bundle import RENDERER
from export.networks import export, networks
from models.train.loop import WEIGHTS
from parlante.bundle import Bundle, Part, write_manifest
from parlante.motion import MEL_AFTER, MEL_BEFORE, MotionStream
from parlante.renderer import FrameRenderer
from tests import portrait_samples as samples


def renderer(bundle: Bundle) -> FrameRenderer:
    return FrameRenderer(bundle, samples.model(), samples.avatar().portrait, size=256, steps=2)


def drawn(bundle: Bundle) -> NDArray[np.float32]:
    motions = MotionStream(Bundle.default(), seed=1).push(samples.demo_speech()[:32_000])
    draws = renderer(bundle)
    return np.stack([draws.render(m) for m in motions[::5]]).astype(np.float32)


def bundle_of(folder: Path, half: bool) -> Bundle:
    """The two networks of the renderer, in float16 or in 8 bits, beside the others."""
    default = Bundle.default()
    shutil.copytree(default.folder, folder, dirs_exist_ok=True)
    parts = {}
    for name, network in networks(WEIGHTS).items():
        parts[name] = Part(f"{name}.onnx", "", "", network.extra)
        if half and name in RENDERER:
            export(network, folder / f"{name}.onnx", half=True)
    if not half:
        draws = renderer(default)
        rows = quantize.watch(draws)
        for motion in MotionStream(default, seed=2).push(samples.demo_speech()[:64_000])[::9]:
            draws.render(motion)
        for name in RENDERER:
            written = quantize.quantize(folder / f"{name}.onnx", quantize.KEPT[name], rows[name])
            parts[name] = replace(parts[name], extra={**parts[name].extra, **written})
    write_manifest(folder, parts, mel_window=(MEL_BEFORE, MEL_AFTER))
    return Bundle.open(folder)


@pytest.mark.parametrize(("half", "decibels"), [(True, 55), (False, 40)])
def test_pictures_are_nearly_those_of_float32(tmp_path: Path, half: bool, decibels: float) -> None:
    other = bundle_of(tmp_path, half)
    given = renderer(other).networks["denoise"].inputs["x_t"]
    assert given.dtype == (np.float16 if half else np.uint8)
    error = np.square(drawn(other) - drawn(Bundle.default())).mean()
    assert 10 * np.log10(255**2 / error) > decibels
