"""Video files."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.container
import numpy as np
from numpy.typing import NDArray

from parlante.checks import path_of
from parlante.contract import SAMPLE_RATE, Image
from parlante.errors import OutputError, reason
from parlante.media.codecs import STANDARD_OUTPUT, Codecs, codecs_of
from parlante.media.encoder import Encoder, Format
from parlante.media.files import PartialFile, StandardOutput, WholeOrNothing
from parlante.media.folder import WAVE_RATES, FolderWriter, is_numbered
from parlante.media.timecode import check_timecode

# Durations in an MP4 header are multiples of 1 / timescale; above a million nothing is gained.
_MAX_MOVIE_TIMESCALE: Final = 1_000_000


def rates_of(path: Path, *, transparent: bool = False) -> Sequence[int]:
    """Rates at which what is written to ``path`` holds sound, Hz; OutputError as `codecs_of`."""
    if is_numbered(path):
        return WAVE_RATES
    return codecs_of(path, transparent=transparent)[1].rates


def open_writer(
    path: Path,
    *,
    fps: Fraction | int,
    codec: str | None,
    bits: int,
    timecode: str | None = None,
    threads: int = 0,
    seal: Callable[[Path], None] | None = None,
    **form: Any,
) -> VideoWriter | FolderWriter:
    """What writes to a path: a `FolderWriter` where it names pictures by their number."""
    if not is_numbered(path):
        form |= {"fps": fps, "codec": codec, "bits": bits, "timecode": timecode}
        return VideoWriter(path, threads=threads, seal=seal, **form)
    if codec is not None or bits != 8 or timecode is not None:
        raise OutputError(f"{path} are PNG files of 8 bits; leave codec, bits and timecode out")
    return FolderWriter(path, **form)


def target_of(path: Path) -> PartialFile | StandardOutput:
    """What is written to; OutputError as `PartialFile`."""
    return StandardOutput() if path == STANDARD_OUTPUT else PartialFile(path)


class VideoWriter(WholeOrNothing):
    """Writes frames and speech to .mp4, .mov (H.264, AAC), .mkv (H.264, FLAC), .webm (VP9, Opus).

    HEVC or AV1 where asked for. Transparent ones to .mov (ProRes 4444, PCM) or .webm (VP9 with
    alpha, Opus). Frame i is shown at i / fps and sample j sounds at j / sample_rate, exactly: both
    streams start at 0, encoder delay is in the edit list. Standard output is Matroska, for another
    program to read as it is made.
    Pictures are BT.709, limited range; .mp4 and .mov can be played while they are downloaded.

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
        sample_rate: int = SAMPLE_RATE,
        channels: int = 1,
        transparent: bool = False,
        codec: str | None = None,
        bits: int = 8,
        timecode: str | None = None,
        crf: int = 18,
        preset: str = "veryfast",
        threads: int = 0,
        seal: Callable[[Path], None] | None = None,
    ) -> None:
        """Open `path` for writing; what is there stays until `close`.

        Args:
            path: ends in .mp4, .mov, .mkv or .webm, and its folder exists; or "-", standard output.
            width, height: even, up to 8192.
            fps: frames a second, a whole number or an exact fraction such as Fraction(30000, 1001).
            sample_rate: of the audio, Hz; one of 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz,
                of .webm 8, 12, 16, 24 or 48.
            channels: of the audio, 1 or 2.
            transparent: pictures are RGBA, straight alpha, and stay so.
            codec: of the pictures; "h264", "hevc" or, but in .mov, "av1"; of .webm "vp9" or "av1".
                None: the first of them.
            bits: of each colour, 8, or 10 with H.264, HEVC and AV1.
            timecode: of the first frame, in .mp4 and .mov; HH:MM:SS:FF, at 29.97 and 59.94 frames a
                second HH:MM:SS;FF where numbers are dropped.
            crf: x264's constant quality, 0 (lossless) to 51; 18 looks like the original. The other
                codecs get the like.
            preset: x264's trade of time against size, ultrafast to slow; of AV1 the like.
            threads: of the codec; 0 lets it choose.
            seal: called with the finished file before it gets its name; not for standard output.

        Raises:
            OutputError: any of these is not so, or the folder may not be written to.
        """
        form = Format(
            width=width,
            height=height,
            fps=fps,
            sample_rate=sample_rate,
            channels=channels,
            preset=preset,
            threads=threads,
        )
        file = path_of(path, OutputError)
        name, codecs = codecs_of(file, transparent=transparent, codec=codec, bits=bits)
        codecs.check_rate(sample_rate)
        check_timecode(timecode, fps, name)
        self._file = target_of(file)
        self._path, self._closed, self._seal = self._file.target, False, seal
        self._encoder = self._open(name, form, codecs, codecs.options(crf, preset))
        if timecode is not None:
            self._encoder.container.metadata["timecode"] = timecode

    def _open(self, name: str, form: Format, codecs: Codecs, told: dict[str, str]) -> Encoder:
        options = {}
        if name in ("mp4", "mov"):
            # In the default ticks of 1 ms the edit list would cut or pad the last samples.
            timescale = math.lcm(form.sample_rate, Fraction(form.fps).numerator)
            if timescale > _MAX_MOVIE_TIMESCALE:
                timescale = form.sample_rate
            options = {"movflags": "+faststart", "movie_timescale": str(timescale)}
        to: Any = self._file
        if isinstance(to, PartialFile):
            to = f"file:{to.path}"
        try:
            return Encoder(av.open(to, mode="w", format=name, options=options), form, codecs, told)
        except BaseException as error:  # a signal among them: nobody else can close it yet
            self._file.drop()
            if not isinstance(error, (av.FFmpegError, OSError, ValueError)):
                raise
            raise OutputError(
                f"{self._path} cannot be encoded ({reason(error)}); install the av package from "
                "PyPI, which brings libx264 and aac"
            ) from error

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._encoder.frames

    @property
    def samples(self) -> int:
        """Audio samples written so far."""
        return self._encoder.samples

    def write(self, image: Image, audio: NDArray[np.int16]) -> None:
        """Append one frame, and audio of any length to what was written before.

        Args:
            image: RGB, u8 [height, width, 3], or RGBA [height, width, 4].
            audio: int16 [k], k >= 0; of two channels [k, 2].

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

    def _finish(self) -> None:
        try:
            self._encoder.finish()
            self._closed = True
            if self._seal is not None and isinstance(self._file, PartialFile):
                self._seal(self._file.path)
            self._file.commit()
        except BaseException as error:
            self._fail(error)

    def abort(self) -> None:
        """Drop what was written; a file that had the name before is as it was."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._encoder.container.close()
        self._file.drop()

    def _fail(self, error: BaseException) -> None:
        self.abort()
        if isinstance(error, BrokenPipeError):  # FFmpeg's is one, too
            raise OutputError(
                f"standard output could not be written after {self.frames} frames: the program "
                "that read it is gone; let it read until the end"
            ) from error
        if isinstance(error, (av.FFmpegError, OSError, ValueError)):
            raise OutputError(
                f"{self._path} could not be written after {self.frames} frames "
                f"({reason(error)}); free space on the disk or choose another folder"
            ) from error
        raise error
