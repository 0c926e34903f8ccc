"""The sound as it came, for what is saved beside the pictures: its own rate, one channel or two."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parlante._core import Resampler
from parlante.contract import Double, Samples
from parlante.errors import AudioError
from parlante.media.codecs import AAC_RATES
from parlante.media.sound import SoundFile
from parlante.speech.audio import check_sample_rate, unscaled

_log = logging.getLogger(__name__)

TWO = 2  # channels are kept; more are averaged into one
STUDIO = 48_000  # Hz: what other rates are brought to


class Recording:
    """A pass over speech, a file or samples as `decode_audio` takes them, to be saved.

    rate: Hz, its own where that is among ``rates``, else 48 kHz; channels: 1 or 2.

    Raises:
        AudioError: as `decode_audio`, at once or from `take`.
    """

    def __init__(
        self,
        source: str | Path | Samples,
        sample_rate: int | None,
        rates: Sequence[int] = AAC_RATES,
    ) -> None:
        if isinstance(source, np.ndarray):
            blocks = _pieces(source, check_sample_rate(sample_rate))
        else:
            blocks = SoundFile(Path(source)).blocks()
        first = next(blocks, None)
        if first is None:
            raise AudioError(f"{source} holds no samples; give a file with speech in it")
        given, samples = first
        own = samples.shape[1] if samples.ndim == TWO else 1
        self.channels = own if own <= TWO else 1
        if own > TWO:
            _log.warning("the sound's %d channels are saved as one, their mean", own)
        self.rate = given if given in rates else STUDIO
        self._blocks: Iterator[Double] = (self._pcm(own) for _, own in chain([first], blocks))
        if given != self.rate:
            self._blocks = self._resampled(given, self._blocks)
        self._left: NDArray[np.int16] = np.zeros((0, self.channels), np.int16)

    def take(self, count: int) -> NDArray[np.int16]:
        """The next ``count`` samples int16 [count, channels]; silence after its end."""
        parts, missing = [self._left], count - len(self._left)
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            parts.append(np.clip(np.round(block * 32768), -32768, 32767).astype(np.int16))
            missing -= len(block)
        held = np.concatenate(parts)
        self._left = held[count:]
        return np.pad(held[:count], ((0, max(0, missing)), (0, 0)))

    def _pcm(self, samples: Samples) -> Double:
        """[n, channels], full scale 1."""
        wide = unscaled(samples).reshape(len(samples), -1)
        return wide if wide.shape[1] == self.channels else wide.mean(1, keepdims=True)

    def _resampled(self, given: int, blocks: Iterator[Double]) -> Iterator[Double]:
        resamplers = [Resampler(given, self.rate) for _ in range(self.channels)]
        for block in blocks:
            columns = zip(resamplers, block.astype(np.float32).T, strict=True)
            yield np.stack([one.process(np.ascontiguousarray(c)) for one, c in columns], 1)
        yield np.stack([one.flush() for one in resamplers], 1)


def _pieces(samples: Samples, rate: int) -> Iterator[tuple[int, Samples]]:
    for start in range(0, len(samples), rate):
        yield rate, samples[start : start + rate]
