"""Every block of code in README.md and docs/ runs, beside a photo and some speech.

A block that cannot run in a test carries ``<!-- not run: reason -->`` on the line before, and is
one of `NOT_RUN`. A block that does not end fails by its time.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from parlante.media.photo import load_image
from parlante.media.writer import VideoWriter
from parlante.runtime.assets import asset
from parlante.speech.audio import decode_audio

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SECONDS = 180  # for one block, on a busy machine
FENCE = re.compile(
    r"(?m)^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?```(?P<language>\w*)[^\n]*\n"
    r"(?P<code>.*?)^```$",
    re.DOTALL,
)

# What no test machine can do. (page, first line of the block): reason.
NOT_RUN = {
    ("README.md", "pip install . && parlante speak --demo -o demo.mp4"): "installs",
    ("README.md", 'pip install -c constraints.txt ".[train,test]" && pytest -q'): "installs",
    ("docs/quickstart.md", "python3 -m venv .venv && . .venv/bin/activate"): "installs",
    (
        "docs/how-to/training.md",
        'pip install -c constraints.txt ".[train,test,teacher]"',
    ): "installs",
    (
        "docs/how-to/training.md",
        "python -m models.data.prepare --data DIR          "
        "# landmarks, fits, sound; prints what was kept, and why",
    ): "trains",
    (
        "docs/how-to/training.md",
        "torchrun --nproc-per-node 4 -m models.train.renderer --preset gpu",
    ): "needs a GPU",
    (
        "docs/how-to/news-rig.md",
        "tail -c +45 speech.wav | parlante live face.jpg -o rtmp://127.0.0.1/live/news "
        "--background green",
    ): "needs a server",
    (
        "docs/how-to/agents.md",
        "python examples/livekit_agent.py face.jpg speech.wav --url wss://your-server "
        '--token "$TOKEN"',
    ): "needs a server",
    ("docs/how-to/kernels.md", "python benchmarks/gpu_suite.py --out DIR"): "needs a GPU",
    (
        "docs/how-to/kernels.md",
        "python -m benchmarks.kernels --out kernels.md",
    ): "measures for minutes",
    (
        "docs/how-to/kernels.md",
        "python -m benchmarks.kernels --out kernels.md -- -k log_mel",
    ): "measures for minutes",
}

# Stands for `parlante` in the blocks: pictures are small where the block does not say how large,
# and a server is asked for its page, then interrupted as by Ctrl-C.
PARLANTE = """\
import signal, subprocess, sys, urllib.request

arguments = sys.argv[1:]
command = [sys.executable, "-m", "parlante.app.cli", *arguments]
if arguments[0] in ("speak", "live", "serve", "bench"):
    command += [] if "--size" in arguments else ["--size", "128"]
    command += [] if "--steps" in arguments else ["--steps", "1"]
if arguments[0] != "serve":
    sys.exit(subprocess.run(command).returncode)
with subprocess.Popen([*command, "--port", "PORT"], stdout=subprocess.PIPE, text=True) as server:
    address = server.stdout.readline().partition("parlante: ")[2].strip()
    with urllib.request.urlopen(address, timeout=30) as page:
        assert b"<canvas" in page.read()
    server.send_signal(signal.SIGINT)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: page below the repository, line of its fence, language, reason not to run."""

    page: str
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def first(self) -> str:
        return self.code.split("\n", 1)[0]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for path in PAGES:
        text = path.read_text("utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            page = path.relative_to(ROOT).as_posix()
            found.append(Block(page, line, match["language"], match["code"], match["reason"]))
    return found


BLOCKS = blocks()
RUN = [b for b in BLOCKS if b.language in ("python", "sh") and b.reason is None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the blocks find: pictures, speech.wav, examples/, `parlante` and `python` to call."""
    demo = Path(str(asset("demo")))
    work = tmp_path / "work"
    work.mkdir()
    for name in ("face.jpg", "smile.jpg"):
        shutil.copy(demo / "portrait.jpg", work / name)
    photo = load_image(work / "face.jpg").rgb
    with VideoWriter(work / "anchor.mp4", width=photo.shape[1], height=photo.shape[0]) as video:
        for _ in range(4):
            video.write(photo, np.zeros(640, np.int16))
    speech = np.concatenate(list(decode_audio(demo / "speech.flac")))
    soundfile.write(work / "speech.wav", speech[:9600], 16_000, "PCM_16")
    (work / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "programs"
    programs.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    stand_in = tmp_path / "parlante.py"
    stand_in.write_text(PARLANTE.replace("PORT", port))
    for name, script in (("parlante", f'"{stand_in}" "$@"'), ("python", '"$@"')):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {script}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(programs), os.environ["PATH"])))
    # `python -m benchmarks…` is run from the source's folder.
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return work


def run(block: Block, folder: Path, seconds: float = SECONDS) -> tuple[int, str]:
    """Exit code of a block, and what it printed; pytest's failure where it does not end."""
    if block.language == "python":
        (folder / "block.py").write_text(block.code, "utf-8")
        command = [sys.executable, "block.py"]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.code]
    # A session of its own, so that what the block started ends with it.
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"{block} does not end within {seconds} s")
    return process.returncode, printed


@pytest.mark.parametrize("block", RUN, ids=str)
def test_block_runs(block: Block, folder: Path) -> None:
    for framework in ("livekit", "pipecat", "aiortc"):
        uses = rf"(import|from) {framework}|{framework}_(agent|bot)\.py"
        if re.search(uses, block.code) and importlib.util.find_spec(framework) is None:
            pytest.skip(f"{framework} is not installed")
    code, printed = run(block, folder)
    assert code == 0, f"{block}\n{printed}"
    for name in re.findall(r'(?:-o |save\("|save\(f")([\w.]+\.(?:mp4|npz|md))', block.code):
        assert (folder / name).stat().st_size > 0, f"{block} left no {name}"


@pytest.mark.parametrize(
    ("language", "code"),
    [("python", "while True:\n    pass\n"), ("sh", "sleep 60 | cat\n")],
)
def test_a_block_that_does_not_end_fails(language: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="does not end"):
        run(Block("page", 1, language, code, None), tmp_path, seconds=0.5)


def test_what_is_not_run_is_known() -> None:
    marked = {(b.page, b.first): b.reason for b in BLOCKS if b.reason is not None}
    assert marked == NOT_RUN


def test_blocks_are_found() -> None:
    """Every fence belongs to a block of a known language: none slips through unseen."""
    for path in PAGES:
        text = path.read_text("utf-8")
        of_page = [b for b in BLOCKS if b.page == path.relative_to(ROOT).as_posix()]
        assert len(re.findall(r"(?m)^\s*```", text)) == 2 * len(of_page), path
        assert {b.language for b in of_page} <= {"python", "sh", "text"}, path
    assert sum(b.language == "python" for b in RUN) >= 10
    assert sum(b.language == "sh" for b in RUN) >= 10
