"""Folders of pictures and sound, and what goes to standard output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile

from parlante.errors import OutputError
from parlante.media.folder import FolderWriter, is_numbered

SIDE = 64
rng = np.random.default_rng(3)
PICTURES = rng.integers(256, size=(3, SIDE, SIDE, 4), dtype=np.uint8)
SOUND = rng.integers(-32768, 32768, (3, 640, 2)).astype(np.int16)


def writer(folder: Path, name: str = "shot/%06d.png", **options: bool) -> FolderWriter:
    return FolderWriter(
        folder / name, width=SIDE, height=SIDE, sample_rate=44_100, channels=2, **options
    )


def test_pictures_and_sound_are_bit_for_bit(tmp_path: Path) -> None:
    with writer(tmp_path, transparent=True) as out:
        for picture, sound in zip(PICTURES, SOUND, strict=True):
            out.write(picture, sound)
        assert (out.frames, out.samples) == (3, 1920)
        assert not (tmp_path / "shot").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["shot"]
    names = [f"{i:06d}.png" for i in range(3)]
    assert sorted(entry.name for entry in (tmp_path / "shot").iterdir()) == [*names, "sound.wav"]
    for name, picture in zip(names, PICTURES, strict=True):
        read = cv2.imread(str(tmp_path / "shot" / name), cv2.IMREAD_UNCHANGED)
        assert read is not None
        assert np.array_equal(cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA), picture)
    heard, rate = soundfile.read(tmp_path / "shot" / "sound.wav", dtype="int16")
    assert rate == 44_100 and np.array_equal(heard, SOUND.reshape(-1, 2))


def test_nothing_is_left_of_a_folder_that_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writer(tmp_path, transparent=True) as out:
        out.write(PICTURES[0], SOUND[0])
        raise KeyError
    with pytest.raises(OutputError, match="no frame"):
        writer(tmp_path).close()
    opaque = writer(tmp_path)
    with pytest.raises(OutputError, match=r"give uint8 \[64, 64, 3\]"):
        opaque.write(PICTURES[0], SOUND[0])
    with pytest.raises(OutputError, match=r"give int16 \[samples, 2\]"):
        opaque.write(PICTURES[0, ..., :3], SOUND[0, :, 0])
    opaque.abort()
    assert not list(tmp_path.iterdir())


def test_sound_longer_than_a_wav_file_holds(tmp_path: Path) -> None:
    hours = np.broadcast_to(SOUND[:1, 0], (2**30, 2))  # of 4 bytes
    out = writer(tmp_path, transparent=True)
    out.write(PICTURES[0], SOUND[0])
    with pytest.raises(OutputError, match="4 GiB"):
        out.write(PICTURES[1], hours)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "numbered"),
    [
        ("%d.png", True),
        ("a_%06d.PNG", True),
        ("%06d.jpg", False),
        ("shot.png", False),
        ("%d_%d.png", False),
        ("%s.png", False),
        ("100%.png", False),
    ],
)
def test_names_with_one_number(tmp_path: Path, name: str, numbered: bool) -> None:
    assert is_numbered(Path(name)) == numbered
    if not numbered:
        with pytest.raises(OutputError, match=r"shot/%06d\.png"):
            writer(tmp_path, f"shot/{name}")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shot").mkdir()
    with pytest.raises(OutputError, match="is there"):
        writer(tmp_path)
    with pytest.raises(OutputError, match="cannot be made"):
        writer(tmp_path, "missing/shot/%06d.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["shot"]


def test_standard_output_is_matroska(tmp_path: Path) -> None:
    """Read from a pipe by another process, which FFmpeg understands."""
    program = f"""
import numpy as np
from parlante import VideoWriter
with VideoWriter("-", width={SIDE}, height={SIDE}) as out:
    for i in range(5):
        out.write(np.full(({SIDE}, {SIDE}, 3), 40 * i, np.uint8), np.full(640, 1000 * i, np.int16))
"""
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    path = tmp_path / "piped.mkv"
    path.write_bytes(made.stdout)
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        container.seek(0)
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert [round(float(p.mean()) / 40) for p in pictures] == [0, 1, 2, 3, 4]
    assert np.array_equal(sound, np.repeat(np.arange(5) * 1000, 640))
    assert not [entry for entry in tmp_path.iterdir() if entry != path]
