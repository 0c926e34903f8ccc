"""A bundle whose files hash as they should, but do not hold what they should, is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlante.avatar import Avatar
from parlante.errors import BundleError
from parlante.runtime.assets import networks_folder
from parlante.runtime.bundle import Bundle
from parlante.speech.dynamics import motion_scale
from parlante.speech.motion import MotionStream
from tests.support.portrait_samples import avatar

Edit = Callable[[dict[str, Any]], object]


def edited(folder: Path, edit: Edit) -> Bundle:
    """The bundle that ships, with another manifest."""
    for path in networks_folder().iterdir():
        if path.name != "manifest.json":
            (folder / path.name).symlink_to(path)
    content = json.loads((networks_folder() / "manifest.json").read_text())
    edit(content["networks"])
    (folder / "manifest.json").write_text(json.dumps(content))
    return Bundle.open(folder)


@pytest.mark.parametrize(
    "value", [None, [], 1.0, [1.0] * 15, [[1.0] * 16], ["a"] * 16, [1e300] * 16, [10**400] * 16, {}]
)
@pytest.mark.parametrize("key", ["shut", "opening"])
def test_numbers_of_lips(tmp_path: Path, key: str, value: Any) -> None:
    bundle = edited(tmp_path, lambda networks: networks["lip_decode"].update({key: value}))
    with pytest.raises(BundleError, match=f"lacks '{key}' of network 'lip_decode', 16 numbers"):
        MotionStream(bundle)


@pytest.mark.parametrize("value", [None, [1.0] * 12, [float("nan")] * 13])
def test_numbers_of_motion(tmp_path: Path, value: Any) -> None:
    bundle = edited(
        tmp_path, lambda networks: networks["dynamics_decode"].update(motion_scale=value)
    )
    with pytest.raises(BundleError, match="motion_scale"):
        motion_scale(bundle)


def test_numbers_that_are_missing(tmp_path: Path) -> None:
    bundle = edited(tmp_path, lambda networks: networks.pop("dynamics_decode"))
    with pytest.raises(BundleError, match="motion_scale"):
        motion_scale(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"sampler": None},
        {"sampler": "slow"},
        {"start": 0},
        {"start": "many"},
        {"start": None},
        {"x_t": None},
        {"x_t": {"scale": 0.1}},
        {"x_t": {"scale": 0, "zero_point": 1}},
        {"x_t": {"scale": "a", "zero_point": 1}},
        {"x_t": {"scale": 0.1, "zero_point": 1.5}},
        {"x_t": {"scale": 0.1, "zero_point": float("nan")}},
    ],
)
def test_how_the_denoiser_is_run(tmp_path: Path, change: dict[str, Any]) -> None:
    avatar().save(face := tmp_path / "face.npz")
    bundle = edited(tmp_path, lambda networks: networks["denoise"].update(change))
    with pytest.raises(BundleError, match="how network 'denoise' is run"):
        Avatar(face, bundle=bundle).live(size=128)


@pytest.mark.parametrize(
    "edit",
    [
        lambda entry: entry.pop("inputs"),
        lambda entry: entry.update(outputs=None),
        lambda entry: entry["inputs"].pop("lip"),
        lambda entry: entry["inputs"].update(more={"type": "tensor(float)", "shape": [1]}),
        lambda entry: entry["inputs"].update(lip=[1, 16]),
        lambda entry: entry["inputs"]["lip"].update(type="tensor(float16)"),
        lambda entry: entry["inputs"]["lip"].update(shape=[1, 17]),
        lambda entry: entry["inputs"]["lip"].update(shape=[1, 16, 1]),
        lambda entry: entry["outputs"]["expression"].update(shape=None),
    ],
)
def test_other_inputs_or_outputs(tmp_path: Path, edit: Edit) -> None:
    bundle = edited(tmp_path, lambda networks: edit(networks["attributes_decode"]))
    with pytest.raises(BundleError, match="'attributes_decode' has other inputs or outputs"):
        bundle.session("attributes_decode")
    with pytest.raises(BundleError, match="'attributes_decode' has other inputs or outputs"):
        bundle.sessions("attributes_decode")


def test_sizes_that_nobody_knows(tmp_path: Path) -> None:
    """What one version of ONNX Runtime infers another may not."""
    edit: Edit = lambda networks: networks["matte"]["outputs"]["matte"].update(  # noqa: E731
        shape=[1, None, "height", 256]
    )
    assert edited(tmp_path, edit).session("matte")
