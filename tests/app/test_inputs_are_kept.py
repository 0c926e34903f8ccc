"""No command and no call replaces a file that it reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from parlante import Avatar
from parlante.app import cli
from parlante.errors import OutputError
from parlante.media.photo import load_image
from parlante.media.writer import VideoWriter
from parlante.runtime.assets import demo


def plain(path: Path) -> Path:
    return path


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


def roundabout(path: Path) -> Path:
    (path.parent / "folder").mkdir(exist_ok=True)
    return path.parent / "folder" / ".." / path.name


def symbolic(path: Path) -> Path:
    link = path.with_name("link" + path.suffix)
    link.symlink_to(path)
    return link


def hard(path: Path) -> Path:
    link = path.with_name("hard" + path.suffix)
    link.hardlink_to(path)
    return link


NAMES = (plain, relative, roundabout, symbolic, hard)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests leave the user's cache alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With files of every kind, that are looked at no further; the folder that commands run in."""
    for name in ("me.jpg", "me.mp4", "voice.mp4", "me.npz", "wall.mkv", "voice.wav"):
        (tmp_path / name).write_bytes(f"contents of {name}".encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("command", "output"),
    [
        (["encode", "me.jpg"], "me.jpg"),
        (["encode", "me.jpg", "me.mp4"], "me.mp4"),
        (["encode", "me.npz"], "me.npz"),
        (["speak", "me.jpg", "voice.mp4"], "voice.mp4"),
        (["speak", "me.mp4", "voice.wav"], "me.mp4"),
        (["speak", "me.jpg", "me.mp4", "voice.wav"], "me.mp4"),
        (["speak", "me.jpg", "voice.wav", "--background", "wall.mkv"], "wall.mkv"),
        (["live", "me.mp4"], "me.mp4"),
        (["live", "me.jpg", "--background", "wall.mkv"], "wall.mkv"),
    ],
)
def test_a_command_that_would_replace_what_it_reads(
    command: list[str],
    output: str,
    name: Callable[[Path], Path],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert cli.main([*command, "-o", str(name(folder / output))]) == 1
    assert "OutputError" in (said := capsys.readouterr().err) and "another name" in said
    after = {name: (folder / name).read_bytes() for name in before}
    assert after == before


@pytest.mark.parametrize("target", ["face.jpg", "face", "face.npz.bak", "face.NPZ.png"])
def test_a_face_is_saved_as_npz_only(target: str, tmp_path: Path) -> None:
    (tmp_path / target).write_bytes(b"a photo")
    with demo() as (photo, _):
        avatar = Avatar(photo, cache=False)
        with pytest.raises(OutputError, match=r"\.npz"):
            avatar.save(tmp_path / target)
        assert cli.main(["encode", str(photo), "-o", str(tmp_path / target)]) == 1
    assert (tmp_path / target).read_bytes() == b"a photo"
    assert [path.name for path in tmp_path.iterdir()] == [target]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's photo as a video that says something."""
    path = tmp_path_factory.mktemp("video") / "me.mp4"
    with demo() as (photo, _):
        picture = load_image(photo).rgb
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    sound = np.round(6000 * np.sin(np.arange(640) * 0.3)).astype(np.int16)
    with VideoWriter(path, width=width, height=height) as writer:
        for _ in range(5):
            writer.write(picture[:height, :width], sound)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_video_speaks_into_another_file(
    name: Callable[[Path], Path], video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, voice = tmp_path / "me.mp4", tmp_path / "voice.wav"
    me.write_bytes(video.read_bytes())
    soundfile.write(voice, np.zeros(1600, np.int16), 16_000)
    monkeypatch.chdir(tmp_path)
    avatar = Avatar("me.mp4", cache=False)
    for sound in (voice, me):  # it is the picture, or picture and sound
        target = name(me) if sound is voice else me
        with pytest.raises(OutputError, match="another name"):
            avatar.speak(sound, size=128, steps=1).save(target)
    with demo() as (photo, _), pytest.raises(OutputError, match="another name"):
        Avatar(photo).speak("me.mp4", size=128, steps=1).save(Path("folder") / ".." / "me.mp4")
    assert me.read_bytes() == video.read_bytes()
    made = avatar.speak(voice, size=128, steps=1).save(tmp_path / "other.mp4")
    assert made.stat().st_size > 1000
