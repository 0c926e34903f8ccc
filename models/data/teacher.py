"""What a speech recogniser hears: ``python -m models.data.teacher`` (after prepare).

Sound of the training people, as it is and played faster and slower, and of synthetic voices
(espeak-ng), and what the third layer of Whisper's encoder says of it. `models.train.audio` learns
from the pairs; expressions beside them tell which of it the lips follow. Needs ``pip install
".[teacher]"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np
from tqdm import tqdm

from models.data import whisper
from models.data.dataset import (
    PreparedClip,
    clips_parser,
    frame_weights,
    is_validation,
    load,
    shifted,
)
from models.data.synthetic import somebody
from parlante import _core
from parlante.contract import EXPRESSION, SAMPLES_PER_FRAME, TOKENS, Float
from parlante.speech.audio import decode_audio

TEACHER = "teacher.npz"
DRAWN = 40_000  # tokens of which the mean and the spread are taken
VOICES_SECONDS, VOICES_SHARE = 5_000.0, 0.3  # of synthetic voices; of what is learnt from
SPEEDS = (0.8, 1.25)  # and pitches, of people's sound, beside their own
PASSES = 4  # how often it is heard, the first time as it is


@dataclass(frozen=True)
class Sound:
    """samples float32 [640 · F] and expression float32 [F, 53], zeros where it teaches nothing.

    weight: of each frame; held_out: whether it is of validation people.
    """

    samples: Float
    expression: Float
    weight: float
    held_out: bool


def played(samples: Float, speed: float) -> Float:
    """``samples`` played ``speed`` times as fast, and as high."""
    resampler = _core.Resampler(round(whisper.RATE * speed), whisper.RATE)
    return np.concatenate([resampler.process(samples), resampler.flush()])


def sounds(clips: list[PreparedClip], seed: int = 0) -> Iterator[Sound]:
    """All that is heard."""
    rng = np.random.default_rng(seed)
    weights = np.array(frame_weights(clips))
    frames = np.array([len(c) for c in clips])
    weights *= (1 - VOICES_SHARE) / PASSES / (weights * frames).sum()
    for clip, weight in zip(clips, weights, strict=True):
        samples = np.concatenate(list(decode_audio(clip.path)))[: whisper.WINDOW // 2]
        held = is_validation(clip.person)
        for number in range(1 if held else PASSES):
            speed = 1.0 if number == 0 else float(np.exp(rng.uniform(*np.log(SPEEDS))))
            own = whisper.framed(samples if number == 0 else played(samples, speed))
            count = len(own) // SAMPLES_PER_FRAME
            lips = np.zeros((count, EXPRESSION), np.float32)
            if number == 0 and clip.lips:
                kept = clip.expression * clip.keep[:, None]
                lips = shifted(kept, -round(clip.offset), count, 0.0)
            yield Sound(own, lips, float(weight) * speed, held)
    left = VOICES_SECONDS
    weight = VOICES_SHARE * SAMPLES_PER_FRAME / (VOICES_SECONDS * whisper.RATE)
    while left > 0:
        _, spoken = somebody(rng)
        samples = whisper.framed(spoken.samples[: whisper.WINDOW // 2])
        left -= len(samples) / whisper.RATE
        nothing = np.zeros((len(samples) // SAMPLES_PER_FRAME, EXPRESSION), np.float32)
        yield Sound(samples, nothing, weight, False)


def main() -> None:
    parsed = clips_parser(__doc__).parse_args()
    clips = [c for c in load(parsed.prepared, parsed.data, "train") if c.mel is not None]
    sound, said, expression, share, held_out = [], [], [], [], []
    heard, listened = tee(sounds(clips))
    tokens_of = whisper.hear(one.samples for one in listened)
    for one, tokens in tqdm(zip(heard, tokens_of, strict=True), desc="teacher"):
        sound.append(_core.log_mel(one.samples).astype(np.float16))
        said.append(tokens)
        expression.append(one.expression.astype(np.float16))
        share.append(np.full(len(one.expression), one.weight, np.float32))
        held_out.append(np.full(len(one.expression), one.held_out))
    tokens = np.concatenate(said)
    weights = np.repeat(np.concatenate(share), TOKENS).astype(np.float64)
    few = tokens[np.random.default_rng(0).choice(len(tokens), DRAWN, p=weights / weights.sum())]
    mean, spread = few.mean(0, dtype=np.float32), few.astype(np.float32).std(0)
    print(f"{len(tokens) * whisper.TOKEN / whisper.RATE / 3600:.2f} hours")
    np.savez(
        parsed.prepared / TEACHER,
        mel=np.concatenate(sound),
        said=np.concatenate([((s - mean) / spread).astype(np.float16) for s in said]),
        expression=np.concatenate(expression),
        share=np.concatenate(share),
        held_out=np.concatenate(held_out),
        mean=mean,
        spread=spread,
    )


if __name__ == "__main__":
    main()
