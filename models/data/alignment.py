"""The offset between sound and picture of each source, person and clip.

The opening of the lips is predicted from what Whisper says of the sound (`models.data.whisper`), by
ridge regression, each person from other people only; the offset is where it fits best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import whisper
from models.data.dataset import MIN_FRAMES, Clip
from parlante.contract import HEARD, Float
from parlante.speech.audio import decode_audio

MIN_SOURCE_CORRELATION = 0.4  # below, a source's sound tells too little of its lips
MIN_CORRELATION = 0.15  # of a clip
MAX_OFFSET = 6  # frames searched to either side
LAGS = np.arange(-MAX_OFFSET, MAX_OFFSET + 1)
PERSON_SPREAD, CLIP_SPREAD = 1.0, 0.5  # frames: people around their source, clips around theirs
FAR, FEW = 4, 50  # frames: of a clip's best lag from its person's; where that tells nothing
FOLDS = 4  # of people
RIDGE = 1500.0
ROUNDS = 3  # offsets and regression sharpen each other


@dataclass(frozen=True)
class _Heard:
    """A clip of N frames: what is said of its sound [N, D], lips' opening [N], frames kept [N]."""

    clip: Clip
    said: Float
    opening: Float
    keep: NDArray[np.bool_]

    def together(self, offset: float) -> tuple[Float, Float]:
        """Rows of both, the picture ``offset`` frames late."""
        lag, n = round(offset), len(self.keep)
        t = np.arange(max(0, -lag), min(n, n - lag))
        t = t[self.keep[t + lag]]
        return self.said[t], self.opening[t + lag]


def said_of(clips: list[Clip], data: Path, out: Path) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Of each clip with sound and lips its name, and what Whisper says of its frames [n, 1024]."""
    usable = []
    for clip in clips:
        with np.load(out / "fit" / f"{clip.name}.npz", allow_pickle=False) as arrays:
            if len(arrays["mel"]) and arrays["keep"].sum() >= MIN_FRAMES:
                usable.append(clip)
    sounds = (np.concatenate(list(decode_audio(data / clip.file))) for clip in usable)
    heard = whisper.hear(whisper.framed(sound[: whisper.WINDOW // 2]) for sound in sounds)
    for clip, tokens in zip(usable, heard, strict=True):
        yield clip.name, tokens.reshape(-1, HEARD)


def correlation_by_lag(
    predicted: Float, observed: Float, keep: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Correlation of predicted[t] with observed[t + lag] over kept frames.

    For lag −MAX_OFFSET…MAX_OFFSET.
    """
    out = np.zeros(len(LAGS), np.float32)
    n = len(predicted)
    for i, lag in enumerate(LAGS):
        t = np.arange(max(0, -lag), min(n, n - lag))
        t = t[keep[t + lag]]
        if len(t) >= MIN_FRAMES:
            a, b = predicted[t] - predicted[t].mean(), observed[t + lag] - observed[t + lag].mean()
            out[i] = (a * b).sum() / np.sqrt(max((a * a).sum() * (b * b).sum(), 1e-12))
    return out


def evidence(curve: NDArray[np.float32], frames: float) -> NDArray[np.float64]:
    """Log-likelihood of each lag, from the correlation at it over ``frames`` frames.

    About four of them say the same.
    """
    return -frames / 8 * np.log1p(-(np.clip(curve, 0, 0.95).astype(np.float64) ** 2))


def likeliest(likelihood: NDArray[np.float64], around: float, spread: float) -> float:
    """Most probable lag in quarters of a frame, given the log-likelihood of each.

    Lags lie normally around ``around``.
    """
    posterior = likelihood - 0.5 * ((LAGS - around) / spread) ** 2
    best = int(posterior[1:-1].argmax()) + 1
    left, middle, right = posterior[best - 1 : best + 2]
    vertex = (left - right) / (2 * min(left - 2 * middle + right, -1e-9))
    return float(np.round(4 * (LAGS[best] + np.clip(vertex, -1, 1))) / 4 + 0.0)  # no minus zero


def _loaded(clips: list[Clip], out: Path, said: Mapping[str, NDArray[np.float16]]) -> list[_Heard]:
    loaded = []
    for clip in clips:
        if clip.name not in said:
            continue
        with np.load(out / "fit" / f"{clip.name}.npz", allow_pickle=False) as arrays:
            keep, aperture = arrays["keep"], arrays["aperture"].astype(np.float32)
        own = said[clip.name][: len(keep)].astype(np.float32)
        keep &= np.arange(len(keep)) < len(own)
        own = np.pad(own, ((0, len(keep) - len(own)), (0, 0)))
        # A frame's and those of the one before it, less what is the clip's own.
        both = np.concatenate([own, np.pad(own, ((1, 0), (0, 0)))[:-1]], 1)
        both -= both[keep].mean(0)
        spread = max(float(aperture[keep].std()), 0.02)
        loaded.append(_Heard(clip, both, (aperture - aperture[keep].mean()) / spread, keep))
    return loaded


def _predicted(loaded: list[_Heard], offset: Mapping[tuple[str, str], float]) -> list[Float]:
    """Each clip's opening [N], from training clips of other people with these offsets."""
    people = sorted({h.clip.person for h in loaded})
    fold = {person: i % FOLDS for i, person in enumerate(people)}
    clips = Counter(h.clip.person for h in loaded)
    size = loaded[0].said.shape[1]
    gram, right = np.zeros((FOLDS, size, size), np.float32), np.zeros((FOLDS, size), np.float32)
    for h in loaded:
        if h.clip.split != "test":
            x, y = h.together(offset[h.clip.source, h.clip.person])
            # A person with a thousand sentences must not become the voice of all.
            weight, own = np.float32(clips[h.clip.person] ** -0.5), fold[h.clip.person]
            gram[own] += weight * (x.T @ x)
            right[own] += weight * (x.T @ y)
    ridge = RIDGE * np.eye(size)
    weights = [
        np.linalg.solve(gram.sum(0) - gram[k] + ridge, right.sum(0) - right[k])
        for k in range(FOLDS)
    ]
    return [(h.said @ weights[fold[h.clip.person]]).astype(np.float32) for h in loaded]


def align(clips: list[Clip], out: Path, said: Mapping[str, NDArray[np.float16]]) -> dict[str, Any]:
    """Offset of every clip of which something is ``said`` (`said_of`), in quarters of a frame.

    Positive: the picture is late.

    A source's offset is the lag at which its mean correlation peaks. A person's clips, cut from one
    recording, lie around it, and a clip around its person: each departs as far as its own
    correlations outweigh that. A clip serves the lips only when it correlates at all.
    """
    loaded = _loaded(clips, out, said)
    if not loaded:  # no clip has sound
        return {"sources": {}, "clips": {}}
    source_offset = {h.clip.source: 0.0 for h in loaded}
    person_offset = {(h.clip.source, h.clip.person): 0.0 for h in loaded}
    for _ in range(ROUNDS):
        curves = [
            correlation_by_lag(predicted, h.opening, h.keep)
            for h, predicted in zip(loaded, _predicted(loaded, person_offset), strict=True)
        ]
        by_source: dict[str, list[Float]] = {}
        by_person: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        for h, curve in zip(loaded, curves, strict=True):
            kept = float(h.keep.sum())
            by_source.setdefault(h.clip.source, []).append(curve * np.float32(kept**0.5))
            by_person.setdefault((h.clip.source, h.clip.person), []).append(evidence(curve, kept))
        source_offset = {
            source: float(LAGS[np.mean(all_curves, 0).argmax()])
            for source, all_curves in by_source.items()
        }
        person_offset = {
            key: likeliest(np.sum(of_clips, 0), source_offset[key[0]], PERSON_SPREAD)
            for key, of_clips in by_person.items()
        }
    at: dict[str, list[float]] = {}  # correlations where people's recordings are off by
    for h, curve in zip(loaded, curves, strict=True):
        own = person_offset[h.clip.source, h.clip.person]
        at.setdefault(h.clip.source, []).append(float(np.interp(own, LAGS, curve)))
    offsets: dict[str, Any] = {}
    for h, curve in zip(loaded, curves, strict=True):
        source, kept = h.clip.source, float(h.keep.sum())
        common, best = person_offset[source, h.clip.person], LAGS[curve.argmax()]
        lag = likeliest(evidence(curve, kept), common, CLIP_SPREAD)
        correlation = float(np.interp(lag, LAGS, curve))
        offsets[h.clip.name] = {
            "offset": lag,
            "correlation": round(correlation, 3),
            "moved": abs(lag - source_offset[source]) >= 1,
            "lips": bool(
                np.mean(at[source]) >= MIN_SOURCE_CORRELATION
                and (kept < FEW or (correlation >= MIN_CORRELATION and abs(best - common) <= FAR))
            ),
        }
    return {"sources": source_offset, "clips": offsets}
