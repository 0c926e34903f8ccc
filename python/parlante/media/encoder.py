"""Pictures and the sound beside them, encoded: what files and network streams share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any, Final

import av
import av.container
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE, Image
from parlante.errors import OutputError, shown
from parlante.media.codecs import AAC_RATES, PRESETS, Codecs

# AAC-LC is transparent for speech at 4 bits a sample; at high rates this much is enough.
_AAC_BITS_PER_SAMPLE: Final = 4
_AAC_BITS_PER_CHANNEL: Final = 128_000  # a second
_LAYOUTS: Final = {1: "mono", 2: "stereo"}
_MAX_SIDE: Final = 8192
_MAX_FPS: Final = 240
_MAX_FPS_TERM: Final = 2**31 - 1  # FFmpeg's fractions
_BT709: Final = 1  # primaries and transfer function in ITU-T H.273


@dataclass(frozen=True, kw_only=True)
class Format:
    """Of a file or stream.

    width, height: even, 16 to 8192 pixels; fps: 1 to 240, whole or an exact fraction; sample_rate:
    Hz, one that AAC knows; channels: 1 or 2; preset: x264's trade of time against size; threads: of
    x264, 0 lets it choose.

    Raises:
        OutputError: any of these is not so.
    """

    width: int
    height: int
    fps: Fraction | int = 25
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    preset: str = "veryfast"
    threads: int = 0

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if not isinstance(side, Integral) or not 16 <= side <= _MAX_SIDE or side % 2:
                raise OutputError(
                    f"{name} is {shown(side)}; 4:2:0 video needs an even number from 16 to "
                    f"{_MAX_SIDE}"
                )
        if not isinstance(self.fps, (int, Fraction)) or not 1 <= self.fps <= _MAX_FPS:
            raise OutputError(
                f"fps is {self.fps!r}; give 1 to {_MAX_FPS} as an int or a Fraction, such as "
                "Fraction(30000, 1001)"
            )
        if max(Fraction(self.fps).as_integer_ratio()) > _MAX_FPS_TERM:
            raise OutputError(f"fps is {self.fps!r}; give a fraction of smaller numbers")
        if self.sample_rate not in AAC_RATES:
            raise OutputError(
                f"sample_rate is {self.sample_rate}; give one of "
                f"{', '.join(map(str, AAC_RATES))} Hz"
            )
        if self.channels not in tuple(_LAYOUTS):
            raise OutputError(f"channels is {shown(self.channels)}; give 1 or 2")
        if not isinstance(self.preset, str) or self.preset not in PRESETS:
            raise OutputError(f"preset is {shown(self.preset)}; give one of {', '.join(PRESETS)}")
        if not isinstance(self.threads, Integral) or self.threads < 0:
            raise OutputError(f"threads is {shown(self.threads)}; give 0 (automatic) or more")


def check_picture(image: NDArray[Any], shape: tuple[int, int, int]) -> None:
    """OutputError unless ``image`` is uint8 of this ``shape``."""
    if not isinstance(image, np.ndarray):
        raise OutputError(f"frame is of type {type(image).__name__}; give uint8 {list(shape)}")
    if image.dtype != np.uint8 or image.shape != shape:
        raise OutputError(f"frame is {image.dtype} {list(image.shape)}; give uint8 {list(shape)}")


def check_sound(audio: NDArray[np.int16], channels: int) -> None:
    """OutputError unless ``audio`` is int16 [k], or of two channels [k, 2]."""
    if not isinstance(audio, np.ndarray):
        raise OutputError(f"audio is of type {type(audio).__name__}; give int16 [samples]")
    each = () if channels == 1 else (channels,)
    if audio.dtype != np.int16 or audio.ndim == 0 or audio.shape[1:] != each:
        wanted = "[samples]" if channels == 1 else f"[samples, {channels}]"
        raise OutputError(f"audio is {audio.dtype} {list(audio.shape)}; give int16 {wanted}")


class Encoder:
    """The pictures and the sound of an open container."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        form: Format,
        codecs: Codecs,
        options: dict[str, str],
    ) -> None:
        self.container, self._pixels = container, codecs.pixels
        self.shape = (form.height, form.width, 4 if codecs.transparent else 3)
        self.frames = self.samples = 0
        self._frame_duration = 1 / Fraction(form.fps)
        self._sample_duration = Fraction(1, form.sample_rate)
        os.environ.setdefault("SVT_LOG", "1")  # or SVT-AV1 tells its settings on standard error
        video = container.add_stream(codecs.video, rate=form.fps)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = form.width, form.height
        video.pix_fmt = codecs.pixels
        if codecs.tag:
            video.codec_tag = codecs.tag
        video.time_base = self._frame_duration
        context = video.codec_context
        context.time_base = self._frame_duration
        context.options = options
        context.thread_count = form.threads
        context.color_primaries = _BT709
        context.color_trc = _BT709
        self._conversion: dict[str, Any] = {}
        if not codecs.rgb:
            context.color_range = ColorRange.MPEG
            context.colorspace = Colorspace.ITU709
            self._conversion["dst_colorspace"] = Colorspace.ITU709
            self._conversion["dst_color_range"] = ColorRange.MPEG
        self._video = video
        self._reformatter = VideoReformatter()  # one for all frames: to make one starts threads
        self._layout = _LAYOUTS[form.channels]
        audio = container.add_stream(codecs.audio, rate=form.sample_rate, layout=self._layout)
        assert isinstance(audio, av.AudioStream)
        audio.time_base = self._sample_duration
        if codecs.audio in ("aac", "libopus"):
            each = min(_AAC_BITS_PER_SAMPLE * form.sample_rate, _AAC_BITS_PER_CHANNEL)
            audio.bit_rate = each * form.channels
        self._audio, self._channels = audio, form.channels

    def check(self, image: Image, audio: NDArray[np.int16]) -> None:
        """OutputError unless both are what `write` takes."""
        check_picture(image, self.shape)
        check_sound(audio, self._channels)

    def write(self, image: Image, audio: NDArray[np.int16]) -> None:
        """Encode and mux one frame and its sound, both as `check` wants them."""
        given = "rgb24" if image.shape[2] == 3 else "rgba"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=given)
        picture = self._reformatter.reformat(
            picture,
            format=self._pixels,
            threads=1,
            **self._conversion,
        )
        picture.pts, picture.time_base = self.frames, self._frame_duration
        self.container.mux(self._video.encode(picture))
        if len(audio):
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(audio).reshape(1, -1), format="s16", layout=self._layout
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
