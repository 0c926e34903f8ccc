"""The SDK's face: `Avatar`."""

from __future__ import annotations

import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.audio import decode_audio, expected_samples
from parlante.bundle import Bundle
from parlante.engine import NATIVE_FPS, SAMPLE_RATE, Engine, Frame
from parlante.errors import ImageError, OutputError, ParlanteError
from parlante.image import Photo, load_image
from parlante.live import Clock, Live
from parlante.manner import SECONDS
from parlante.motion import MotionStream
from parlante.portrait import Portrait, PortraitEncoder, read_portrait
from parlante.renderer import Backdrop, FrameRenderer, Gains, Pixels, Precision, StageTimes
from parlante.video import VideoWriter, read_video

Picture = str | Path | bytes | NDArray[Any]
Background = tuple[int, int, int] | Picture | None

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
VIDEO_FRAMES = 24  # frames of a reference video that are looked at, evenly spread
GREEN = (0, 177, 64)  # chroma-key green
MAX_SIZE = 1080
MAX_STEPS = 50
MEMORY_CACHE = 8  # portraits


class Avatar:
    """One person, ready to speak.

    Args:
        photo: a photo (path, bytes of an image file, or uint8 [H, W], [H, W, 3] RGB or [H, W, 4]),
        several
            photos of the same person, or a short video of them. The best picture is the source, all
            of them serve the shape of the face; a video of two seconds or more (20 are looked at)
            also shows how the person moves head and lids, and the avatar moves like them.
        face: which face, where a picture shows several; 0 is the largest.
        device: ``"cpu"``, ``"openvino"`` (the CPU, the renderer's networks by OpenVINO), ``"cuda"``
            or ``"auto"`` (CUDA where it works, else the CPU); one that is not there is a
            `DeviceError`.
        precision: what the renderer's networks compute in: ``"float32"``, ``"int8"`` (faster on a
            CPU with VNNI), or ``"float16"`` with a bundle that has it.
        threads: CPU threads of each frame.
        cache: folder of encoded faces, keyed by content; None for the user's cache folder, False
        for none.
        bundle: networks to use instead of the built-in ones.

    Raises:
        ImageError: the photo cannot be read.
        FaceNotFoundError, SeveralFacesError: no face, or no single one.
        BundleError, DeviceError: the networks are damaged or cannot run where asked.
    """

    def __init__(
        self,
        photo: Picture | Sequence[Picture],
        *,
        face: int | None = None,
        device: str = "cpu",
        precision: Precision = "float32",
        threads: int = 2,
        cache: Path | str | bool | None = None,
        bundle: Bundle | None = None,
    ) -> None:
        if face is not None and (isinstance(face, bool) or not isinstance(face, int) or face < 0):
            raise ImageError(f"face={face!r}; faces count 0, 1, 2 … from the largest")
        photos = list(_photos(photo))
        self._setup(device, precision, threads, bundle)
        # A video also shows how its person moves; of several faces, how the largest does.
        video = None if face else _video(photo)
        self.portrait = _cached(self._encoder, photos, face, _cache_folder(cache), video)

    def _setup(
        self, device: str, precision: Precision, threads: int, bundle: Bundle | None
    ) -> None:
        if precision not in get_args(Precision):
            raise ParlanteError(f"precision={precision!r}; give one of {get_args(Precision)}")
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 64:
            raise ParlanteError(f"threads={threads!r}; give a whole number from 1 to 64")
        self._bundle = bundle or Bundle.default()
        self._device, self._precision, self._threads = device, precision, threads
        self._encoder = PortraitEncoder(self._bundle, device=device, threads=threads)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        precision: Precision = "float32",
        threads: int = 2,
        bundle: Bundle | None = None,
    ) -> Avatar:
        """An avatar from a face saved by `save`. Raises ImageError when the file is no such
        face."""
        avatar = cls.__new__(cls)
        avatar.portrait = read_portrait(Path(path))
        avatar._setup(device, precision, threads, bundle)
        return avatar

    def save(self, path: str | Path) -> None:
        """Write the encoded face (.npz, no pickle), atomically. Raises OutputError."""
        _write_atomically(Path(path), self.portrait.dump())

    def speak(
        self,
        audio: str | Path | NDArray[Any],
        *,
        sample_rate: int | None = None,
        steps: int = 2,
        seed: int = 0,
        size: int = 512,
        fps: Fraction | int | float = 25,
        pose: float = 1.0,
        blink: float = 1.0,
        expression: float = 1.0,
        pixels: Pixels = "rgb",
        background: Background = None,
    ) -> Speech:
        """The video of this person saying ``audio``; nothing is drawn until it is iterated or
        saved.

        Args:
            audio: a sound or video file, or samples int16 or float32 [n] or [n, channels].
            sample_rate: of the samples, Hz; a file knows its own.
            steps: diffusion steps a frame, 1 to 50.
            seed: of head motion, blinks and noise; the same seed gives the same video, bit for bit.
            size: side of the square picture in pixels, even, 128 to 1080.
            fps: 1 to 120; 29.97 and the like mean 30000/1001.
            pose, blink, expression: strength of head motion, blinks and lips, 0 to 2.
            pixels: of the frames: rgb, bgr, rgba (straight alpha) or nv12 (BT.709); a file is
                written from rgb.
            background: instead of the photo's own: "green" (chroma key), a colour (r, g, b), or a
                picture, whose middle square is taken.

        Raises:
            AudioError: the audio cannot be used.
            ImageError: the background cannot be read.
            ParlanteError: an option is out of its range.
        """
        gains = (pose, blink, expression)
        options = _options(steps, seed, size, fps, gains, pixels, background)
        return Speech(self, audio, sample_rate, options)

    def live(
        self,
        *,
        steps: int = 2,
        seed: int = 0,
        size: int = 512,
        fps: Fraction | int | float = 25,
        pose: float = 1.0,
        blink: float = 1.0,
        expression: float = 1.0,
        pixels: Pixels = "rgb",
        background: Background = None,
        realtime: bool = True,
        clock: Clock | None = None,
        on_frame: Callable[[Frame], object] | None = None,
    ) -> Live:
        """A session for speech that arrives in pieces; see `Live`.

        Args:
            steps, seed, size, fps, pose, blink, expression, pixels, background: as in `speak`.
            realtime: a frame every 1/fps seconds, idle ones where there is no speech; without, as
                fast as it goes and for speech only.
            clock: what paces the session, instead of the machine's clock.
            on_frame: called with each frame from a thread of the session's own, instead of
                iterating; an exception in it closes the session.

        Raises:
            ImageError: the background cannot be read.
            ParlanteError: an option is out of its range.
        """
        gains = (pose, blink, expression)
        options = _options(steps, seed, size, fps, gains, pixels, background)
        engine, _ = self._engine(options)
        return Live(engine, options.fps, realtime=realtime, clock=clock, on_frame=on_frame)

    def _engine(self, options: _Options) -> tuple[Engine, StageTimes]:
        renderer = FrameRenderer(
            self._bundle,
            self._encoder.model,
            self.portrait,
            size=options.size,
            steps=options.steps,
            seed=options.seed,
            gains=options.gains,
            pixels=options.pixels,
            background=options.background,
            device=self._device,
            precision=self._precision,
            threads=self._threads,
        )
        motion = MotionStream(
            self._bundle, seed=options.seed, manner=self.portrait.manner, device=self._device
        )
        return Engine(motion, renderer, options.fps), renderer.times


@dataclass(frozen=True)
class _Options:
    steps: int
    seed: int
    size: int
    fps: Fraction
    gains: Gains
    pixels: Pixels
    background: Backdrop


class Speech:
    """A video to be: iterate it for `Frame`s, or `save` it. Each iteration starts afresh.

    ``len_hint`` is the number of frames expected (exact for samples, by the header for files, None
    when that says nothing); ``times`` holds what each stage took in the latest iteration.
    """

    def __init__(
        self,
        avatar: Avatar,
        audio: str | Path | NDArray[Any],
        sample_rate: int | None,
        options: _Options,
    ) -> None:
        self._avatar, self._audio, self._sample_rate, self._options = (
            avatar,
            audio,
            sample_rate,
            options,
        )
        samples = expected_samples(audio, sample_rate)
        self.len_hint = None if samples is None else int(-(-samples * options.fps // SAMPLE_RATE))
        self.times = StageTimes()

    def engine(self) -> Engine:
        """A fresh engine with this speech's options, for audio that comes from elsewhere."""
        engine, self.times = self._avatar._engine(self._options)
        return engine

    def __iter__(self) -> Iterator[Frame]:
        chunks = decode_audio(self._audio, self._sample_rate)
        engine = self.engine()
        for chunk in chunks:
            yield from engine.push(chunk)
        yield from engine.flush()

    def save(self, path: str | Path, *, progress: Callable[[int], object] | None = None) -> Path:
        """Write .mp4 or .mov (H.264, AAC) or .mkv; returns the path.

        ``progress`` is called with the number of frames written so far. The file appears whole or
        not at all. Raises OutputError, and AudioError for a file that turns out to be damaged.
        """
        size = self._options.size
        if self._options.pixels != "rgb":
            raise OutputError(f"pixels={self._options.pixels!r}; a file is written from rgb")
        frames = iter(self)
        with VideoWriter(path, width=size, height=size, fps=self._options.fps) as writer:
            for count, frame in enumerate(frames, 1):
                writer.write(frame.image, frame.audio)
                if progress is not None:
                    progress(count)
        return Path(path)


def frame_rate(fps: Fraction | int | float) -> Fraction:
    """An exact rate: 29.97, 23.976 and 59.94 become n · 1000/1001. ParlanteError outside 1…120."""
    if (
        isinstance(fps, bool)
        or not isinstance(fps, (int, float, Fraction, np.integer, np.floating))
        or fps != fps
    ):
        raise ParlanteError(f"fps={fps!r}; give a number from 1 to 120")
    if not 1 <= fps <= 120:
        raise ParlanteError(f"fps={fps}; give a number from 1 to 120")
    if isinstance(fps, Fraction):
        return fps
    nearest = round(float(fps))
    if float(fps) == nearest:
        return Fraction(nearest)
    ntsc = Fraction(round(float(fps) * 1.001) * 1000, 1001)
    return (
        ntsc
        if abs(float(ntsc) - float(fps)) < 0.01
        else Fraction(float(fps)).limit_denominator(1001)
    )


def _options(
    steps: int,
    seed: int,
    size: int,
    fps: Fraction | int | float,
    gains: tuple[float, float, float],
    pixels: Pixels,
    background: Background,
) -> _Options:
    if pixels not in get_args(Pixels):
        raise ParlanteError(f"pixels={pixels!r}; give one of {', '.join(get_args(Pixels))}")
    size = _size(size)
    return _Options(
        _whole("steps", steps, 1, MAX_STEPS),
        _whole("seed", seed, 0, 2**64 - 1),
        size,
        frame_rate(fps),
        Gains(*(_gain(n, v) for n, v in zip(("pose", "blink", "expression"), gains, strict=True))),
        pixels,
        _backdrop(background, size),
    )


def _backdrop(background: Background, size: int) -> Backdrop:
    if background is None:
        return None
    if isinstance(background, str) and background == "green":
        return GREEN
    if isinstance(background, tuple):
        if len(background) != 3:
            raise ParlanteError(f"background={background!r}; a colour has red, green and blue")
        red, green, blue = (_whole("background", v, 0, 255) for v in background)
        return red, green, blue
    picture = load_image(background).rgb
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), np.uint8)


def _whole(name: str, value: int, low: int, high: int) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not low <= value <= high
    ):
        raise ParlanteError(f"{name}={value!r}; give a whole number from {low} to {high}")
    return int(value)


def _size(size: int) -> int:
    if _whole("size", size, 128, MAX_SIZE) % 2:
        raise ParlanteError(f"size={size}; give an even number, H.264 has no others")
    return int(size)


def _gain(name: str, value: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not 0 <= value <= 2
    ):
        raise ParlanteError(f"{name}={value!r}; give a number from 0 (off) to 2 (double)")
    return float(value)


def _video(source: Picture | Sequence[Picture]) -> Path | None:
    """The first video among the pictures."""
    if isinstance(source, (list, tuple)):
        return next((video for one in source if (video := _video(one)) is not None), None)
    named = isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES
    return Path(source) if named else None  # type: ignore[arg-type]


def _photos(source: Picture | Sequence[Picture]) -> Iterator[Photo]:
    if isinstance(source, (list, tuple)):
        if not source:
            raise ImageError("an empty list of photos; give at least one photo")
        for one in source:
            yield from _photos(one)
    elif (video := _video(source)) is not None:
        yield from (Photo(image, None) for image in _spread(read_video(video), VIDEO_FRAMES))
    else:
        yield load_image(source)  # type: ignore[arg-type]


def _spread(frames: Iterator[NDArray[np.uint8]], count: int) -> list[NDArray[np.uint8]]:
    """At most ``2 · count`` frames, evenly spread, of a sequence of unknown length, in one pass."""
    kept: list[NDArray[np.uint8]] = []
    stride = 1
    for i, frame in enumerate(frames):
        if i % stride == 0:
            kept.append(frame)
            if len(kept) == 2 * count:
                kept, stride = kept[::2], stride * 2
    return kept


# --- cache of encoded faces -----------------------------------------------------------------------

_memory: OrderedDict[str, Portrait] = OrderedDict()
_memory_lock = Lock()


def _cache_folder(cache: Path | str | bool | None) -> Path | None:
    if cache is False:
        return None
    if cache is None or cache is True:
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / ".cache") / "parlante"
    return Path(cache)


def _cached(
    encoder: PortraitEncoder,
    photos: list[Photo],
    face: int | None,
    folder: Path | None,
    video: Path | None,
) -> Portrait:
    key = encoder.key(photos, face, video=video is not None)
    with _memory_lock:
        if key in _memory and folder is not None:
            _memory.move_to_end(key)
            return _memory[key]
    portrait = None
    file = folder / f"{key}.npz" if folder is not None else None
    if file is not None and file.exists():
        try:
            portrait = read_portrait(file)
        except ImageError:
            portrait = None  # a damaged cache entry is made anew
    if portrait is None:
        portrait = encoder.encode(photos, face=face)
        if video is not None:
            frames = islice(read_video(video, fps=NATIVE_FPS), SECONDS * int(NATIVE_FPS))
            portrait = replace(portrait, manner=encoder.manner(frames), key=key)
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                _write_atomically(file, portrait.dump())
            except (OSError, OutputError):
                pass  # a read-only home must not keep anyone from speaking
    if folder is not None:
        with _memory_lock:
            _memory[key] = portrait
            while len(_memory) > MEMORY_CACHE:
                _memory.popitem(last=False)
    return portrait


def _write_atomically(path: Path, data: bytes) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
