"""Video out and in: H.264 files and network streams with sample-exact sound, and the upright frames
of a clip.

A file under construction has a temporary name in the folder it will end up in, and gets its own
name when it is complete: what carries the name that was asked for plays to its end.
"""

import contextlib
import math
import os
import secrets
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final

import av
import av.container
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from parlante.errors import ImageError, OutputError
from parlante.image import check_size
from parlante.media import open_media, reason

# suffix: (container, audio codec). Matroska cannot say where in its last packet AAC ends.
_CONTAINERS: Final = {
    ".mp4": ("mp4", "aac"),
    ".mov": ("mov", "aac"),
    ".mkv": ("matroska", "flac"),
}
_STREAMS: Final = {
    "rtmp": "flv",
    "rtmps": "flv",
    "udp": "mpegts",
    "tcp": "mpegts",
    "srt": "mpegts",
}
_STREAM_TIMEOUT_S: Final = 10.0
_AAC_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# Mono AAC-LC is transparent for speech at 4 bits a sample.
_AAC_BITS_PER_SAMPLE: Final = 4
_PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
_MAX_SIDE: Final = 8192
_MAX_FPS: Final = 240
# Durations in an MP4 header are multiples of 1 / timescale; above a million nothing is gained.
_MAX_MOVIE_TIMESCALE: Final = 1_000_000
_HD_LINES: Final = 720
_BT709: Final = 1  # primaries and transfer function in ITU-T H.273
# A clip may end this much before the length in its header, which is rounded.
_MISSING_TOLERANCE_S: Final = 0.1


class _Encoder:
    """The H.264 and the sound of an open container."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        size: tuple[int, int],
        fps: Fraction | int,
        sample_rate: int,
        audio_codec: str,
        options: dict[str, str],
        threads: int,
    ) -> None:
        self.container = container
        self.shape = (size[1], size[0], 3)
        self.frames = self.samples = 0
        self._frame_duration = 1 / Fraction(fps)
        self._sample_duration = Fraction(1, sample_rate)
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.time_base = self._frame_duration
        context = video.codec_context
        context.time_base = self._frame_duration
        context.options = options
        context.thread_count = threads
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = _BT709
        context.color_trc = _BT709
        self._video = video
        audio = container.add_stream(audio_codec, rate=sample_rate, layout="mono")
        assert isinstance(audio, av.AudioStream)
        audio.time_base = self._sample_duration
        if audio_codec == "aac":
            audio.bit_rate = _AAC_BITS_PER_SAMPLE * sample_rate
        self._audio = audio

    def check(self, image: NDArray[np.uint8], audio: NDArray[np.int16]) -> None:
        """OutputError unless both are what `write` takes."""
        if image.dtype != np.uint8 or image.shape != self.shape:
            raise OutputError(
                f"frame is {image.dtype} {list(image.shape)}; give uint8 {list(self.shape)}"
            )
        if audio.dtype != np.int16 or audio.ndim != 1:
            raise OutputError(f"audio is {audio.dtype} {list(audio.shape)}; give int16 [samples]")

    def write(self, image: NDArray[np.uint8], audio: NDArray[np.int16]) -> None:
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        picture = picture.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        picture.pts, picture.time_base = self.frames, self._frame_duration
        self.container.mux(self._video.encode(picture))
        if len(audio):
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(audio[None]), format="s16", layout="mono"
            )
            sound.sample_rate = self._sample_duration.denominator
            sound.pts, sound.time_base = self.samples, self._sample_duration
            self.container.mux(self._audio.encode(sound))
        self.frames += 1
        self.samples += len(audio)

    def finish(self) -> None:
        """Write what the encoders still hold, and close the container."""
        self.container.mux(self._video.encode(None))
        if self.samples:
            self.container.mux(self._audio.encode(None))
        self.container.close()


class VideoWriter:
    """Writes frames and mono speech to .mp4 or .mov (H.264, AAC) or .mkv (H.264, FLAC).

    Frame i is shown at i / fps and sample j sounds at j / sample_rate, exactly: both streams start
    at 0, encoder delay is in the edit list. Pictures are 4:2:0, BT.709, limited range; .mp4 and
    .mov can be played while they are downloaded.

    A context manager: leaving the block closes the file, an exception in the block removes it. Use
    from one thread at a time.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        fps: Fraction | int = 25,
        sample_rate: int = 16_000,
        crf: int = 18,
        preset: str = "veryfast",
        threads: int = 0,
    ) -> None:
        """Open `path` for writing; what is there stays until `close`.

        Args:
            path: ends in .mp4, .mov or .mkv; its folder exists.
            width, height: even, up to 8192.
            fps: frames a second, a whole number or an exact fraction such as Fraction(30000, 1001).
            sample_rate: of the audio, Hz; one of 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz.
            crf: x264's constant quality, 0 (lossless) to 51; 18 looks like the original.
            preset: x264's trade of time against size, ultrafast to slow.
            threads: of x264; 0 lets it choose.

        Raises:
            OutputError: any of these is not so, or the folder may not be written to.
        """
        self._path = _destination(Path(path))
        _check_format(width, height, fps, sample_rate, crf, preset, threads)
        self._partial = self._path.with_name(f".parlante-{secrets.token_hex(8)}.partial")
        try:
            self._partial.open("xb").close()  # before FFmpeg, whose errors come later and say less
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written ({reason(error)}); check the folder's permissions "
                "and the space left"
            ) from error
        # Runs at the latest when the interpreter ends, so that a forgotten writer leaves nothing.
        self._remove_partial = weakref.finalize(self, _unlink, self._partial)
        try:
            container, audio_codec = self._open(fps, sample_rate)
            options = {"crf": str(crf), "preset": preset}
            self._encoder = _Encoder(
                container, (width, height), fps, sample_rate, audio_codec, options, threads
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            self._remove_partial()
            raise OutputError(
                f"{self._path} cannot be encoded ({reason(error)}); install the av package from "
                "PyPI, which brings libx264 and aac"
            ) from error
        self._closed = False

    def _open(
        self, fps: Fraction | int, sample_rate: int
    ) -> tuple[av.container.OutputContainer, str]:
        """The container, and its audio codec."""
        container_name, audio_codec = _CONTAINERS[self._path.suffix.lower()]
        options = {}
        if container_name != "matroska":
            # In the default ticks of 1 ms the edit list would cut or pad the last samples.
            timescale = math.lcm(sample_rate, Fraction(fps).numerator)
            if timescale > _MAX_MOVIE_TIMESCALE:
                timescale = sample_rate
            options = {"movflags": "+faststart", "movie_timescale": str(timescale)}
        container = av.open(
            f"file:{self._partial}", mode="w", format=container_name, options=options
        )
        return container, audio_codec

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._encoder.frames

    @property
    def samples(self) -> int:
        """Audio samples written so far."""
        return self._encoder.samples

    def write(self, image: NDArray[np.uint8], audio: NDArray[np.int16]) -> None:
        """Append one frame, and audio of any length to what was written before.

        Args:
            image: RGB, u8 [height, width, 3].
            audio: int16 [k], k >= 0.

        Raises:
            OutputError: wrong shape or dtype; closed; disk full or another failure to write, after
                which nothing is left of the file.
        """
        if self._closed:
            raise OutputError(f"{self._path} is closed; open a new VideoWriter to write more")
        self._encoder.check(image, audio)
        try:
            self._encoder.write(image, audio)
        except BaseException as error:
            self._fail(error)

    def close(self) -> None:
        """Finish the file and give it its name; a second call does nothing.

        Raises:
            OutputError: no frame was written, or the file cannot be finished; nothing is left.
        """
        if self._closed:
            return
        if self.frames == 0:
            self.abort()
            raise OutputError(f"{self._path}: no frame was written; write at least one")
        try:
            self._encoder.finish()
            self._closed = True
            with self._partial.open("rb+") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._path)
        except BaseException as error:
            self._fail(error)
        self._remove_partial.detach()

    def abort(self) -> None:
        """Drop what was written; a file that had the name before is as it was."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._encoder.container.close()
        self._remove_partial()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _fail(self, error: BaseException) -> None:
        self.abort()
        if isinstance(error, (av.FFmpegError, OSError, ValueError)):
            raise OutputError(
                f"{self._path} could not be written after {self.frames} frames "
                f"({reason(error)}); free space on the disk or choose another folder"
            ) from error
        raise error


class StreamWriter:
    """Sends frames and mono speech to a URL as they come: rtmp:// and rtmps:// (FLV), udp://, tcp://
    and srt:// (MPEG-TS), H.264 and AAC, for `Live` frames.

    A key frame every two seconds and no frame held back. A context manager; use from one thread at
    a time.
    """

    def __init__(
        self,
        url: str,
        *,
        width: int,
        height: int,
        fps: Fraction | int = 25,
        sample_rate: int = 16_000,
        kilobits: int = 2_500,
        preset: str = "veryfast",
    ) -> None:
        """Connect to ``url``.

        Args:
            width, height, fps, sample_rate, preset: as of `VideoWriter`.
            kilobits: most kilobits a second of the picture, 100 to 50,000.

        Raises:
            OutputError: any of these is not so, or nobody answers at the URL.
        """
        scheme = url.partition("://")[0].lower()
        if "://" not in url or scheme not in _STREAMS:
            raise OutputError(f"{url}: give a URL that starts with {', '.join(_STREAMS)}")
        if not 100 <= kilobits <= 50_000:
            raise OutputError(f"kilobits is {kilobits}; give 100 to 50000")
        _check_format(width, height, fps, sample_rate, 0, preset, 0)
        self._url = url
        options = {
            "preset": preset,
            "tune": "zerolatency",
            "g": str(math.ceil(2 * fps)),
            **dict.fromkeys(("b", "maxrate", "bufsize"), f"{kilobits}k"),
        }
        try:
            container = av.open(url, mode="w", format=_STREAMS[scheme], timeout=_STREAM_TIMEOUT_S)
            size = (width, height)
            self._encoder = _Encoder(container, size, fps, sample_rate, "aac", options, 0)
            container.start_encoding()  # connects
        except (av.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"{url} cannot be reached ({reason(error)})") from error
        self._closed = False

    def write(self, image: NDArray[np.uint8], audio: NDArray[np.int16]) -> None:
        """Send one frame, RGB u8 [height, width, 3], and its audio, int16 [k].

        Raises:
            OutputError: wrong shape or dtype; closed; the connection is lost, which closes it.
        """
        if self._closed:
            raise OutputError(f"{self._url} is closed; open a new StreamWriter to send more")
        self._encoder.check(image, audio)
        try:
            self._encoder.write(image, audio)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._closed = True
            raise OutputError(
                f"{self._url} is lost after {self._encoder.frames} frames ({reason(error)})"
            ) from error

    def close(self) -> None:
        """Send what is left and hang up; a second call does nothing."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._encoder.finish()

    def __enter__(self) -> "StreamWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class CameraWriter:
    """Shows frames as a virtual camera (pyvirtualcam: v4l2loopback on Linux, OBS elsewhere), for
    `Live` frames. A camera has no sound: play `Frame.audio` where it is to be heard.

    A context manager; use from one thread at a time.
    """

    def __init__(
        self, device: str | None = None, *, width: int, height: int, fps: Fraction | int = 25
    ) -> None:
        """Open ``device``, such as /dev/video2; None for the first that is free.

        Raises:
            OutputError: pyvirtualcam is not installed, or there is no such camera.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            raise OutputError(
                'a virtual camera needs pyvirtualcam; install "parlante[camera]"'
            ) from error
        try:
            self._camera = pyvirtualcam.Camera(width, height, float(fps), device=device)
        except RuntimeError as error:
            raise OutputError(f"no virtual camera to show frames on ({error})") from error
        self._shape = (height, width, 3)
        self._closed = False

    def write(self, image: NDArray[np.uint8], audio: NDArray[np.int16]) -> None:
        """Show one frame, RGB u8 [height, width, 3]; ``audio`` is not used.

        Raises:
            OutputError: wrong shape or dtype; closed.
        """
        if self._closed:
            raise OutputError("the camera is closed; open a new CameraWriter to show more")
        if image.shape != self._shape or image.dtype != np.uint8:
            raise OutputError(
                f"image: expected uint8 {self._shape}, got {image.dtype} {image.shape}"
            )
        self._camera.send(np.ascontiguousarray(image))

    def close(self) -> None:
        """Give the camera back; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._camera.close()

    def __enter__(self) -> "CameraWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_video(path: str | Path, *, fps: Fraction | None = None) -> Iterator[NDArray[np.uint8]]:
    """Frames of the best video stream of a file, upright and with square pixels, lazily; with
    ``fps``, repeated or left out so that they come at that rate (the file's rate being even).

    Yields:
        RGB, u8 [H, W, 3], arrays of their own.

    Raises:
        ImageError: at once for a file that cannot be used, while iterating for a damaged one and
            for one without frames.
    """
    source = Path(path)
    container = open_media(source, ImageError)
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        container.close()
        raise ImageError(f"{source} has no video stream; give a video or, as a photo, an image")
    if stream.codec_context is None:
        container.close()
        raise ImageError(f"{source} has pictures in a coding unknown here; convert it to H.264")
    try:
        check_size(stream.codec_context.width, stream.codec_context.height, str(source))
    except ImageError:
        container.close()
        raise
    frames = _upright_frames(source, container, stream)
    if fps is None or not stream.average_rate:
        return frames
    return _at_rate(frames, fps / stream.average_rate)


def _at_rate(frames: Iterator[NDArray[np.uint8]], ratio: Fraction) -> Iterator[NDArray[np.uint8]]:
    made = 0
    for i, frame in enumerate(frames):
        while made < (i + 1) * ratio:
            made += 1
            yield frame


def _upright_frames(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[NDArray[np.uint8]]:
    length_s = None
    if "mov" in container.format.name and stream.duration and stream.time_base:
        length_s = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    count = 0
    end_s = 0.0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise ImageError(_cut_message(path, end_s))
            if packet.pts is not None and packet.duration:
                end_s = max(end_s, float((packet.pts + packet.duration) * packet.time_base))
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                count += 1
                yield _upright(frame, stream.sample_aspect_ratio or Fraction(1))
    except (av.FFmpegError, ValueError, IndexError) as error:  # IndexError: a new stream
        raise ImageError(
            f"{path} is damaged near {end_s:.2f} s ({reason(error)}); export or copy it again"
        ) from error
    finally:
        container.close()
    if count == 0:
        raise ImageError(f"{path} holds no frames; give a video of at least one")
    if length_s is not None and end_s < length_s - _MISSING_TOLERANCE_S:
        raise ImageError(_cut_message(path, end_s))


def _upright(frame: av.VideoFrame, pixel_aspect: Fraction) -> NDArray[np.uint8]:
    # HD without a tag is BT.709; FFmpeg takes BT.601 for everything without one.
    untagged_hd = frame.colorspace == Colorspace.DEFAULT and frame.height >= _HD_LINES
    image = frame.to_ndarray(
        format="rgb24",
        width=max(1, round(frame.width * pixel_aspect)),
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
    )
    return np.ascontiguousarray(np.rot90(image, k=round(frame.rotation / 90)))


def _cut_message(path: Path, end_s: float) -> str:
    return (
        f"{path} ends before its time, after {end_s:.2f} s; it is damaged or was cut short: copy "
        "or export it again"
    )


def _destination(path: Path) -> Path:
    if path.suffix.lower() not in _CONTAINERS:
        raise OutputError(f"{path} ends in {path.suffix!r}; name the video .mp4, .mov or .mkv")
    path = path.resolve()  # replaces what a link points at, not the link
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} is no folder; create it, or choose another for the video")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is there and is no file; choose another name for the video")
    return path


def _check_format(
    width: int,
    height: int,
    fps: Fraction | int,
    sample_rate: int,
    crf: int,
    preset: str,
    threads: int,
) -> None:
    for name, side in (("width", width), ("height", height)):
        if not 16 <= side <= _MAX_SIDE or side % 2:
            raise OutputError(
                f"{name} is {side}; 4:2:0 video needs an even number from 16 to {_MAX_SIDE}"
            )
    if not isinstance(fps, (int, Fraction)) or not 1 <= fps <= _MAX_FPS:
        raise OutputError(
            f"fps is {fps!r}; give 1 to {_MAX_FPS} as an int or a Fraction, such as "
            "Fraction(30000, 1001)"
        )
    if sample_rate not in _AAC_RATES:
        raise OutputError(
            f"sample_rate is {sample_rate}; give one of {', '.join(map(str, _AAC_RATES))} Hz"
        )
    if not 0 <= crf <= 51:
        raise OutputError(f"crf is {crf}; give 0 (lossless) to 51")
    if preset not in _PRESETS:
        raise OutputError(f"preset is {preset!r}; give one of {', '.join(_PRESETS)}")
    if threads < 0:
        raise OutputError(f"threads is {threads}; give 0 (automatic) or more")


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
