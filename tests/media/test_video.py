"""Upright frames from clips of any kind."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from parlante.errors import ImageError
from parlante.media.video import read_video
from parlante.media.writer import VideoWriter


@pytest.mark.parametrize(
    ("degrees", "matrix"),
    [
        (0, (1, 0, 0, 1)),
        (90, (0, 1, -1, 0)),  # clockwise, as phones held upright write it
        (180, (-1, 0, 0, -1)),
        (270, (0, -1, 1, 0)),
    ],
)
def test_rotation_is_applied(tmp_path: Path, degrees: int, matrix: tuple[int, ...]) -> None:
    path = tmp_path / "turned.mp4"
    image = np.full((128, 256, 3), 90, np.uint8)
    image[:40, :60] = 220  # a bright top left corner
    with VideoWriter(path, width=256, height=128) as writer:
        writer.write(image, np.zeros(640, np.int16))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of other fields
    words = (matrix[0], matrix[1], 0, matrix[2], matrix[3], 0, 0, 0)
    for i, word in enumerate(words):
        data[at + 4 * i : at + 4 * i + 4] = (word << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    (frame,) = read_video(path)
    assert frame.flags.c_contiguous
    expected = np.rot90(image, k=-degrees // 90)
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 4


def one_frame(path: Path, width: int, height: int, aspect: Fraction = Fraction(1)) -> Path:
    """A video of one grey frame; aspect: of its pixels."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        grey = np.full((height, width, 3), 77, np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def test_non_square_pixels_are_stretched(tmp_path: Path) -> None:
    (frame,) = read_video(one_frame(tmp_path / "dv.mp4", 256, 256, Fraction(3, 2)))
    assert frame.shape == (256, 384, 3)


def test_frames_larger_than_hd_are_scaled_down(tmp_path: Path) -> None:
    """Many are held at a time: 48 of 8192 × 4096 would be 4.8 GB."""
    (frame,) = read_video(one_frame(tmp_path / "8k.mp4", 8192, 4096))
    assert frame.shape == (1018, 2036, 3)
    (frame,) = read_video(one_frame(tmp_path / "wide.mp4", 512, 512, Fraction(20)))
    assert frame.shape == (322, 6440, 3)
    (frame,) = read_video(one_frame(tmp_path / "hd.mp4", 1080, 1920))
    assert frame.shape == (1920, 1080, 3)


@pytest.mark.parametrize("aspect", [Fraction(300), Fraction(1, 300)])
def test_pixels_that_would_make_an_absurd_picture_are_refused(
    tmp_path: Path, aspect: Fraction
) -> None:
    path = one_frame(tmp_path / "absurd.mp4", 512, 512, aspect)
    with pytest.raises(ImageError, match="pixels; "):
        read_video(path)


def test_bad_clips(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        read_video(tmp_path / "nothing.mp4")
    path = tmp_path / "out.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, width=128, height=128) as writer:
        for _ in range(40):
            writer.write(rng.integers(0, 255, (128, 128, 3), np.uint8), np.zeros(640, np.int16))
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ImageError, match="damaged"):
            list(read_video(path))
    hole = bytearray(whole)
    hole[len(whole) // 2 : len(whole) * 6 // 10] = bytes(len(whole) * 6 // 10 - len(whole) // 2)
    path.write_bytes(hole)
    with pytest.raises(ImageError, match="damaged"):
        list(read_video(path))
    path.write_bytes(whole[:40])
    with pytest.raises(ImageError, match=r"out\.mp4"):
        read_video(path)
    small = tmp_path / "small.mp4"
    with VideoWriter(small, width=64, height=64) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8), np.zeros(640, np.int16))
    with pytest.raises(ImageError, match="64 x 64"):
        read_video(small)


def test_sound_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "speech.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        sound.sample_rate = 16000
        output.mux(stream.encode(sound))
        output.mux(stream.encode(None))
    with pytest.raises(ImageError, match="no video stream"):
        read_video(path)


@pytest.mark.parametrize(("rate", "frames", "wanted"), [(50, 20, 10), (25, 9, 9), (10, 4, 10)])
def test_video_comes_at_the_rate_asked_for(
    rate: int, frames: int, wanted: int, tmp_path: Path
) -> None:
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, width=128, height=128, fps=rate) as writer:
        for i in range(frames):
            picture = np.full((128, 128, 3), 10 * i, np.uint8)
            writer.write(picture, np.zeros(16_000 // rate, np.int16))
    greys = [int(f.mean() / 10 + 0.5) for f in read_video(path, fps=Fraction(25))]
    assert greys == [int(i * rate / 25) for i in range(wanted)]
