"""Captions: when the parts of a transcript are said, from where in the sound there is speech.

No recogniser hears the words. Letters are taken to be said at one pace while somebody speaks, and
where a part of the text ends near a pause, it ends in the pause.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE, Float
from parlante.media.captions import Caption
from parlante.speech.voice_activity import CHUNK

CHUNK_S = CHUNK / SAMPLE_RATE
LONGEST = 84  # characters of a caption: two lines of 42
SPOKEN = 0.5  # probability of speech above which there is some
PAUSE_S = 0.15  # without speech for so long is a pause
NEAR_S = 0.8  # seconds of speech between where a part ends by its letters, and the pause it ends in
PREFERRED = 0.5  # seconds by which a pause of a second or more may be further away than a short one
# Where a text may be parted: after sentences, after clauses, between words.
ENDS = (
    r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’»)])\s+|(?<=[。！？])",
    r"(?<=[,;:–—])\s+|(?<=[，、；：])",
    r"\s+",
)
WITHOUT_SPACE = "，、；："


def captions_of(text: str, speech: Float) -> list[Caption]:
    """The captions of a ``text``, in order.

    speech: probabilities float32 [n] that somebody speaks, of each 512 samples at 16 kHz. No
    captions where nobody does, or nothing is to be said.
    """
    parts, said = parts_of(text), np.asarray(speech) >= SPOKEN
    if not parts or not said.any():
        return []
    spoken = np.r_[0, np.cumsum(said)] * CHUNK_S  # seconds of speech before each chunk, and in all
    letters = [max(1, sum(map(str.isalnum, part))) for part in parts]
    left = np.cumsum(letters[::-1])[::-1]  # letters of each part and those after it
    pauses = _pauses(said)
    ends: list[float] = []
    begins = [float(said.argmax()) * CHUNK_S]
    over = 0
    for own, rest in zip(letters[:-1], left, strict=False):
        end = spoken[over] + own / rest * (spoken[-1] - spoken[over])
        # The longer a pause, the likelier it is this one.
        likely = [
            abs(spoken[begin] - end) - PREFERRED * min(1.0, (over - begin) * CHUNK_S)
            for begin, over in pauses
        ]
        if likely and min(likely) <= NEAR_S:
            begin, over = pauses[int(np.argmin(likely))]
        else:
            begin = over = int(np.searchsorted(spoken, end))
        ends.append(begin * CHUNK_S)
        begins.append(over * CHUNK_S)
        pauses = [pause for pause in pauses if pause[0] > over]
    ends.append((len(said) - float(said[::-1].argmax())) * CHUNK_S)
    return [Caption(*times) for times in zip(begins, ends, parts, strict=True)]


def parts_of(text: str, level: int = 0) -> list[str]:
    """Sentences, and of those longer than `LONGEST` clauses, and of longer ones words, together."""
    text = " ".join(text.split())
    if not text or (level and len(text) <= LONGEST):
        return [text] if text else []
    if level == len(ENDS):  # one word, or a language without spaces
        return [text[k : k + LONGEST] for k in range(0, len(text), LONGEST)]
    parts: list[str] = []
    for piece in re.split(ENDS[level], text):
        for part in parts_of(piece, level + 1):
            space = "" if parts and parts[-1][-1] in WITHOUT_SPACE else " "
            if level and parts and len(parts[-1]) + len(space + part) <= LONGEST:
                parts[-1] += space + part
            else:
                parts.append(part)
    return parts


def _pauses(said: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First chunk of each pause and of what follows it; none before the first word or after all."""
    edges = np.flatnonzero(np.diff(said.astype(np.int8))) + 1
    inner = edges[0 if said[0] else 1 :]
    runs = zip(inner[::2].tolist(), inner[1::2].tolist(), strict=False)
    return [(begin, over) for begin, over in runs if (over - begin) * CHUNK_S >= PAUSE_S]
