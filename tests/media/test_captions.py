"""Caption files, read back by FFmpeg."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from parlante.errors import OutputError
from parlante.media.captions import Caption, write_captions

CAPTIONS = [
    Caption(0.5, 2.0, "Is 1 < 2 & 3 > 2?"),
    Caption(
        3661.0625, 3663.9996, "Ein längerer Satz, der auf zwei Zeilen gehört, weil er so lang ist."
    ),
]


@pytest.mark.parametrize("name", ["a.srt", "a.VTT"])
def test_ffmpeg_reads_them_back(tmp_path: Path, name: str) -> None:
    write_captions(path := tmp_path / name, CAPTIONS)
    with av.open(str(path), format=path.suffix[1:].lower().replace("vtt", "webvtt")) as file:
        packets = [p for p in file.demux(subtitles=0) if p.size]
        times = [float(t * p.time_base) for p in packets for t in (p.pts, p.duration)]
        texts = [bytes(p).decode() for p in packets]
    assert times == pytest.approx([0.5, 1.5, 3661.062, 2.938], abs=0.0011)
    escaped = "Is 1 &lt; 2 &amp; 3 &gt; 2?"
    assert texts[0] == (escaped if path.suffix == ".VTT" else CAPTIONS[0].text)
    lines = texts[1].split("\n")
    assert " ".join(lines) == CAPTIONS[1].text
    assert len(lines) == 2 and max(map(len, lines)) <= 42


def test_other_names(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"name captions \.srt or \.vtt"):
        write_captions(tmp_path / "a.txt", CAPTIONS)
    assert not list(tmp_path.iterdir())
