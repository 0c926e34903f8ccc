"""Files that are replaced, rewritten or cut short while they are read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlante import Avatar
from parlante.errors import AudioError, ImageError
from parlante.media.video import read_video
from parlante.media.writer import VideoWriter
from parlante.speech.audio import decode_audio
from tests.support.media_samples import chirp, write_audio
from tests.support.portrait_samples import PHOTO, avatar

Change = Callable[[Path, Path], None]


def replaced(path: Path, other: Path) -> None:
    other.replace(path)


def rewritten(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def cut(path: Path, other: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path, other: Path) -> None:
    os.truncate(path, 0)


def removed(path: Path, other: Path) -> None:
    path.unlink()


CHANGES = [replaced, rewritten, cut, emptied, removed]


def sound(path: Path, seconds: float, top: float) -> Path:
    """Longer than what a demuxer reads ahead."""
    codec = {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".m4a": "aac", ".flac": "flac"}[path.suffix]
    container = {".m4a": "ipod"}.get(path.suffix, path.suffix[1:])
    mono = chirp(seconds, 48_000, top_hz=top)
    write_audio(path, mono, 48_000, codec=codec, container=container)
    return path


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a", ".flac"])
def test_sound_that_changes(tmp_path: Path, suffix: str, change: Change) -> None:
    """It is an error, or what was there at first to its last sample: never a mixture."""
    path = sound(tmp_path / f"one{suffix}", 8, 1_500)
    before = np.concatenate(list(decode_audio(path)))
    other = sound(tmp_path / f"other{suffix}", 6, 5_000)
    chunks = decode_audio(path)
    heard = [next(chunks)]
    change(path, other)
    try:
        heard += chunks
    except AudioError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert np.array_equal(np.concatenate(heard), before)


@pytest.mark.parametrize("change", CHANGES)
def test_a_video_that_changes(tmp_path: Path, change: Change) -> None:
    def video(name: str, seed: int, frames: int) -> Path:
        noise = np.random.default_rng(seed)
        with VideoWriter(tmp_path / name, width=128, height=128, crf=10) as writer:
            for _ in range(frames):
                picture = noise.integers(0, 255, (128, 128, 3), np.uint8)
                writer.write(picture, np.zeros(640, np.int16))
        return tmp_path / name

    path = video("one.mp4", 0, 40)
    before = list(read_video(path))
    other = video("other.mp4", 1, 30)
    frames = read_video(path)
    seen = [next(frames)]
    change(path, other)
    try:
        seen += frames
    except ImageError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert len(seen) == len(before)
        assert all(np.array_equal(a, b) for a, b in zip(seen, before, strict=True))


@pytest.mark.parametrize("change", CHANGES)
def test_sound_that_changes_while_it_is_spoken(tmp_path: Path, change: Change) -> None:
    """Lips and sound are read each for themselves: a video of both is of one file, or none."""
    path, other = sound(tmp_path / "one.wav", 4, 900), sound(tmp_path / "other.wav", 4, 3_000)
    speech = avatar().speak(path, size=128, steps=1, marks="none", seed=1)

    def progress(written: int) -> None:
        if written == 5:
            change(path, other)

    with pytest.raises(AudioError) as caught:
        speech.save(tmp_path / "out.mp4", progress=progress)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out*")) and not list(tmp_path.glob(".parlante*"))


@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_photos_and_faces_cut_short(tmp_path: Path, part: float) -> None:
    """As one finds them that another program is still writing."""
    photo, face = tmp_path / "face.jpg", tmp_path / "face.npz"
    shutil.copy(PHOTO, photo)
    avatar().save(face)
    for path in (photo, face):
        os.truncate(path, int(path.stat().st_size * part))
        with pytest.raises(ImageError) as caught:
            Avatar(path, cache=False)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_face_replaced_under_an_avatar(tmp_path: Path) -> None:
    """An avatar has read all that it draws from."""
    face = tmp_path / "face.npz"
    avatar().save(face)
    loaded = Avatar(face)

    def frames() -> Iterator[Any]:
        silence = np.zeros(3_200, np.int16)
        return (f.image for f in loaded.speak(silence, sample_rate=16_000, size=128, seed=1))

    before = list(frames())
    face.write_bytes(b"something else")
    assert all(np.array_equal(a, b) for a, b in zip(before, frames(), strict=True))
