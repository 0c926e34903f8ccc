"""The container and the service of `parlante serve`: linted, and what they run is understood."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parlante.app.cli import RUNS
from parlante.app.parsers import parser_of

SERVE = Path(__file__).resolve().parents[2] / "examples" / "serve"
DOCKERFILE, UNIT = SERVE / "Dockerfile", SERVE / "parlante.service"


def linted(*command: str | Path) -> None:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"no {command[0]} on this machine")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_container_is_linted() -> None:
    linted("hadolint", DOCKERFILE)


def test_the_service_is_verified(tmp_path: Path) -> None:
    # Where it is not installed, the program is another one that is.
    own = tmp_path / UNIT.name
    own.write_text(UNIT.read_text().replace("/opt/parlante/bin/parlante", sys.executable))
    linted("systemd-analyze", "verify", own)


def test_both_run_commands_that_there_are() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE.read_text(), re.M)
    (start,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.M)
    for program, *arguments in (json.loads(entry), shlex.split(start)):
        assert Path(program).name == "parlante"
        parsed = parser_of(RUNS).parse_args(arguments)
        assert parsed.host == "0.0.0.0" and parsed.port == 8080
    assert "EXPOSE 8080" in DOCKERFILE.read_text()


def test_the_container_knows_that_it_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its health check asks for what `parlante.app.serve` answers."""
    (check,) = re.findall(r"^HEALTHCHECK CMD (.*)$", DOCKERFILE.read_text(), re.M)
    program, flag, code = json.loads(check)
    assert (program, flag) == ("python", "-c")
    asked: list[str] = []
    monkeypatch.setattr("urllib.request.urlopen", asked.append)
    exec(code)
    assert asked == ["http://127.0.0.1:8080/healthz"]
