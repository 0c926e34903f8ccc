"""The video writer, checked by opening what it wrote."""

import errno
import gc
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from parlante.errors import OutputError
from parlante.media.video import read_video
from parlante.media.writer import VideoWriter
from parlante.speech.audio import decode_audio
from tests.support.full_disk import largest_file

SIDE = 128
NTSC = Fraction(30000, 1001)


def noise(samples: int) -> NDArray[np.int16]:
    """Low-passed noise: its cross-correlation has one sharp peak."""
    white = np.random.default_rng(7).standard_normal(samples + 15)
    return (np.convolve(white, np.ones(16) / 16, "valid") * 12000).astype(np.int16)


def grey(index: int) -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), 40 + index * 41 % 180, np.uint8)


def write(
    path: Path, frames: int, fps: Fraction | int = 25, rate: int = 16000, **options: Any
) -> NDArray[np.int16]:
    """Write `frames` grey pictures, each with its share of sound; return the sound."""
    ends = [int(rate * (i + 1) / Fraction(fps)) for i in range(frames)]
    sound = noise(ends[-1])
    with VideoWriter(path, width=SIDE, height=SIDE, fps=fps, sample_rate=rate, **options) as writer:
        for i, end in enumerate(ends):
            writer.write(grey(i), sound[ends[i - 1] if i else 0 : end])
        assert (writer.frames, writer.samples) == (frames, len(sound))
        assert not path.exists()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return sound


@pytest.mark.parametrize("fps", [24, 25, NTSC, 30, 50, Fraction(60000, 1001), 60])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_picture_and_sound_are_in_step(tmp_path: Path, suffix: str, fps: Fraction | int) -> None:
    path = tmp_path / f"out{suffix}"
    count = 3 * round(fps) + 7
    sound = write(path, count, fps)
    # Matroska counts in whole milliseconds
    tick = Fraction(1, 1000) if suffix == ".mkv" else Fraction(0)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.start_time == 0
        assert audio.start_time == 0
        assert container.start_time == 0
        assert abs(video.average_rate - fps) <= fps * tick
        assert (video.codec_context.width, video.codec_context.height) == (SIDE, SIDE)
        assert video.codec_context.pix_fmt == "yuv420p"
        assert container.duration == pytest.approx(1e6 * count / fps, abs=1000)
        if suffix != ".mkv":
            assert video.duration * video.time_base == count / Fraction(fps)
            assert audio.duration * audio.time_base == Fraction(len(sound), 16000)
            assert video.frames == count
        for i, frame in enumerate(container.decode(video)):
            assert abs(frame.pts * frame.time_base - i / Fraction(fps)) <= tick / 2
            shade = int(frame.to_ndarray(format="rgb24")[8, 8, 1])
            assert abs(shade - int(grey(i)[8, 8, 1])) < 5
        assert i + 1 == count
    decoded = np.concatenate(list(decode_audio(path)))
    assert len(decoded) == len(sound)
    inner = sound[4000:-4000].astype(np.float64)
    # Of lags up to 1500 samples to either side, 0 is the best.
    match = signal.correlate(decoded[2500:-2500], inner, mode="valid", method="fft")
    assert int(np.argmax(match)) - 1500 == 0
    assert np.corrcoef(decoded[4000:-4000], inner)[0, 1] > 0.99


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_audio_rates(tmp_path: Path, rate: int) -> None:
    sound = write(tmp_path / "out.mp4", 31, NTSC, rate)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.rate == rate
        assert stream.duration * stream.time_base == Fraction(len(sound), rate)


def test_colours_are_bt709(tmp_path: Path) -> None:
    """Against the equations of ITU-R BT.709-6, section 3; a step is for rounding and coding."""
    path = tmp_path / "out.mp4"
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (205, 154, 133), (255, 255, 255), (0, 0, 0)]
    with VideoWriter(path, width=SIDE, height=SIDE, crf=1) as writer:
        for colour in colours:
            writer.write(np.full((SIDE, SIDE, 3), colour, np.uint8), np.zeros(640, np.int16))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tags == (1, 1, 1, 1)
        for (r, g, b), frame in zip(colours, container.decode(video=0), strict=True):
            y, u, v = (np.asarray(plane)[20, 20] for plane in _planes(frame))
            luma = (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255
            assert abs(int(y) - (16 + 219 * luma)) <= 1.5
            assert abs(int(u) - (128 + 224 * (b / 255 - luma) / 1.8556)) <= 1.5
            assert abs(int(v) - (128 + 224 * (r / 255 - luma) / 1.5748)) <= 1.5
    for colour, image in zip(colours, read_video(path), strict=True):
        assert np.abs(image[20, 20].astype(int) - colour).max() <= 4


def _planes(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


def test_header_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", 10)
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_audio_in_any_pieces(tmp_path: Path) -> None:
    """The sound does not have to come with its frame."""
    sound = noise(25 * 640)
    cuts = [0, 0, 1, 2, 1700, 1700, 9000, len(sound)]
    for name, bounds in (("a.mp4", [0, len(sound)]), ("b.mp4", cuts)):
        with VideoWriter(tmp_path / name, width=SIDE, height=SIDE) as writer:
            for i in range(25):
                piece = slice(*bounds[i : i + 2]) if i + 1 < len(bounds) else slice(0)
                writer.write(grey(i), sound[piece])
    one, many = (np.concatenate(list(decode_audio(tmp_path / n))) for n in ("a.mp4", "b.mp4"))
    np.testing.assert_array_equal(one, many)


def test_same_input_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "out.mp4", 20, threads=1)
    assert (tmp_path / "a/out.mp4").read_bytes() == (tmp_path / "b/out.mp4").read_bytes()


def test_frame_memory_is_not_kept(tmp_path: Path) -> None:
    """The caller may draw the next frame into the same array."""
    image, silence = np.empty((SIDE, SIDE, 3), np.uint8), np.zeros(640, np.int16)
    with VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE) as writer:
        for i in range(30):
            image[:] = grey(i)
            writer.write(image, silence)
            image[:] = 0
    for i, frame in enumerate(read_video(tmp_path / "out.mp4")):
        assert abs(int(frame[9, 9, 0]) - int(grey(i)[0, 0, 0])) < 5


def test_strided_input(tmp_path: Path) -> None:
    wide = np.zeros((SIDE, 2 * SIDE, 4), np.uint8)
    wide[:, :SIDE] = (200, 60, 20, 0)
    with VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE) as writer:
        writer.write(wide[:, :SIDE, :3], np.zeros(1280, np.int16)[::2])
    (image,) = read_video(tmp_path / "out.mp4")
    assert np.abs(image[50, 50].astype(int) - (200, 60, 20)).max() <= 6


def test_overwrites_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"what was there before")
    with VideoWriter(path, width=SIDE, height=SIDE) as writer:
        writer.write(grey(0), np.zeros(640, np.int16))
        assert path.read_bytes() == b"what was there before"
    assert len(list(read_video(path))) == 1


def test_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "real" / "out.mp4")
    with VideoWriter(link, width=SIDE, height=SIDE) as writer:
        writer.write(grey(0), np.zeros(640, np.int16))
    assert link.is_symlink()
    assert len(list(read_video(tmp_path / "real" / "out.mp4"))) == 1


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", 2)
    (tmp_path / "plain").touch()
    assert (tmp_path / "out.mp4").stat().st_mode == (tmp_path / "plain").stat().st_mode


class InterruptedByUserError(BaseException):
    pass


@pytest.mark.parametrize("error", [RuntimeError, InterruptedByUserError])
def test_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(error), VideoWriter(path, width=SIDE, height=SIDE) as writer:
        for i in range(40):
            writer.write(grey(i), np.zeros(640, np.int16))
        raise error
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="closed"):
        writer.write(grey(0), np.zeros(640, np.int16))


def test_an_end_while_the_file_is_opened_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = av.open

    def interrupted(*given: Any, **options: Any) -> None:
        opens(*given, **options).close()
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(av, "open", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        VideoWriter(tmp_path / "out.mp4", width=64, height=64)
    assert not list(tmp_path.iterdir())
    assert caught.tb  # its frames held the writer until now: no finalizer has cleaned up


def test_abort_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    writer = VideoWriter(path, width=SIDE, height=SIDE)
    writer.write(grey(0), np.zeros(640, np.int16))
    writer.abort()
    writer.abort()
    writer.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"old"


def test_forgotten_writer_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE)
    writer.write(grey(0), np.zeros(640, np.int16))
    assert len(list(tmp_path.iterdir())) == 1
    del writer
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_process_that_ends_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
        import sys
        import numpy as np
        from parlante.media.writer import VideoWriter
        writer = VideoWriter({str(tmp_path / "out.mp4")!r}, width=64, height=64)
        for i in range(50):
            writer.write(np.zeros((64, 64, 3), np.uint8), np.zeros(640, np.int16))
        sys.exit(3)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.97, 0.999])
def test_no_space_left(tmp_path: Path, suffix: str, part: float) -> None:
    """At any point: in the header, among the frames, in the trailer, while the header moves."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, SIDE, SIDE, 3), dtype=np.uint8)
    path = tmp_path / f"out{suffix}"

    def attempt() -> None:
        with VideoWriter(path, width=SIDE, height=SIDE) as writer:
            for image in images:
                writer.write(image, np.zeros(640, np.int16))

    attempt()
    size = path.stat().st_size
    path.unlink()
    with largest_file(int(size * part)), pytest.raises(OutputError, match="free space"):
        attempt()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", ["write", "close"])
def test_error_while_muxing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE)
    writer.write(grey(0), np.zeros(640, np.int16))

    class Full:
        def mux(self, packets: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer._encoder, "container", Full())
    with pytest.raises(OutputError, match="No space left on device") as caught:
        writer.write(grey(0), np.zeros(640, np.int16)) if when == "write" else writer.close()
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_no_frames(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="no frame"),
        VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_sound(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE) as writer:
        for i in range(5):
            writer.write(grey(i), np.zeros(0, np.int16))
    assert len(list(read_video(tmp_path / "out.mp4"))) == 5


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("out.avi", {}, r"\.mp4, \.mov, \.mkv or \.webm"),
        ("out", {}, r"\.mp4, \.mov, \.mkv or \.webm"),
        ("missing/out.mp4", {}, "create it"),
        ("folder.mp4", {}, "is no file"),
        ("out.mp4", {"width": 127}, "width is 127"),
        ("out.mp4", {"height": 8}, "height is 8"),
        ("out.mp4", {"height": 9000}, "height is 9000"),
        ("out.mp4", {"fps": 0}, "fps is 0"),
        ("out.mp4", {"fps": 29.97}, "Fraction"),
        ("out.mp4", {"fps": 1000}, "fps is 1000"),
        ("out.mp4", {"sample_rate": 12345}, "sample_rate is 12345"),
        ("out.mp4", {"crf": 52}, "crf is 52"),
        ("out.mp4", {"preset": "fastest"}, "preset is 'fastest'"),
        ("out.mp4", {"threads": -1}, "threads is -1"),
    ],
)
def test_bad_arguments(tmp_path: Path, name: str, options: dict[str, Any], says: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=says):
        VideoWriter(tmp_path / name, **{"width": SIDE, "height": SIDE, **options})
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.mp4"]


def test_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE)


@pytest.mark.parametrize(
    ("image", "audio", "says"),
    [
        (np.zeros((SIDE, SIDE), np.uint8), np.zeros(640, np.int16), r"\[128, 128\]"),
        (np.zeros((SIDE, SIDE, 4), np.uint8), np.zeros(640, np.int16), r"\[128, 128, 4\]"),
        (np.zeros((SIDE, SIDE, 3), np.float32), np.zeros(640, np.int16), "float32"),
        (np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros(640, np.float32), "int16"),
        (np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((640, 1), np.int16), "640, 1"),
    ],
)
def test_bad_frames(tmp_path: Path, image: Any, audio: Any, says: str) -> None:
    with VideoWriter(tmp_path / "out.mp4", width=SIDE, height=SIDE) as writer:
        with pytest.raises(OutputError, match=says):
            writer.write(image, audio)
        writer.write(grey(0), np.zeros(640, np.int16))  # and goes on
    assert len(list(read_video(tmp_path / "out.mp4"))) == 1


# Transparent pictures, and VP9


def cut_out(count: int) -> list[NDArray[np.uint8]]:
    """RGBA: a bright disc that fades out, over nothing, and goes to the right."""
    y, x = np.mgrid[:SIDE, :SIDE]
    out = []
    for k in range(count):
        away = np.hypot(x - SIDE / 3 - 2 * k, y - SIDE / 2)
        alpha = np.clip(255 * (SIDE / 4 - away) / 4 + 128, 0, 255)
        out.append(np.dstack([0 * x + 200, 0 * x + 120, 0 * x + 60, alpha]).astype(np.uint8))
    return out


@pytest.mark.parametrize(("suffix", "decoder"), [(".mov", "prores"), (".webm", "libvpx-vp9")])
def test_transparency_is_kept(tmp_path: Path, suffix: str, decoder: str) -> None:
    path, frames = tmp_path / f"out{suffix}", cut_out(6)
    sound = (8_000 * np.sin(np.arange(6 * 1920) / 12)).astype(np.int16)
    with VideoWriter(
        path, width=SIDE, height=SIDE, sample_rate=48_000, transparent=True, crf=10
    ) as writer:
        for k, frame in enumerate(frames):
            writer.write(frame, sound[k * 1920 : (k + 1) * 1920])
    with av.open(str(path)) as container:
        # FFmpeg's own VP9 decoder does not know of alpha.
        context = av.CodecContext.create(decoder, "r")
        stream = container.streams.video[0]
        context.extradata = stream.codec_context.extradata
        context.width, context.height = SIDE, SIDE
        context.codec_tag = stream.codec_context.codec_tag
        seen = [f for packet in container.demux(stream) for f in context.decode(packet)]
    assert len(seen) == 6
    for made, given in zip(seen, frames, strict=True):
        shown = made.to_ndarray(format="rgba")
        assert np.abs(shown[..., 3].astype(int) - given[..., 3]).mean() < 4
        inside = given[..., 3] == 255
        assert np.abs(shown[inside][:, :3].astype(int) - given[inside][:, :3]).mean() < 8
    with av.open(str(path)) as container:
        heard = [f.to_ndarray() for f in container.decode(audio=0)]
        assert container.streams.audio[0].rate == 48_000
    length = sum(block.size for block in heard)
    assert 0 <= length - len(sound) < 1000


@pytest.mark.parametrize(("name", "says"), [("out.mp4", "transparent.*mov"), ("out.gif", "webm")])
def test_where_there_is_no_transparency(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(OutputError, match=says):
        VideoWriter(tmp_path / name, width=SIDE, height=SIDE, transparent=True)


def test_opus_has_rates_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="44100; give one of 8000, 12000"):
        VideoWriter(tmp_path / "out.webm", width=SIDE, height=SIDE, sample_rate=44_100)
