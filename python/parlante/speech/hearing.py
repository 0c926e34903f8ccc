"""From log-mel to embeddings: the audio encoder, a step for each frame."""

from __future__ import annotations

import numpy as np

from parlante.contract import (
    FUTURES,
    LAYERS,
    MEL_BANDS,
    MEL_WINDOW,
    MEMORY,
    REMEMBERED,
    SILENCE,
    TOKEN,
    TOKENS,
    Float,
)
from parlante.runtime.bundle import Bundle

KEPT = 2 * MEMORY  # rows: what is remembered moves along them, and is copied once in many steps


class Hearing:
    """Embeddings of a stream of sound, each ``ahead`` frames after its own (a key of `FUTURES`)."""

    def __init__(self, bundle: Bundle, device: str, ahead: int) -> None:
        self._future = np.array(FUTURES[ahead], np.int64)
        self._network = bundle.session("audio_encode", device=device, threads=1)
        self._rows: Float = np.zeros((len(REMEMBERED), KEPT, TOKEN), np.float32)
        self._silent: Float = np.zeros((len(REMEMBERED), 1, TOKEN), np.float32)
        silence = np.full((MEL_WINDOW, MEL_BANDS), SILENCE, np.float32)
        # In silence all tokens are alike: a layer's are once those of the layer before it are.
        for _ in range(LAYERS + 1):
            self.reset()
            self.silence = self.next(silence)  # embedding float32 [128]
            self._silent[:, 0] = self._rows[:, MEMORY]
        self.reset()

    def reset(self) -> None:
        """Forget all sound: there was silence for long."""
        self._end = MEMORY
        self._rows[:, :MEMORY] = self._silent

    def next(self, columns: Float) -> Float:
        """Embedding float32 [128] after the next frame's log-mel and what precedes it, [7, 80]."""
        if self._end + TOKENS > KEPT:
            self._rows[:, :MEMORY] = self._rows[:, self._end - MEMORY : self._end]
            self._end = MEMORY
        known = self._rows[:, self._end - MEMORY : self._end]
        embedding, fresh = self._network.run(
            ["embedding", "fresh"],
            {"mel": columns[None], "future": self._future}
            | dict(zip(REMEMBERED, known, strict=True)),
        )
        self._rows[:, self._end : self._end + TOKENS] = fresh
        self._end += TOKENS
        return np.asarray(embedding[0, 0])
