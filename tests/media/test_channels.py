"""Sound of many channels, against soundfile and the ffmpeg program; damaged files harm nobody."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from fuzz.sound import CODINGS, LAYOUTS, RATE, corpus, run, signal, write, write_listed
from parlante.media.sound import SoundFile
from parlante.speech.audio import decode_audio

# Codecs that change the signal; ffmpeg's decoders of another version differ by rounding only.
LOSSLESS = {"flac", "alac", "wavpack", "tta", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s32le"}
LOSSLESS |= {"pcm_s64le", "pcm_f32le", "pcm_f64le", "pcm_dvd"}
# Nine channels without names, by version 5; sixteen, which every version writes wrong.
UNKNOWN_TO_FFMPEG = {"9.wv", "9.mkv", "9.tta", "16.wv"}
SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}


def read(path: Path) -> NDArray[np.float64]:
    """What the SDK reads: float64 [n, channels], full scale 1."""
    blocks = [samples for _, samples in SoundFile(path).blocks()]
    kind = blocks[0].dtype.str[1:]
    joined = np.concatenate(blocks).astype(np.float64)
    return (joined - (128 if kind == "u1" else 0)) / SCALE.get(kind, 1.0)


def written(folder: Path, coding: tuple[str, str, str]) -> Iterator[Path]:
    """A file of each layout that the codec takes."""
    suffix, container, codec = coding
    made = 0
    for layout in LAYOUTS:
        channels = av.AudioLayout(layout).nb_channels
        path = folder / f"{channels}{suffix}"
        with contextlib.suppress(ValueError, av.FFmpegError):
            write(path, signal(channels, 0.3), layout, container, codec)
            made += 1
            yield path
    assert made


@pytest.mark.parametrize("coding", CODINGS, ids="-".join)
def test_every_channel_is_what_ffmpeg_says(coding: tuple[str, str, str], tmp_path: Path) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("no ffmpeg program on this machine")
    for path in written(tmp_path, coding):
        command = [program, "-v", "error", "-i", str(path), "-map", "a:0", "-f", "f64le", "-"]
        said = subprocess.run(command, capture_output=True, check=False)
        if said.returncode:
            assert path.name in UNKNOWN_TO_FFMPEG, said.stderr
            continue
        expected = np.frombuffer(said.stdout, np.float64).reshape(-1, int(path.stem))
        got = read(path)
        # Some versions of the program leave a codec's delay or the padding at the end on.
        surplus = len(expected) - len(got)
        assert surplus == 0 if coding[2] in LOSSLESS else 0 <= surplus < 2048
        error = min(np.abs(got - part).max() for part in (expected[surplus:], expected[: len(got)]))
        assert error < (1e-9 if coding[2] in LOSSLESS else 2e-4), path.name


@pytest.mark.parametrize(
    "coding",
    [one for one in CODINGS if one[0] in (".wav", ".w64", ".aiff", ".au", ".caf", ".flac")],
    ids="-".join,
)
def test_every_channel_is_what_soundfile_reads(
    coding: tuple[str, str, str], tmp_path: Path
) -> None:
    if coding[2] == "pcm_s64le":
        pytest.skip("libsndfile knows no 64-bit integers")
    for path in written(tmp_path, coding):
        expected, _ = soundfile.read(path, always_2d=True)
        got = read(path)
        assert got.shape[1] == expected.shape[1]
        assert len(expected) <= len(got) < len(expected) + 2100  # a block of ADPCM is padded
        assert np.array_equal(got[: len(expected)], expected), path.name


def test_eight_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "many.flac"
    sound = signal(8, 0.5)
    soundfile.write(path, sound, 16_000)
    heard = np.concatenate(list(decode_audio(path)))
    assert np.array_equal(heard, (sound.astype(np.float64).mean(1) / 32768).astype(np.float32))


def test_channels_in_an_order_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "listed.mov"
    sound = signal(3, 0.3)
    write_listed(path, sound)
    with av.open(str(path)) as container:  # what is tested is what it claims to be
        layout = container.streams.audio[0].codec_context.layout
        assert layout.name == "3 channels (FC+FL+FR)"
        container.streams.audio[0].codec_context.layout = "3 channels"
    for _ in range(3):
        assert np.array_equal(read(path) * 32768, sound)


@pytest.mark.parametrize("seconds", [0.02, 1.0])
def test_one_and_two_channels_keep_their_bits(seconds: float, tmp_path: Path) -> None:
    for channels in (1, 2):
        sound = signal(channels, seconds)
        for suffix in (".wav", ".flac"):
            path = tmp_path / f"sound{channels}{suffix}"
            soundfile.write(path, sound, RATE)
            assert np.array_equal(read(path) * 32768, sound)


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    """A short run of ``python -m fuzz.sound``: every whole file damaged once, and some twice."""
    files = corpus(tmp_path)
    outcome = run(tmp_path, 7, range(len(files) + 40))
    assert outcome.found == []
    assert set(outcome.counts) == {"read", "refused"}
    assert outcome.counts.total() == len(files) + 40 and len(files) > 150
