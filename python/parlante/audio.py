"""Speech in: any media file or array becomes 16 kHz mono float32, chunk by chunk.

Files go through FFmpeg's demuxers and decoders (PyAV), so memory does not grow with their length.
What the container says about encoder delay and padding is obeyed to the sample. A file that is
damaged, or shorter than its own header says, is an error rather than a video that ends too early.
"""

import math
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from parlante._core import Resampler
from parlante.errors import AudioError
from parlante.media import open_media, reason

Samples: TypeAlias = NDArray[np.float32]

SAMPLE_RATE: Final = 16_000
MIN_SAMPLE_RATE: Final = 4_000
MAX_SAMPLE_RATE: Final = 768_000

# Float samples beyond this are on an integer scale: lossy decoders overshoot full scale by a few
# dB and hot mixes by a few more, speech on the int16 scale peaks in the hundreds and thousands.
MAX_FLOAT_PEAK: Final = 8.0
# More columns than any microphone array has: the array is [channels, n], not [n, channels].
MAX_CHANNELS: Final = 64

# A file may end this much before the length in its header: one codec frame plus rounded headers.
_MISSING_TOLERANCE_S: Final = 0.1
# Matroska writes the length of the longest track, in milliseconds, sometimes estimated.
_MATROSKA_TOLERANCE_S: Final = 0.5
# MP4 edit lists count in ticks of the movie, as coarse as 1/600 s (QuickTime).
_EDIT_TICKS_PER_S: Final = 600

_FULL_SCALE: Final = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}


def decode_audio(
    source: str | Path | NDArray[Any], sample_rate: int | None = None
) -> Iterator[Samples]:
    """Decode `source` to 16 kHz mono, lazily.

    Args:
        source: a media file (audio or video, any rate, any number of channels) or samples, int16,
            float32 or float64, [n] or [n, channels], floats in [-1, 1]. An array is read while the
            result is iterated and must not change until then.
        sample_rate: rate of the array in Hz, 4000..768000; None for a file, which knows its own.

    Returns:
        Chunks float32 [k], k >= 1, in [-1, 1]: n samples at rate r become ceil(n * 16000 / r) in
        all. Channels are averaged.

    Raises:
        AudioError: at once for arguments and files that cannot be used, while iterating for a file
            that turns out to be damaged, cut short or without samples.
    """
    if isinstance(source, np.ndarray):
        rate = check_sample_rate(sample_rate)
        check_samples(source)
        if source.shape[0] == 0:
            raise AudioError("audio array has 0 samples; give at least one")
        return _resampled(_array_blocks(source, rate), rate)
    return _FileDecoder(_audio_path(source, sample_rate)).chunks()


def expected_samples(
    source: str | Path | NDArray[Any], sample_rate: int | None = None
) -> int | None:
    """How many 16 kHz samples `decode_audio` will give, for a progress bar.

    Exact for arrays; for files what the header says, None when it says nothing.

    Raises:
        AudioError: as `decode_audio` does before it is iterated.
    """
    if isinstance(source, np.ndarray):
        rate = check_sample_rate(sample_rate)
        check_samples(source)
        length: int = source.shape[0]
        return -(-length * SAMPLE_RATE // rate)
    decoder = _FileDecoder(_audio_path(source, sample_rate))
    seconds = decoder.seconds
    decoder.close()
    return None if seconds is None else math.ceil(seconds * SAMPLE_RATE)


def check_sample_rate(sample_rate: int | None) -> int:
    """Return `sample_rate` as an int; AudioError if it is missing or not in 4000..768000."""
    if sample_rate is None:
        raise AudioError(
            "samples came without sample_rate; pass their rate in Hz, such as sample_rate=16000"
        )
    try:
        rate = operator.index(sample_rate)
    except TypeError as error:
        raise AudioError(f"sample_rate is {sample_rate!r}; give a whole number of Hz") from error
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise AudioError(
            f"sample_rate is {sample_rate}; give {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    return rate


def check_samples(samples: NDArray[Any]) -> None:
    """AudioError unless `samples` is int16, float32 or float64, [n] or [n, channels], and sane."""
    kind = samples.dtype.str[1:]
    if kind not in ("i2", "f4", "f8"):
        raise AudioError(
            f"audio array is {samples.dtype}; give int16, or float32 or float64 in [-1, 1]"
        )
    if samples.ndim not in (1, 2):
        raise AudioError(f"audio array has shape {list(samples.shape)}; give [n] or [n, channels]")
    if samples.ndim == 2 and not 1 <= samples.shape[1] <= MAX_CHANNELS:
        raise AudioError(
            f"audio array has shape {list(samples.shape)}; give [n, channels] with 1 to "
            f"{MAX_CHANNELS} channels (an array of [channels, n] has to be transposed)"
        )
    if kind != "i2":
        _check_floats(samples, "audio array")


def to_mono(samples: NDArray[Any]) -> Samples:
    """Check `samples` and average their channels into a new float32 [n]; int16 is / 32768.

    Raises:
        AudioError: wrong dtype or shape, NaN or infinity, or floats on an integer scale.
    """
    check_samples(samples)
    return _average(samples)


def _audio_path(source: object, sample_rate: int | None) -> Path:
    if not isinstance(source, (str, Path)):
        raise AudioError(
            f"audio is of type {type(source).__name__}; give a path, or a numpy array of int16, "
            "float32 or float64 samples"
        )
    if sample_rate is not None:
        raise AudioError(
            f"sample_rate={sample_rate} came with the file {source}, which states its own rate; "
            "leave it out, or pass decoded samples as an array"
        )
    return Path(source)


def _average(samples: NDArray[Any]) -> Samples:
    """[n] or [n, channels] of any PCM type to float32 [n]; integers are divided by full scale."""
    kind = samples.dtype.str[1:]
    scale = _FULL_SCALE.get(kind, 1.0)
    wide = samples.astype(np.float64)
    if kind == "u1":
        wide -= scale
    mono = wide.mean(axis=1) if wide.ndim == 2 else wide
    result: Samples = (mono / scale).astype(np.float32)
    return result


def _check_floats(samples: NDArray[Any], what: str) -> None:
    if samples.size == 0:
        return
    # NaN survives max and min, so one comparison finds it with the infinities.
    peak = max(abs(float(samples.max())), abs(float(samples.min())))
    if not math.isfinite(peak):
        raise AudioError(f"{what} contains NaN or infinity; replace them, say with silence")
    if peak > MAX_FLOAT_PEAK:
        raise AudioError(
            f"{what} holds floats up to {peak:g}, expected [-1, 1]; divide by full scale (32768 "
            "for samples on the int16 scale) or pass them as int16"
        )


def _array_blocks(samples: NDArray[Any], rate: int) -> Iterator[Samples]:
    for start in range(0, samples.shape[0], rate):
        yield _average(samples[start : start + rate])


def _resampled(blocks: Iterator[Samples], rate: int) -> Iterator[Samples]:
    """To 16 kHz, which is passed on as it is, and into the range of every 16-bit output."""
    resampler = None if rate == SAMPLE_RATE else Resampler(rate, SAMPLE_RATE)
    for block in blocks:
        chunk = block if resampler is None else resampler.process(block)
        if chunk.size:
            yield np.clip(chunk, -1.0, 1.0)
    if resampler is not None:
        chunk = resampler.flush()
        if chunk.size:
            yield np.clip(chunk, -1.0, 1.0)


class _FileDecoder:
    """One pass over the best audio stream of a file: opened at once, closed after the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
        self._container.close()

    def chunks(self) -> Iterator[Samples]:
        try:
            blocks = self._blocks()
            first = next(blocks, None)
            if first is None:
                raise AudioError(f"{self._path} holds no samples; give a file with speech in it")
            rate, samples = first
            yield from _resampled(self._one_rate(rate, samples, blocks), rate)
        finally:
            self.close()

    def _one_rate(
        self, rate: int, first: Samples, rest: Iterator[tuple[int, Samples]]
    ) -> Iterator[Samples]:
        yield first
        for block_rate, samples in rest:
            if block_rate != rate:
                raise AudioError(
                    f"{self._path} changes its sample rate from {rate} to {block_rate} Hz; "
                    "convert it to one rate first"
                )
            yield samples

    def _blocks(self) -> Iterator[tuple[int, Samples]]:
        """(rate, mono samples) of each frame; the rate is the decoder's, headers get it wrong."""
        total = 0
        rate = SAMPLE_RATE
        for frame in self._frames():
            rate = frame.sample_rate
            if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
                raise AudioError(
                    f"{self._path} has a sample rate of {rate} Hz; convert it to "
                    f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
                )
            keep = self._kept(frame, total, rate)
            if keep > 0:
                samples = _pcm(frame)[:keep]
                if samples.dtype.kind == "f":
                    _check_floats(samples, str(self._path))
                total += keep
                yield rate, _average(samples)
        self._check_complete(total / rate)

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
                    frames = self._stream.codec_context.decode(packet)
                    # The first packet of Vorbis primes its decoder (Vorbis I, section 4.3.8).
                    if self._packets > 1 or not self._ogg_vorbis:
                        yield from frames
        except (av.FFmpegError, ValueError, IndexError) as error:  # IndexError: a new stream
            raise AudioError(
                f"{self._path} is damaged near {self._end_s:.2f} s ({reason(error)}); "
                "export or copy the file again"
            ) from error

    def _kept(self, frame: av.AudioFrame, total: int, rate: int) -> int:
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
        if (
            ("wav" in self._formats and _is_cut_riff(self._path))
            or ("ogg" in self._formats and _is_cut_ogg(self._path))
            or ("mp3" in self._formats and _is_cut_mp3(self._path, self._packets))
        ):
            raise AudioError(self._cut_message())

    def _cut_message(self) -> str:
        return (
            f"{self._path} ends before its time, after {self._end_s:.2f} s; "
            "it was cut short: copy or export the file again"
        )


def _pcm(frame: av.AudioFrame) -> NDArray[Any]:
    """[n, channels] of whatever PCM type the decoder gives."""
    array: NDArray[Any] = frame.to_ndarray()
    return array.T if frame.format.is_planar else array.reshape(frame.samples, -1)


def _is_cut_riff(path: Path) -> bool:
    """Whether a WAV file is shorter than its RIFF header says; FFmpeg goes by the file's size.

    Writers that cannot seek leave 0 or about 2^31 or 2^32 in the header, which says nothing.
    """
    with path.open("rb") as file:
        head = file.read(8)
        size = file.seek(0, 2)
    stated = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and 0 < stated < 0x7FFF0000 and size < stated


def _is_cut_ogg(path: Path) -> bool:
    """Whether the last Ogg page is not all there (RFC 3533, section 6)."""
    header, longest_page = 27, 27 + 255 + 255 * 255
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - longest_page))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < header:
        return True
    segments = page[26]
    return len(page) < header + segments + sum(page[header : header + segments])


def _is_cut_mp3(path: Path, packets: int) -> bool:
    """Whether `packets` is less than the frames that the Xing or Info header, if any, counts."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3":
            for byte in head[6:]:
                start = start << 7 | byte
            start += 10
        file.seek(start)
        first = file.read(512)
    for mark in (b"Xing", b"Info"):
        at = first.find(mark)
        if at >= 0 and len(first) >= at + 12 and first[at + 7] & 1:
            frames = int.from_bytes(first[at + 8 : at + 12], "big")
            return packets < frames - 2  # some encoders count the header itself
    return False
