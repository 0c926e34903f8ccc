"""A disk that is full while something is saved: one line says so, and what was there is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from parlante import ParlanteError
from parlante.errors import OutputError
from parlante.media.captions import Caption, write_captions
from parlante.media.folder import FolderWriter
from tests.support.full_disk import largest_file
from tests.support.portrait_samples import avatar, demo_speech

OLD = b"what was there before"
TARGETS = [
    ("out.mp4", {}),
    ("out.mov", {}),
    ("out.mov", {"pixels": "rgba"}),
    ("out.mkv", {}),
    ("out.webm", {}),
    ("out.webm", {"pixels": "rgba"}),
]
SPEECH = demo_speech()[:6_400]


def says_so(error: ParlanteError) -> None:
    assert "\n" not in str(error) and "space" in str(error), str(error)


@pytest.mark.parametrize(("name", "options"), TARGETS)
def test_a_video_that_does_not_fit(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """At its beginning, among its frames, and where the manifest is signed into it."""
    speech = avatar().speak(SPEECH, sample_rate=16_000, size=128, steps=1, seed=1, **options)
    path = tmp_path / name
    size = speech.save(path).stat().st_size
    path.write_bytes(OLD)
    for part in (0.0, 0.5, 0.999):
        with largest_file(int(size * part)), pytest.raises(OutputError) as caught:
            speech.save(path)
        says_so(caught.value)
        assert path.read_bytes() == OLD
        assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("size", [0, 30, 2_000, 90_000])
def test_pictures_that_do_not_fit(tmp_path: Path, size: int) -> None:
    """The header of the sound, a picture, the end of the sound."""
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    with (
        largest_file(size),
        pytest.raises(OutputError) as caught,
        FolderWriter(tmp_path / "shot" / "%d.png", width=128, height=128) as writer,
    ):
        for _ in range(8):
            writer.write(picture, np.zeros(6400, np.int16))
    says_so(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_face_and_captions_that_do_not_fit(tmp_path: Path) -> None:
    face, said = tmp_path / "face.npz", tmp_path / "said.srt"
    for path in (face, said):
        path.write_bytes(OLD)
    lines = [Caption(k, k + 1, "what is said here") for k in range(100)]
    for save in (lambda: avatar().save(face), lambda: write_captions(said, lines)):
        with largest_file(1_000), pytest.raises(OutputError) as caught:
            save()
        says_so(caught.value)
    assert face.read_bytes() == said.read_bytes() == OLD
    assert {entry.name for entry in tmp_path.iterdir()} == {face.name, said.name}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size; skips where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-m", "parlante.app.cli", *map(str, arguments)]
    return subprocess.run(given, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "shot/%d.png"])
def test_a_disk_that_is_full(tmp_path: Path, name: str) -> None:
    """A real one: the command says so in a line, and gives back all that it took."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        done = command("speak", "--demo", "-o", disk / name, "--size", "256", "--steps", "1")
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("parlante: OutputError: ") and "space" in last
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr
        assert not list(disk.iterdir())


def test_a_batch_goes_on_where_there_is_room(tmp_path: Path) -> None:
    """The long one does not fit, and leaves the room that the short one needs."""
    soundfile.write(tmp_path / "long.wav", demo_speech(), 16_000)
    soundfile.write(tmp_path / "short.wav", demo_speech()[:4_000], 16_000)
    avatar().save(tmp_path / "face.npz")
    rows = "photo,audio,output\nface.npz,long.wav,long.mp4\nface.npz,short.wav,short.mp4\n"
    (tmp_path / "work.csv").write_text(rows)
    with small_disk(tmp_path / "disk", "80k") as disk:
        quick = ["--size", "128", "--steps", "1", "--workers", "1"]
        done = command("batch", tmp_path / "work.csv", "-o", disk, *quick)
        long, short = (json.loads(line) for line in done.stdout.splitlines())
        assert long["state"] == "failed" and "space" in long["error"]
        assert short["state"] == "made" and done.returncode == 1
        assert {path.name for path in disk.iterdir()} == {"short.mp4", "batch.jsonl"}
