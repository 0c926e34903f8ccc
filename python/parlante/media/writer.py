"""Video files."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.container
import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE, Image
from parlante.errors import OutputError
from parlante.media.container import reason
from parlante.media.encoder import Codecs, Encoder, Format
from parlante.media.files import PartialFile, StandardOutput, WholeOrNothing
from parlante.media.folder import WAVE_RATES, FolderWriter, is_numbered

_SUFFIXES: Final = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Matroska cannot say where in its last packet AAC ends.
_OPAQUE: Final = {
    "mp4": Codecs(),
    "mov": Codecs(),
    "matroska": Codecs(audio="flac"),
    "webm": Codecs("libvpx-vp9", "yuv420p", "libopus"),
}
_TRANSPARENT: Final = {
    "mov": Codecs("prores_ks", "yuva444p10le", "pcm_s16le"),
    "webm": Codecs("libvpx-vp9", "yuva420p", "libopus"),
}
STANDARD_OUTPUT: Final = Path("-")
_VP9_CRF: Final = 8  # more than x264's for the same quality
# Durations in an MP4 header are multiples of 1 / timescale; above a million nothing is gained.
_MAX_MOVIE_TIMESCALE: Final = 1_000_000


def codecs_of(path: Path, *, transparent: bool = False) -> tuple[str, Codecs]:
    """Container of a file of that name, and what is in it; OutputError for other names.

    Standard output, "-", is Matroska.
    """
    if path == STANDARD_OUTPUT:
        if transparent:
            raise OutputError("standard output is Matroska, which keeps no alpha; name a file")
        return "matroska", _OPAQUE["matroska"]
    suffixes = {s: c for s, c in _SUFFIXES.items() if not transparent or c in _TRANSPARENT}
    if path.suffix.lower() not in suffixes:
        *others, last = suffixes
        raise OutputError(
            f"{path} ends in {path.suffix!r}; name the {'transparent ' * transparent}video "
            f"{', '.join(others)} or {last}"
        )
    container = suffixes[path.suffix.lower()]
    return container, (_TRANSPARENT if transparent else _OPAQUE)[container]


def _options(codecs: Codecs, crf: int, preset: str) -> dict[str, str]:
    """What the picture's codec is told."""
    if codecs.video == "prores_ks":
        return {"profile": "4444", "vendor": "apl0"}
    if codecs.video == "libvpx-vp9":
        fast = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"}
        return {"crf": str(crf + _VP9_CRF), "b": "0", **fast}
    return {"crf": str(crf), "preset": preset}


def rates_of(path: Path, *, transparent: bool = False) -> Sequence[int]:
    """Rates at which what is written to ``path`` holds sound, Hz; OutputError as `codecs_of`."""
    if is_numbered(path):
        return WAVE_RATES
    return codecs_of(path, transparent=transparent)[1].rates


def open_writer(path: Path, *, fps: Fraction | int, **form: Any) -> VideoWriter | FolderWriter:
    """What writes to a path: a `FolderWriter` where it names pictures by their number."""
    if is_numbered(path):
        return FolderWriter(path, **form)
    return VideoWriter(path, fps=fps, **form)


def target_of(path: Path) -> PartialFile | StandardOutput:
    """What is written to; OutputError as `PartialFile`."""
    return StandardOutput() if path == STANDARD_OUTPUT else PartialFile(path)


class VideoWriter(WholeOrNothing):
    """Writes frames and speech to .mp4, .mov (H.264, AAC), .mkv (H.264, FLAC), .webm (VP9, Opus).

    Transparent ones to .mov (ProRes 4444, PCM) or .webm (VP9 with alpha, Opus). Frame i is shown at
    i / fps and sample j sounds at j / sample_rate, exactly: both streams start at 0, encoder delay
    is in the edit list. Standard output is Matroska, for another program to read as it is made.
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
        crf: int = 18,
        preset: str = "veryfast",
        threads: int = 0,
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
            crf: x264's constant quality, 0 (lossless) to 51; 18 looks like the original. VP9 gets
                the like.
            preset: x264's trade of time against size, ultrafast to slow.
            threads: of x264; 0 lets it choose.

        Raises:
            OutputError: any of these is not so, or the folder may not be written to.
        """
        if not 0 <= crf <= 51:
            raise OutputError(f"crf is {crf}; give 0 (lossless) to 51")
        form = Format(
            width=width,
            height=height,
            fps=fps,
            sample_rate=sample_rate,
            channels=channels,
            preset=preset,
            threads=threads,
        )
        container_name, codecs = codecs_of(Path(path), transparent=transparent)
        if sample_rate not in codecs.rates:
            rates = ", ".join(map(str, codecs.rates))
            raise OutputError(f"sample_rate is {sample_rate}; give one of {rates} Hz")
        self._file = target_of(Path(path))
        self._path = self._file.target
        self._closed = False
        try:
            container = self._open(container_name, form)
            options = _options(codecs, crf, preset)
            self._encoder = Encoder(container, form, codecs, options)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._file.drop()
            raise OutputError(
                f"{self._path} cannot be encoded ({reason(error)}); install the av package from "
                "PyPI, which brings libx264 and aac"
            ) from error

    def _open(self, container_name: str, form: Format) -> av.container.OutputContainer:
        options = {}
        if container_name in ("mp4", "mov"):
            # In the default ticks of 1 ms the edit list would cut or pad the last samples.
            timescale = math.lcm(form.sample_rate, Fraction(form.fps).numerator)
            if timescale > _MAX_MOVIE_TIMESCALE:
                timescale = form.sample_rate
            options = {"movflags": "+faststart", "movie_timescale": str(timescale)}
        to: Any = self._file
        if isinstance(to, PartialFile):
            to = f"file:{to.path}"
        return av.open(to, mode="w", format=container_name, options=options)

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
        if isinstance(error, (av.FFmpegError, OSError, ValueError)):
            raise OutputError(
                f"{self._path} could not be written after {self.frames} frames "
                f"({reason(error)}); free space on the disk or choose another folder"
            ) from error
        raise error
