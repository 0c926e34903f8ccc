"""A process that is killed while it saves: what was there stays, and the next save tidies up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parlante.media.folder import FolderWriter
from parlante.media.writer import VideoWriter

OLD = b"what was there before"
SAVING = """
import sys, time
import numpy as np
from parlante.media.folder import FolderWriter
from parlante.media.writer import VideoWriter
writer = (FolderWriter if "%" in sys.argv[1] else VideoWriter)(sys.argv[1], width=64, height=64)
writer.write(np.zeros((64, 64, 3), np.uint8), np.zeros(640, np.int16))
print("begun", flush=True)
time.sleep(60)
"""
SILENCE = np.zeros(640, np.int16)
PICTURE = np.zeros((64, 64, 3), np.uint8)


def begun(target: Path) -> subprocess.Popen[bytes]:
    """A process that has begun to save, and never ends by itself."""
    process = subprocess.Popen([sys.executable, "-c", SAVING, str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    return process


def killed(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


def hidden(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.name.startswith(".parlante-")}


def save(target: Path) -> None:
    kind = FolderWriter if "%" in target.name else VideoWriter
    with kind(target, width=64, height=64) as writer:
        writer.write(PICTURE, SILENCE)


def test_a_killed_save_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    target, other = tmp_path / "out.mp4", tmp_path / "other.mp4"
    target.write_bytes(OLD)
    for path in (target, target, other):
        killed(begun(path))
    assert target.read_bytes() == OLD and not other.exists()
    assert len(hidden(tmp_path)) == 2  # the second tidied up after the first
    save(target)
    assert target.stat().st_size > 1_000
    assert len(hidden(tmp_path)) == 1  # the other's
    save(other)
    assert {entry.name for entry in tmp_path.iterdir()} == {"out.mp4", "other.mp4"}


def test_so_does_a_folder_of_pictures(tmp_path: Path) -> None:
    target = tmp_path / "shot" / "%d.png"
    killed(begun(target))
    assert len(hidden(tmp_path)) == 1
    save(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["shot"]


@pytest.mark.parametrize("name", ["out.mp4", "shot/%d.png"])
def test_one_who_still_saves_is_left_alone(tmp_path: Path, name: str) -> None:
    """Two save the same at once: whoever is ready last has the name, and nobody's work is lost."""
    process = begun(tmp_path / name)
    try:
        during = hidden(tmp_path)
        assert len(during) == 1
        save(tmp_path / name)
        assert hidden(tmp_path) == during
    finally:
        killed(process)
