"""The stubs of the native modules say what the modules have."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import parlante

MODULES = pytest.mark.parametrize("module", ["parlante._core", "parlante._cuda"])
# The metaclass of pybind11's classes has no place in a stub, nor what it keeps in local ones; their
# methods are compared.
ALLOWED = r"parlante\._\w+\.(LogMel|Resampler|Stream)(\.__pybind11_module_local_\w+)?"


def built(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip("parlante was built without CUDA")


@MODULES
def test_names_are_those_of_the_module(module: str, tmp_path: Path) -> None:
    built(module)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{ALLOWED}\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", module),
            *("--allowlist", str(allowed), "--ignore-unused-allowlist"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def functions(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods of a stub, but for those of its protocols."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield f"{within}{node.name}", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, f"{node.name}.")


def parameters(function: ast.FunctionDef) -> list[tuple[str, str, str]]:
    """Name, kind and default of each parameter."""
    a = function.args
    places = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(places) - len(a.defaults)) + a.defaults
    named = [(arg.arg, "by place", d) for arg, d in zip(places, defaults, strict=True)]
    named += [(arg.arg, "by name", d) for arg, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return [
        (name, kind, "" if default is None else ast.unparse(default))
        for name, kind, default in named
    ]


@MODULES
def test_parameters_are_those_of_the_module(module: str) -> None:
    """By the signature that pybind11 writes into each docstring, which stubtest does not read."""
    built(module)
    stub = Path(parlante.__file__).parent / f"{module.rpartition('.')[2]}.pyi"
    loaded = importlib.import_module(module)
    seen = 0
    for name, stated in functions(ast.parse(stub.read_text()).body):
        native: Any = loaded
        for part in name.split("."):
            native = getattr(native, part)
        signature = native.__doc__.splitlines()[0]
        (made,) = ast.parse(f"def {signature}: ...").body
        assert isinstance(made, ast.FunctionDef)
        assert parameters(made) == parameters(stated), name
        seen += 1
    assert seen >= 5
