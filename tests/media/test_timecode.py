"""Timecode of files, read back by FFmpeg."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from parlante.errors import OutputError
from parlante.media.timecode import check_timecode
from parlante.media.writer import VideoWriter, open_writer

NTSC = Fraction(30_000, 1001)


def written(path: Path, fps: Fraction | int, timecode: str | None) -> None:
    with VideoWriter(path, width=64, height=48, fps=fps, timecode=timecode) as writer:
        for k in range(50):
            end, begin = (int(n * 16_000 / fps) for n in (k + 1, k))
            writer.write(np.full((48, 64, 3), 5 * k, np.uint8), np.zeros(end - begin, np.int16))


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("fps", "timecode"),
    [(25, "10:00:00:00"), (50, "23:59:59:49"), (NTSC, "01:09:59;28"), (NTSC, "00:01:00:01")],
)
def test_ffmpeg_reads_it_back(
    tmp_path: Path, suffix: str, fps: Fraction | int, timecode: str
) -> None:
    plain, coded = tmp_path / f"plain{suffix}", tmp_path / f"coded{suffix}"
    written(plain, fps, None)
    written(coded, fps, timecode)
    with av.open(str(plain)) as without, av.open(str(coded)) as file:
        assert [s.metadata["timecode"] for s in file.streams if s.type == "data"] == [timecode]
        assert not [s for s in without.streams if s.type == "data"]
        # Picture and sound are where they are without it.
        for kind in ("video", "audio"):
            one, other = (f.streams.get({kind: 0})[0] for f in (without, file))
            assert (one.start_time, one.duration) == (other.start_time, other.duration)


@pytest.mark.parametrize(
    ("fps", "timecode"),
    [
        (25, "10:00:00:25"),
        (25, "24:00:00:00"),
        (25, "10:60:00:00"),
        (25, "10:00:60:00"),
        (25, "1:00:00:00"),
        (25, "10:00:00"),
        (25, "10:00:00;00"),
        (25, "١٠:00:00:00"),
        (NTSC, "10:01:00;01"),
        (NTSC, "10:00:00:30"),
        (Fraction(60_000, 1001), "10:01:00;03"),
        (25, ""),
    ],
)
def test_what_is_no_timecode(fps: Fraction | int, timecode: str) -> None:
    with pytest.raises(OutputError, match="timecode is "):
        check_timecode(timecode, fps, "mov")


def test_numbers_that_are_not_dropped() -> None:
    for timecode in ("10:10:00;00", "10:01:01;00", "10:01:00;02"):
        check_timecode(timecode, NTSC, "mp4")


def test_containers_without_a_place_for_it(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.webm"):
        with pytest.raises(OutputError, match=r"no place for timecode; name a \.mp4 or \.mov"):
            VideoWriter(tmp_path / name, width=64, height=48, timecode="10:00:00:00")
    with pytest.raises(OutputError, match="leave codec, bits and timecode out"):
        open_writer(
            tmp_path / "%04d.png",
            width=64,
            height=48,
            fps=25,
            codec=None,
            bits=8,
            timecode="10:00:00:00",
        )
    assert not list(tmp_path.iterdir())
