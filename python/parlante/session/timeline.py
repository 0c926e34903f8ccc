"""Frames, samples and motions on one clock.

All of it counts samples at 16 kHz, so picture and sound never drift apart, at any rate. Frame k of
a video at ``fps`` covers the samples [⌊k · 16000 / fps⌋, ⌊(k + 1) · 16000 / fps⌋).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from parlante.contract import LOOK_AHEAD, NATIVE_FPS, SAMPLE_RATE, SAMPLES_PER_FRAME


@dataclass(frozen=True)
class Timeline:
    """The clock of a video at ``fps`` frames a second; motions come at 25.

    ``ahead``: motions' frames of sound that have to follow a motion's.
    """

    fps: Fraction = NATIVE_FPS
    ahead: int = LOOK_AHEAD

    def begin(self, frame: int) -> int:
        """First sample of frame number ``frame``."""
        return int(frame * SAMPLE_RATE // self.fps)

    def due(self, frame: int) -> float:
        """Seconds from the start of frame 0 to that of ``frame``."""
        return float(frame / self.fps)

    def frames(self, samples: int) -> int:
        """Frames that it takes to cover so many samples."""
        return int(-(-samples * self.fps // SAMPLE_RATE))

    def motion(self, frame: int) -> tuple[int, Fraction]:
        """Where a frame lies between motions.

        The number of the one before, and how far the way to the next it is, 0 to below 1.
        """
        position = frame * NATIVE_FPS / self.fps
        return int(position), position - int(position)

    @property
    def look_ahead(self) -> int:
        """Samples beyond its own that have to be there before a frame can be drawn."""
        ahead = self.ahead * SAMPLES_PER_FRAME
        if self.fps == NATIVE_FPS:
            return ahead
        # A frame may lie between two motions and need the later one.
        return max(0, ahead + 2 * SAMPLES_PER_FRAME - self.begin(1) + 1)

    def samples_to_draw(self, frames: int) -> int:
        """Samples that have to be there before the first ``frames`` frames can be drawn."""
        motions = -(-self.begin(frames) // SAMPLES_PER_FRAME)
        # One motion more: the last frame may lie between the last motion and the next.
        return (motions + 1 + self.ahead) * SAMPLES_PER_FRAME
