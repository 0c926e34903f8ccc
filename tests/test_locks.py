"""What CI and the container install, by hash: it fits what `pyproject.toml` asks for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
NEEDED = PROJECT["project"]["dependencies"]
SERVE = NEEDED + EXTRAS["serve"]
CI = SERVE + [one for name in ("test", "train", "adapters", "ray", "docs") for one in EXTRAS[name]]
with_scripts = pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="an sdist has no .ci")
# What they are made for.
PYTHONS = ("3.11.9", "3.12.4")
MACHINES = ("x86_64", "aarch64")


def requirements(*names: str) -> list[Requirement]:
    """Lines of locks, without their hashes."""
    texts = [(LOCKS / f"{name}.txt").read_text("utf-8") for name in names]
    lines = "\n".join(texts).replace("\\\n", " ").splitlines()
    return [Requirement(line.partition("--hash")[0]) for line in lines if line[:1].isalnum()]


def environment(python: str, machine: str) -> dict[str, str]:
    return {
        **{key: str(value) for key, value in default_environment().items()},
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "extra": "",
    }


def applies(one: Requirement, where: dict[str, str]) -> bool:
    return one.marker is None or one.marker.evaluate(where)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["serve"], SERVE),
        (["ci", "torch-cpu"], CI),
        (["ci", "torch-cuda"], CI),
        (["build"], PROJECT["build-system"]["requires"]),
    ],
)
def test_locks_hold_all_that_is_asked_for(
    names: list[str], asked: list[str], machine: str, python: str
) -> None:
    where = environment(python, machine)
    held: dict[str, Version] = {}
    for one in requirements(*names):
        if applies(one, where):
            (pin,) = one.specifier
            name = canonicalize_name(one.name)
            assert pin.operator == "==" and held.get(name) in (None, Version(pin.version)), one
            held[name] = Version(pin.version)
    wanted = [Requirement(one) for one in asked]
    wrong = [
        f"{one} is asked for, {held.get(canonicalize_name(one.name))} locked; run .ci/lock"
        for one in wanted
        if applies(one, where)
        and not (
            (version := held.get(canonicalize_name(one.name)))
            and one.specifier.contains(version, prereleases=True)
        )
    ]
    assert wrong == []


def test_torch_is_the_one_of_the_constraints() -> None:
    (constraint,) = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line[:1].isalnum()
    ]
    for lock in ("torch-cpu", "torch-cuda"):
        assert [one.specifier for one in requirements(lock) if one.name == constraint.name] == [
            constraint.specifier
        ]
    assert constraint.name not in {one.name for one in requirements("ci")}


@pytest.mark.parametrize("lock", sorted(path.name for path in LOCKS.glob("*.txt")))
def test_locks_name_hashes_and_no_place(lock: str) -> None:
    """Where packages come from is the business of whoever installs them."""
    text = (LOCKS / lock).read_text("utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)
    if lock != "without-cuda.txt":
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line[:1].isalnum()]
        assert lines and all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", line) for line in lines)


@with_scripts
def test_only_locked_packages_are_installed() -> None:
    """By CI and by the container: each `pip install` checks hashes, or takes what lies here."""
    for path in (ROOT / ".ci" / "run", ROOT / "examples" / "serve" / "Dockerfile"):
        commands = re.findall(r"^.*pip (?:install|wheel).*$", _joined(path), re.M)
        assert commands
        for command in commands:
            assert "--no-deps" in command
            own = re.search(r"( \.$| /source$| /wheels/\*\.whl$)", command.rstrip(' )"'))
            assert own or "--require-hashes" in command, command
            build = own and "/wheels/" not in command
            assert not build or "--no-build-isolation" in command, command


def _joined(path: Path) -> str:
    return path.read_text("utf-8").replace("\\\n", " ")


@with_scripts
def test_the_scripts_of_ci_are_linted() -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    for name in ("run", "lock", "wheels", "wheel-tests"):
        subprocess.run(["bash", "-n", ROOT / ".ci" / name], check=True)
