"""Sound files in: the best audio stream of a file, decoded as it is.

FFmpeg's demuxers and decoders (PyAV) read it, so memory does not grow with its length. What the
container says about encoder delay and padding is obeyed to the sample. A file that is damaged, or
shorter than its own header says, is an error rather than a video that ends too early.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.plane import AudioPlane

from parlante.contract import SAMPLE_RATE, Samples
from parlante.errors import AudioError, reason
from parlante.media.container import Unchanged, open_media
from parlante.media.cut_short import is_cut_short

MIN_SAMPLE_RATE: Final = 4_000
MAX_SAMPLE_RATE: Final = 768_000

# A file may end this much before the length in its header: one codec frame plus rounded headers.
_MISSING_TOLERANCE_S: Final = 0.1
# Matroska writes the length of the longest track, in milliseconds, sometimes estimated.
_MATROSKA_TOLERANCE_S: Final = 0.5
# MP4 edit lists count in ticks of the movie, as coarse as 1/600 s (QuickTime).
_EDIT_TICKS_PER_S: Final = 600

# NumPy's name of FFmpeg's sample types, planar ones without their "p".
_DTYPES: Final = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
# FFmpeg names a layout like this when its channels are listed one by one. PyAV copies such a
# layout without its list and frees the list twice.
_LISTED: Final = " channels ("
# What has to outlive the process for that reason.
_kept: Final[list[Any]] = []


class SoundFile:
    """One pass over the best audio stream of a file: opened at once, closed after the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unchanged = Unchanged(path, AudioError)
        self._container = open_media(path, AudioError)
        stream = self._container.streams.best("audio")
        if not isinstance(stream, av.AudioStream):
            kinds = sorted({str(other.type) for other in self._container.streams})
            self.close()
            raise AudioError(
                f"{path} has no audio stream (it has: {', '.join(kinds) or 'nothing'}); "
                "give a file with speech in it"
            )
        if stream.codec_context is None:
            self.close()
            raise AudioError(
                f"{path} has sound in a coding unknown here; convert it to wav, flac, mp3 or m4a"
            )
        _unlist_channels(stream.codec_context)
        self._stream = stream
        self._formats = frozenset(self._container.format.name.split(","))
        self._ogg_vorbis = "ogg" in self._formats and stream.codec_context.name == "vorbis"
        if self._ogg_vorbis:
            stream.codec_context.options = {"flags2": "+skip_manual"}
        elif stream.codec_context.name == "flac":
            stream.codec_context.options = {"err_detect": "crccheck"}
        self._packets = 0
        self._end_s = 0.0

    @property
    def seconds(self) -> float | None:
        """Length by the header; for formats without one FFmpeg's estimate, if any."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None:
            return float(self._container.duration / av.time_base)
        return None

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._container.close()

    def blocks(self) -> Iterator[tuple[int, Samples]]:
        """(rate, samples [n, channels]) of each decoded frame, as the decoder gives them.

        Closes the file. The rate is the decoder's: headers get it wrong.

        Raises:
            AudioError: the file turns out to be damaged, cut short, or of a rate not taken here, or
                changes while it is read.
        """
        total = 0
        rate = SAMPLE_RATE
        try:
            for frame in self._frames():
                self._unchanged.check()
                rate = frame.sample_rate
                if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
                    raise AudioError(
                        f"{self._path} has a sample rate of {rate} Hz; convert it to "
                        f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
                    )
                keep = self._presented(frame, total, rate)
                if keep > 0:
                    total += keep
                    yield rate, _pcm(frame)[:keep]
            self._unchanged.check()
            self._check_complete(total / rate)
        finally:
            self.close()

    def _frames(self) -> Iterator[av.AudioFrame]:
        try:
            # All streams are demuxed though one is decoded: where the others end shows a cut file.
            for packet in self._container.demux():
                if packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    self._end_s = max(self._end_s, float(end))
                if packet.stream.index == self._stream.index:
                    # A WAV header without a length makes its last packet look cut.
                    if packet.is_corrupt and "wav" not in self._formats:
                        raise AudioError(self._cut_message())
                    self._packets += packet.size > 0
                    frames = self._decoded(packet)
                    self._check_layouts(frames)
                    # The first packet of Vorbis primes its decoder (Vorbis I, section 4.3.8).
                    if self._packets > 1 or not self._ogg_vorbis:
                        yield from frames
        except (av.FFmpegError, ValueError, IndexError) as error:  # IndexError: a new stream
            raise AudioError(
                f"{self._path} is damaged near {self._end_s:.2f} s ({reason(error)}); "
                "export or copy the file again"
            ) from error

    def _decoded(self, packet: av.Packet[Any]) -> list[av.AudioFrame]:
        context = self._stream.codec_context
        try:
            return context.decode(packet)
        except av.ArgumentError:
            if "flv" not in self._formats:
                raise
            # The header of FLV knows mono and stereo only. For others FFmpeg sends a change of
            # channels along, which its own AAC decoder does not take, nor need.
            return context.decode(av.Packet(bytes(packet))) if packet.size else []

    def _check_layouts(self, frames: list[av.AudioFrame]) -> None:
        listed = [frame.layout for frame in frames if _LISTED in frame.layout.name]
        if listed:
            _kept.extend(listed)
            raise AudioError(
                f"{self._path} has channels in an order of its own ({listed[0].name}); convert it "
                "to mono or stereo"
            )

    def _presented(self, frame: av.AudioFrame, total: int, rate: int) -> int:
        """How many samples of `frame`, after `total` others, belong to the presentation.

        FFmpeg drops what its demuxers mark as delay or padding. Not marked is the padding at the
        end of MP4, which is in the duration of the last packet and in the edit list; marked wrongly
        is that of Ogg Vorbis files of a single page, so all of Ogg Vorbis is trimmed here.
        """
        keep: int = frame.samples
        mov = "mov" in self._formats
        if not (mov or self._ogg_vorbis) or frame.time_base is None:
            return keep
        if mov and frame.duration:
            keep = min(keep, round(frame.duration * frame.time_base * rate))
        if self._stream.duration is not None and self._stream.time_base is not None:
            end = round(self._stream.duration * self._stream.time_base * rate)
            slack = rate // _EDIT_TICKS_PER_S if mov else 0
            if total + keep > end + slack:
                keep = end - total
        return keep

    def _check_complete(self, seconds: float) -> None:
        """AudioError if the file ends before the length that it states itself."""
        expected: float | None = None
        tolerance = _MISSING_TOLERANCE_S
        if self._formats & {"flac", "mov", "aiff"}:
            expected = self.seconds
        elif "matroska" in self._formats and self._container.duration is not None:
            expected = self._container.duration / av.time_base
            seconds = max(seconds, self._end_s)
            tolerance = _MATROSKA_TOLERANCE_S
        if expected is not None and seconds < expected - tolerance:
            raise AudioError(
                f"{self._path} states {expected:.2f} s and holds {seconds:.2f} s of it; "
                "it is damaged or was cut short: copy or export the file again"
            )
        if is_cut_short(self._path, self._formats, self._packets):
            raise AudioError(self._cut_message())

    def _cut_message(self) -> str:
        return (
            f"{self._path} ends before its time, after {self._end_s:.2f} s; "
            "it was cut short: copy or export the file again"
        )


def _unlist_channels(context: av.AudioCodecContext) -> None:
    """Let a decoder that goes by its container forget which channel is which.

    Only their number is needed, as channels are averaged.
    """
    layout = context.layout
    if _LISTED in layout.name:
        # The copy of the layout owns the list then, and frees it.
        context.layout = f"{layout.nb_channels} channels"


def _pcm(frame: av.AudioFrame) -> Samples:
    """[n, channels] of whatever PCM type the decoder gives."""
    dtype = np.dtype(_DTYPES[frame.format.name.removesuffix("p")])
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        return _plane(frame, 0, dtype, frame.samples * channels).reshape(-1, channels)
    return np.stack([_plane(frame, i, dtype, frame.samples) for i in range(channels)], axis=1)


def _plane(frame: av.AudioFrame, index: int, dtype: np.dtype[Any], count: int) -> Samples:
    # `frame.planes`, and with it `to_ndarray`, runs past the end at eight channels and more.
    plane: Any = AudioPlane(frame, index)
    return np.frombuffer(plane, dtype, count)
