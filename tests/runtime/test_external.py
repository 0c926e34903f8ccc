"""A network whose weights lie in other files is refused, wherever in it they are named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.manifest import write_manifest
from parlante.errors import BundleError
from parlante.runtime.assets import networks_folder
from parlante.runtime.bundle import Bundle
from parlante.runtime.external import HELD, has_external_data
from parlante.runtime.sessions import new_session
from tests.support.bundle_samples import PARTS

Place = Callable[[TensorProto], onnx.ModelProto]


def tensor(location: str | None) -> TensorProto:
    made = numpy_helper.from_array(np.ones((1, 3), np.float32), "w")
    if location is not None:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
    return made


def model(nodes: list[onnx.NodeProto], weights: list[TensorProto]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constant(weight: TensorProto) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]


def initializer(weight: TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def in_a_node(weight: TensorProto) -> onnx.ModelProto:
    return model(constant(weight), [])


def in_a_branch(weight: TensorProto) -> onnx.ModelProto:
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    add = helper.make_node("Add", ["x", "w"], ["y"])
    branches: dict[str, Any] = {
        "then_branch": helper.make_graph([add], "then", [], [out], [weight]),
        "else_branch": helper.make_graph(constant(weight), "else", [], [out]),
    }
    told = numpy_helper.from_array(np.array(True), "told")
    return model([helper.make_node("If", ["told"], ["y"], **branches)], [told])


def in_a_function(weight: TensorProto) -> onnx.ModelProto:
    made = model([helper.make_node("own", ["x"], ["y"], domain="own")], [])
    opsets = [helper.make_opsetid("", 17)]
    made.functions.append(
        helper.make_function("own", "own", ["x"], ["y"], constant(weight), opsets)
    )
    made.opset_import.append(helper.make_opsetid("own", 1))
    return made


PLACES = [initializer, in_a_node, in_a_branch, in_a_function]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{folder}/weights.bin"])
def test_weights_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: Place, location: str
) -> None:
    here = folder / "here"
    here.mkdir()
    for beside in (here, folder):
        (beside / "weights.bin").write_bytes(np.ones(3, np.float32).tobytes())
    monkeypatch.chdir(here)
    made = place(tensor(location.format(folder=folder))).SerializeToString()
    with pytest.raises(BundleError, match="'w' keeps data in another file"):
        new_session(made, "w", "cpu", 1)
    (folder / "double.onnx").write_bytes(made)
    with pytest.raises(BundleError, match="keeps data in another file"):
        write_manifest(folder, PARTS, version="1")


@pytest.mark.parametrize("place", PLACES)
def test_weights_within(place: Place) -> None:
    within = tensor(None)
    within.data_location = TensorProto.DEFAULT  # as the package onnx leaves it
    session = new_session(place(within).SerializeToString(), "w", "cpu", 1)
    (y,) = session.run(None, {"x": np.ones((1, 3), np.float32)})
    np.testing.assert_array_equal(y, [[2, 2, 2]])


def test_every_field_that_may_hold_a_tensor_is_looked_at() -> None:
    messages = {name: getattr(onnx, f"{name}Proto").DESCRIPTOR for name in HELD}
    names = {descriptor.name: name for name, descriptor in messages.items()}
    for name, descriptor in messages.items():
        held = {
            field.number: names[field.message_type.name]
            for field in descriptor.fields
            if field.message_type is not None and field.message_type.name in names
        }
        assert held == HELD[name]


def test_the_bundle_that_ships() -> None:
    for path in networks_folder().glob("*.onnx"):
        assert not has_external_data(path.read_bytes())
    assert Bundle.default().problems() == []


@given(st.binary(max_size=60))
def test_anything_ends(data: bytes) -> None:
    """It tells, or it is no network."""
    try:
        has_external_data(data)
    except ValueError as error:
        assert str(error)


@given(st.integers(0, 400), st.integers(0, 255))
def test_whatever_a_network_is_changed_to(at: int, byte: int) -> None:
    """What protobuf reads as having such a tensor is found out."""
    data = bytearray(initializer(tensor("weights.bin")).SerializeToString())
    data[at % len(data)] = byte
    try:
        read = onnx.load_from_string(bytes(data))
    except Exception:
        return
    there = any(one.data_location == TensorProto.EXTERNAL for one in read.graph.initializer)
    with contextlib.suppress(ValueError):
        assert has_external_data(bytes(data)) or not there
