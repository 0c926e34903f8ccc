"""Speech in: any media file or array becomes 16 kHz mono float32, chunk by chunk.

Channels are averaged, rates are changed by the native resampler, and floats are checked: what comes
out is in [-1, 1].
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from parlante._core import Resampler
from parlante.contract import SAMPLE_RATE, Double, Float, Samples
from parlante.errors import AudioError, shown
from parlante.media.sound import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, SoundFile

# Float samples beyond this are on an integer scale: lossy decoders overshoot full scale by a few
# dB and hot mixes by a few more, speech on the int16 scale peaks in the hundreds and thousands.
MAX_FLOAT_PEAK: Final = 8.0
# More columns than any microphone array has: the array is [channels, n], not [n, channels].
MAX_CHANNELS: Final = 64

_FULL_SCALE: Final = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}


def decode_audio(source: str | Path | Samples, sample_rate: int | None = None) -> Iterator[Float]:
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
    return _file_chunks(SoundFile(_audio_path(source, sample_rate)), str(source))


def read_audio(path: Path, longest: float) -> tuple[Float, int]:
    """All of a media file's sound at its own rate: float32 [n], channels averaged, and the rate.

    Raises:
        AudioError: the file cannot be used, or lasts longer than ``longest`` seconds.
    """
    rate, blocks = _mono_blocks(SoundFile(path), str(path))
    chunks, left = [], longest * rate
    for block in blocks:
        chunks.append(block)
        left -= len(block)
        if left < 0:
            raise AudioError(f"the sound lasts longer than {longest:g} s; cut it")
    return np.concatenate(chunks), rate


def expected_samples(source: str | Path | Samples, sample_rate: int | None = None) -> int | None:
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
    file = SoundFile(_audio_path(source, sample_rate))
    seconds = file.seconds
    file.close()
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
        raise AudioError(
            f"sample_rate is {shown(sample_rate)}; give a whole number of Hz"
        ) from error
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise AudioError(
            f"sample_rate is {sample_rate}; give {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    return rate


def check_samples(samples: Samples) -> None:
    """AudioError unless `samples` is int16, float32 or float64, [n] or [n, channels], and sane."""
    if not isinstance(samples, np.ndarray):
        raise AudioError(
            f"audio is of type {type(samples).__name__}; give a numpy array of int16, float32 or "
            "float64 samples"
        )
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


def to_mono(samples: Samples) -> Float:
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


def _average(samples: Samples) -> Float:
    """[n] or [n, channels] of any PCM type to float32 [n]; integers are divided by full scale."""
    wide = unscaled(samples)
    return np.asarray(wide.mean(axis=1) if wide.ndim == 2 else wide, np.float32)


def unscaled(samples: Samples) -> Double:
    """Samples of any PCM type as float64 of the same shape, full scale 1."""
    kind = samples.dtype.str[1:]
    scale = _FULL_SCALE.get(kind, 1.0)
    wide = samples.astype(np.float64)
    return (wide - scale if kind == "u1" else wide) / scale


def _check_floats(samples: Samples, what: str) -> None:
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


def _array_blocks(samples: Samples, rate: int) -> Iterator[Float]:
    for start in range(0, samples.shape[0], rate):
        yield _average(samples[start : start + rate])


def _resampled(blocks: Iterator[Float], rate: int) -> Iterator[Float]:
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


def _file_chunks(file: SoundFile, name: str) -> Iterator[Float]:
    rate, blocks = _mono_blocks(file, name)
    yield from _resampled(blocks, rate)


def _mono_blocks(file: SoundFile, name: str) -> tuple[int, Iterator[Float]]:
    blocks = file.blocks()
    first = next(blocks, None)
    if first is None:
        raise AudioError(f"{name} holds no samples; give a file with speech in it")
    return first[0], _one_rate(first, blocks, name)


def _one_rate(
    first: tuple[int, Samples], rest: Iterator[tuple[int, Samples]], name: str
) -> Iterator[Float]:
    for rate, samples in chain([first], rest):
        if rate != first[0]:
            raise AudioError(
                f"{name} changes its sample rate from {first[0]} to {rate} Hz; "
                "convert it to one rate first"
            )
        if samples.dtype.kind == "f":
            _check_floats(samples, name)
        yield _average(samples)
