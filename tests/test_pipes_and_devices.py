"""What is no file may have no end, or never begin: it is refused before anything is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parlante import Avatar, RenderOptions
from parlante.app.serve import serve
from parlante.checks import read_file
from parlante.errors import AudioError, BundleError, ImageError, ParlanteError
from parlante.media.captions import MOST_BYTES, read_transcript
from parlante.provenance import Credentials, verify
from parlante.runtime.bundle import Bundle
from parlante.speech.audio import decode_audio
from tests.support.bundle_samples import write_bundle
from tests.support.portrait_samples import avatar

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no pipes with a path")

TIME_S = 60


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Ends what waits for a pipe."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(TIME_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fed(folder: Path) -> Bundle:
    """A bundle, one of whose files is a pipe."""
    write_bundle(folder)
    (folder / "table.npz").unlink()
    os.mkfifo(folder / "table.npz")
    return Bundle.open(folder)


def manifest(folder: Path) -> None:
    os.mkfifo(folder / "manifest.json")
    Bundle.open(folder)


READERS: list[tuple[Callable[[Path], object], type[ParlanteError]]] = [
    (lambda path: Avatar(path, cache=False), ImageError),
    (lambda path: Avatar(path.rename(path.with_suffix(".npz"))), ImageError),
    (lambda path: Avatar(path.rename(path.with_suffix(".mp4")), cache=False), ImageError),
    (lambda path: RenderOptions(background=str(path)), ImageError),
    (lambda path: list(decode_audio(path)), AudioError),
    (read_transcript, ParlanteError),
    (verify, ParlanteError),
    (lambda path: Credentials.read(path, path), ParlanteError),
    (lambda path: serve(avatar(), certificate=(path, path)), ParlanteError),
    (lambda path: fed(path.parent).arrays("table"), BundleError),
    (lambda path: manifest(path.parent), BundleError),
]


@pytest.mark.parametrize(("read", "error"), READERS)
def test_a_pipe(tmp_path: Path, read: Callable[[Path], object], error: type[ParlanteError]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(error, match="a pipe or a device, no file") as caught:
        read(tmp_path / "pipe")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("read", "error"), READERS[3:9])
def test_a_device(read: Callable[[Path], object], error: type[ParlanteError]) -> None:
    with pytest.raises(error, match="a pipe or a device, no file"):
        read(Path("/dev/zero"))


def test_commands(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for command in (
        ["verify", "pipe"],
        ["encode", "pipe", "-o", "face.npz"],
        ["batch", "pipe", "-o", "videos"],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "parlante.app.cli", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIME_S,
        )
        assert ended.returncode and "a pipe or a device, no file" in ended.stderr, ended.stderr


def test_links_and_folders(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"words")
    (tmp_path / "link").symlink_to("text")
    assert read_file(tmp_path / "link") == b"words"
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)


def test_a_transcript_has_a_length(tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"a" * (MOST_BYTES - 3))
    assert read_transcript(path) == "a" * (MOST_BYTES - 3)
    with path.open("ab") as file:
        file.write(b"a")
    with pytest.raises(ParlanteError, match="longer than 4194304 bytes"):
        read_transcript(path)
