"""The house: which room imports which, and how large anything may grow."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python"

# What a room of the package may import, apart from itself, the native ops, and what those may.
ROOMS = {
    "contract": [],
    "errors": [],
    "checks": ["errors"],
    "runtime": ["checks", "contract", "errors"],
    "media": ["checks", "contract", "errors"],
    "face": ["contract", "errors", "runtime"],
    "speech": ["media", "runtime"],
    "portrait": ["face", "media", "speech"],
    "backdrop": ["checks", "media"],
    "options": ["backdrop"],
    "render": ["options", "portrait", "speech"],
    "provenance": ["media"],
    "session": ["provenance", "render", "speech"],
    "speaking": ["session"],
    "avatar": ["speaking"],
    "adapters": ["avatar"],
    "app": ["adapters", "avatar"],
}
# The same for the folders of the repository.
FOLDERS = {
    "parlante": [],
    "models": ["parlante"],
    "export": ["models", "parlante"],
    "benchmarks": ["export", "models", "parlante"],
    "examples": ["parlante"],
    "fuzz": ["parlante"],
}
EXTENSIONS = ("_core", "_cuda")
FILE_LINES = 350
FUNCTION_LINES = 60
PARAMETERS = 8
# What users call may have as many keywords as it has options.
PUBLIC = ("Avatar", "VideoWriter", "StreamWriter", "CameraWriter")


def allowed(table: dict[str, list[str]], name: str) -> set[str]:
    """What ``name`` may import, itself among it."""
    return {name}.union(*(allowed(table, below) for below in table[name]))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def sources(folder: str) -> list[Path]:
    return sorted((PACKAGE if folder == "parlante" else ROOT).glob(f"{folder}/**/*.py"))


@cache
def modules() -> dict[str, Path]:
    """The package's modules by their names."""
    found = {}
    for path in sources("parlante"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, typing: bool) -> Iterator[str]:
    """Dotted names that a file imports anywhere, `module.name` for ``from module import name``;
    without ``typing`` not those that only type checkers follow."""
    left_out: set[int] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typing:
            left_out.update(id(inner) for child in node.body for inner in ast.walk(child))
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module of the package that holds a dotted name; None for other packages' names."""
    while name:
        if name in modules() or name in [f"parlante.{extension}" for extension in EXTENSIONS]:
            return name
        name = name.rpartition(".")[0]
    return None


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below(room: str) -> None:
    wrong = []
    for module, path in modules().items():
        if module != "parlante" and room_of(module) == room:
            for name in imports(path, typing=False):
                below = module_of(name)
                if below not in (None, "parlante") and room_of(below) not in {
                    *allowed(ROOMS, room),
                    *EXTENSIONS,
                }:
                    wrong.append(f"{module} imports {below}")
    assert wrong == []


def test_every_room_is_in_the_table() -> None:
    assert {room_of(m) for m in modules() if m != "parlante"} - {"assets"} == set(ROOMS)


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / "parlante" / room).is_dir()])
def test_rooms_say_what_they_may_import(room: str) -> None:
    text = ast.get_docstring(parsed(PACKAGE / "parlante" / room / "__init__.py")) or ""
    told = re.search(r"^May import (.*?)\.$", text, re.M | re.S)
    assert told is not None, f"parlante/{room}/__init__.py does not say"
    assert re.findall(r"`(\w+)`", told[1]) == ROOMS[room]


def test_no_module_needs_itself() -> None:
    """Imports inside functions count: they only put a cycle off."""
    graph = {
        module: {
            below
            for name in imports(path, typing=False)
            if (below := module_of(name)) in modules() and below != module
        }
        for module, path in modules().items()
    }
    while leaves := [module for module, below in graph.items() if not below]:
        for leaf in leaves:
            del graph[leaf]
        for below in graph.values():
            below.difference_update(leaves)
    assert graph == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_what_lies_below(folder: str) -> None:
    others = {*FOLDERS, "tests"} - allowed(FOLDERS, folder)
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imports(path, typing=True)
        if name.split(".")[0] in others
    ]
    assert wrong == []


def test_the_package_does_not_know_torch() -> None:
    for path in sources("parlante"):
        assert not [name for name in imports(path, typing=True) if name.split(".")[0] == "torch"]
    own = [m for m in modules() if not m.startswith("parlante.adapters.")]
    script = f"import sys\nfor m in {own}: __import__(m)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_public_names_are_where_they_are_looked_for() -> None:
    parlante = importlib.import_module("parlante")
    for name in parlante.__all__:
        assert getattr(parlante, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Avatars'"):
        parlante.Avatars  # noqa: B018


# Sizes


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions of a file with their names, `Class.method` for methods."""

    def inside(node: ast.AST, within: str) -> Iterator[tuple[str, ast.FunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{within}{child.name}"
                if not isinstance(child, ast.ClassDef):
                    yield name, child  # type: ignore[misc]
                yield from inside(child, f"{name}.")
            else:
                yield from inside(child, within)

    yield from inside(parsed(path), "")


def test_files_are_short() -> None:
    lengths = {p: len(p.read_text("utf-8").splitlines()) for p in sources("parlante")}
    assert {p.name: n for p, n in lengths.items() if n > FILE_LINES} == {}


def test_functions_are_short() -> None:
    assert [
        f"{path.name}: {name} has {node.end_lineno - node.lineno + 1} lines"  # type: ignore[operator]
        for path in sources("parlante")
        for name, node in functions(path)
        if node.end_lineno - node.lineno >= FUNCTION_LINES  # type: ignore[operator]
    ] == []


def test_signatures_are_short() -> None:
    def count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        a = node.args
        named = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
        unnamed = [arg for arg in (a.vararg, a.kwarg) if arg is not None]
        return len([name for name in named if name not in ("self", "cls")]) + len(unnamed)

    assert [
        f"{path.name}: {name} has {count(node)} parameters"
        for path in sources("parlante")
        for name, node in functions(path)
        if count(node) > PARAMETERS and name.split(".")[0] not in PUBLIC
    ] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_room_for_odds_and_ends(folder: str) -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "tools"}
    assert [p for p in sources(folder) if {p.stem, p.parent.name} & vague] == []
