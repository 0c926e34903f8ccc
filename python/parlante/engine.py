"""The streaming engine: audio goes in by chunks, frames come out. `speak` and live sessions are
loops over it.

Clocks are integer sample counts. Frame k of a video at `fps` frames a second covers the samples
[⌊k · 16000 / fps⌋, ⌊(k + 1) · 16000 / fps⌋), so picture and sound never drift apart, at any rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from parlante.face_model import Float
from parlante.motion import LOOK_AHEAD, SAMPLES_PER_FRAME, Motion, MotionStream
from parlante.renderer import FrameRenderer

SAMPLE_RATE = 16_000
NATIVE_FPS = Fraction(SAMPLE_RATE, SAMPLES_PER_FRAME)


@dataclass(frozen=True)
class Frame:
    """One video frame and the sound that belongs to it.

    image uint8 [H, W, 3] RGB, or as asked for; pts: its first sample, counted from the start; audio
    int16 [k]: exactly the samples it was made for (640 at 25 fps); spoken: there is speech among
    them (else a live session's face idles); utterance_end: the speech, or one of several in a live
    session, ends here.
    """

    image: NDArray[np.uint8]
    pts: int
    audio: NDArray[np.int16]
    spoken: bool = True
    utterance_end: bool = False


class Engine:
    """Turns pushed audio into frames.

    Not safe for use from several threads at once.
    """

    def __init__(
        self, motion: MotionStream, renderer: FrameRenderer, fps: Fraction = NATIVE_FPS
    ) -> None:
        self._stream, self._renderer, self._fps = motion, renderer, fps
        self._motions: list[Motion] = []
        self._first_motion = 0  # number of the first motion still held
        self._audio: NDArray[np.int16] = np.zeros(0, np.int16)
        self._first_sample = 0  # number of the first sample still held
        self.received = 0  # samples taken so far
        self._next_frame = 0
        self._image: NDArray[np.uint8] | None = None

    def push(self, samples: Float) -> Iterator[Frame]:
        """Frames that samples float32 [n] (16 kHz, mono, [−1, 1]) complete, drawn as the iterator
        advances."""
        self.take(samples)
        while (frame := self.next(self.received)) is not None:
            yield frame

    def flush(self) -> Iterator[Frame]:
        """The frames that the look-ahead still holds back; the last one's sound is padded with
        silence."""
        end = self.received
        frames = -(-end * self._fps // SAMPLE_RATE)
        padded = self.begin(int(frames))
        motions = -(-padded // SAMPLES_PER_FRAME)
        # One motion more: at other rates the last frame may lie between the last motion and the
        # next.
        missing = (motions + 1 + LOOK_AHEAD) * SAMPLES_PER_FRAME - self.received
        self.take(np.zeros(max(0, missing), np.float32))
        while (frame := self.next(padded)) is not None:
            last = frame.pts + len(frame.audio) == padded
            yield replace(frame, utterance_end=last)

    def interrupt(self) -> None:
        """Drop the sound of all frames not drawn yet: their lips are shut, head and lids go on. The
        next sample taken follows at once."""
        lip = self._stream.hush()
        self._motions = [replace(motion, lip=lip) for motion in self._motions]
        made = (self._first_motion + len(self._motions)) * SAMPLES_PER_FRAME
        self._audio = np.zeros(max(0, made - self._first_sample), np.int16)
        self.received = self._first_sample + len(self._audio)
        self._motions += self._stream.push(np.zeros(self.received - made, np.float32))

    def begin(self, frame: int) -> int:
        """First sample of video frame number ``frame``."""
        return int(frame * SAMPLE_RATE // self._fps)

    def take(self, samples: Float) -> None:
        """Add samples float32 [n] (16 kHz, mono, [−1, 1])."""
        pcm = np.clip(np.round(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
        self._audio = np.concatenate([self._audio, pcm])
        self.received += len(samples)
        self._motions += self._stream.push(samples)

    def next(self, until: int, *, draw: bool = True) -> Frame | None:
        """The next frame, if it ends at or before sample ``until`` and its motion is there; without
        ``draw``, with the picture of the frame before."""
        begin, end = self.begin(self._next_frame), self.begin(self._next_frame + 1)
        # The frame's moment on the 25 fps grid of motions, as an exact fraction.
        position = self._next_frame * NATIVE_FPS / self._fps
        low = int(position)
        share = position - low
        high = low + (1 if share else 0)
        if end > until or high >= self._first_motion + len(self._motions):
            return None
        motion = self._motions[low - self._first_motion]
        if share:
            motion = _between(motion, self._motions[high - self._first_motion], float(share))
        audio = self._audio[begin - self._first_sample : end - self._first_sample].copy()
        self._audio = self._audio[end - self._first_sample :]
        self._first_sample = end
        self._motions = self._motions[low - self._first_motion :]
        self._first_motion = low
        self._next_frame += 1
        if draw or self._image is None:
            self._image = self._renderer.render(motion)
        return Frame(self._image, begin, audio)


def _between(a: Motion, b: Motion, share: float) -> Motion:
    """Linear between two motions; rates other than 25 fps resample attributes, never pictures."""
    weight = np.float32(share)
    return replace(
        a,
        lip=a.lip + weight * (b.lip - a.lip),
        pose=a.pose + weight * (b.pose - a.pose),
        closure=a.closure + weight * (b.closure - a.closure),
    )
