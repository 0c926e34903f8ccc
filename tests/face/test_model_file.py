"""A face model whose arrays are not what they have to be is refused when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.manifest import write_manifest
from parlante.errors import BundleError
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle
from tests.support.bundle_samples import PARTS, write_bundle

Array = NDArray[Any]

DAMAGE: dict[str, Callable[[Array], Array]] = {
    "no dimension": lambda array: np.array(array.flat[0]),
    "empty": lambda array: array[:0],
    "text": lambda array: array.astype(str)[..., None],
    "short": lambda array: array[:-1],
    "one axis more": lambda array: array[None],
    "wide": lambda array: np.zeros(array.shape),  # float64
}
ARRAYS = Bundle.default().arrays("face_model")


def load(**changed: Array) -> FaceModel:
    return FaceModel.of({**ARRAYS, **changed})


def test_as_it_ships() -> None:
    load()
    wide = {name: ARRAYS[name].astype(np.float32) for name in ("identity", "expression", "motion")}
    model = load(**wide)
    np.testing.assert_array_equal(model.identity, wide["identity"])


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ARRAYS)
def test_another_type_or_shape(name: str, how: str) -> None:
    if how == "short" and name in ("face_triangles", "teeth_triangles", "teeth_picture"):
        return  # so many as there are
    if how in ("text", "one axis more") and name == "expression_names":
        return  # the same names
    with pytest.raises(BundleError, match="teeth" if "teeth" in name else name):
        load(**{name: DAMAGE[how](ARRAYS[name])})


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_is_missing(name: str) -> None:
    given = {key: ARRAYS[key] for key in ARRAYS if key != name}
    with pytest.raises(BundleError, match=f"holds no face model .*{name}"):
        FaceModel.of(given)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", [name for name in ARRAYS if ARRAYS[name].dtype.kind == "f"])
def test_what_is_no_number(name: str, value: float) -> None:
    array = ARRAYS[name].copy()
    array.flat[-1] = value
    with pytest.raises(BundleError, match=f"{name} is not finite"):
        load(**{name: array})


def test_what_does_not_agree() -> None:
    names = ARRAYS["expression_names"]
    renamed = np.where(names == "jawOpen", "jawShut", names)
    twice = np.where(names == "noseSneer_L", "noseSneer_R", names)
    for given, says in (
        ({"expression_names": renamed}, "expression_names"),
        ({"expression_names": twice}, "expression_names"),
        ({"lip_spread": ARRAYS["lip_spread"][:-1, :-1]}, "27 modes"),
        ({"teeth_triangles": ARRAYS["teeth_triangles"] + 1}, "vertices that there are not"),
        ({"face_triangles": ARRAYS["face_triangles"] - 1}, "vertices that there are not"),
    ):
        with pytest.raises(BundleError, match=says):
            load(**given)


def test_what_is_no_archive(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    for data in (b"", b"no archive", b"PK\x03\x04"):
        (tmp_path / "table.npz").write_bytes(data)
        write_manifest(tmp_path, PARTS, version="1")
        with pytest.raises(BundleError, match="holds no arrays"):
            FaceModel.of(Bundle.open(tmp_path).arrays("table"))
