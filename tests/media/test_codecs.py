"""HEVC, AV1 and ten bits: what other decoders make of the files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.errors import OutputError
from parlante.media.codecs import TEN_BITS
from parlante.media.writer import VideoWriter, open_writer

FRAMES, FPS, RATE = 30, Fraction(30000, 1001), 48_000
WAYS = [
    (".mp4", "h264", 10),
    (".mp4", "hevc", 8),
    (".mp4", "hevc", 10),
    (".mp4", "av1", 8),
    (".mp4", "av1", 10),
    (".mov", "hevc", 10),
    (".mkv", "hevc", 8),
    (".mkv", "av1", 10),
    (".webm", "av1", 10),
    (".mkv", "rawvideo", 8),
]


def pictures() -> list[NDArray[np.uint8]]:
    """A slope of colours over which a square walks."""
    y, x = np.mgrid[:128, :192]
    slope = np.dstack([40 + x, 60 + y, 200 - x / 2]).astype(np.uint8)
    out = []
    for k in range(FRAMES):
        image = slope.copy()
        image[40:72, 4 * k : 4 * k + 32] = (230, 210, 40)
        out.append(image)
    return out


@pytest.mark.parametrize(("suffix", "codec", "bits"), WAYS)
def test_what_was_written_is_read(tmp_path: Path, suffix: str, codec: str, bits: int) -> None:
    path, given = tmp_path / f"out{suffix}", pictures()
    ends = [int(RATE * k / FPS) for k in range(FRAMES + 1)]
    tone = (9000 * np.sin(np.arange(ends[-1]) / 9)).astype(np.int16)
    with VideoWriter(
        path,
        width=192,
        height=128,
        fps=FPS,
        sample_rate=RATE,
        codec="raw" if codec == "rawvideo" else codec,
        bits=bits,
    ) as writer:
        for k, image in enumerate(given):
            writer.write(image, tone[ends[k] : ends[k + 1]])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == codec
        assert stream.codec_context.pix_fmt == ("yuv420p10le" if bits == 10 else "yuv420p")
        if codec == "hevc" and suffix != ".mkv":
            assert stream.codec_context.codec_tag == "hvc1"  # as Apple wants it
        shown = list(container.decode(stream))
    assert len(shown) == FRAMES
    for k, frame in enumerate(shown):
        # Matroska's clock ticks every millisecond.
        assert abs(Fraction(frame.pts) * frame.time_base - k / FPS) <= Fraction(1, 1000)
        made = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
        assert cv2.PSNR(made, given[k]) > 32  # half of the colours' rows and columns
    with av.open(str(path)) as container:
        heard = sum(block.samples for block in container.decode(audio=0))
    assert 0 <= heard - len(tone) < 2000


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("out.mov", {"codec": "av1"}, "mov holds h264 or hevc"),
        ("out.webm", {"codec": "h264"}, "webm holds vp9 or av1"),
        ("out.mp4", {"codec": "divx"}, "holds h264 or hevc or av1"),
        ("out.mov", {"codec": "h264", "transparent": True}, "transparent mov holds prores"),
        ("out.webm", {"bits": 10}, "10 with h264, hevc, av1"),
        ("out.mp4", {"bits": 12}, "bits is 12"),
    ],
)
def test_what_a_container_does_not_hold(
    tmp_path: Path, name: str, options: dict[str, str | int], says: str
) -> None:
    with pytest.raises(OutputError, match=says):
        VideoWriter(tmp_path / name, width=64, height=64, sample_rate=RATE, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.mkv", "-"])
def test_transparent_pictures_without_a_loss(
    tmp_path: Path, name: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    given = [np.dstack([image, image[..., 0]]) for image in pictures()[:3]]
    sound = np.arange(1920, dtype=np.int16)
    path = tmp_path / name if name != "-" else Path(name)
    with open_writer(
        path,
        width=192,
        height=128,
        fps=25,
        sample_rate=16_000,
        transparent=True,
        codec=None,
        bits=8,
    ) as out:
        for k, image in enumerate(given):
            out.write(image, sound[640 * k : 640 * (k + 1)])
    if name == "-":
        path = tmp_path / "caught.mkv"
        path.write_bytes(capfdbinary.readouterr().out)
    with av.open(str(path)) as container:
        shown = list(container.decode(video=0))
    assert len(shown) == 3
    for frame, image in zip(shown, given, strict=True):
        assert np.array_equal(frame.to_ndarray(format="rgba"), image)
    with av.open(str(path)) as container:
        heard = np.concatenate([b.to_ndarray().ravel() for b in container.decode(audio=0)])
    assert np.array_equal(heard, sound)


def test_pictures_one_by_one_have_no_codec(tmp_path: Path) -> None:
    for codec, bits in (("hevc", 8), (None, 10)):
        with pytest.raises(OutputError, match="leave codec, bits and timecode out"):
            open_writer(
                tmp_path / "shot" / "%d.png", fps=25, codec=codec, bits=bits, width=64, height=64
            )
    assert set(TEN_BITS) == {codec for _, codec, bits in WAYS if bits == 10}
