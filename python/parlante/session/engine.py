"""The streaming engine: audio goes in by chunks, frames come out.

`speak` and live sessions are loops over it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLES_PER_FRAME, Float, Image
from parlante.options import RenderOptions
from parlante.session.timeline import Timeline
from parlante.speech.motion import Motion, MotionStream


class Renderer(Protocol):
    """What draws; `FrameRenderer`, or a benchmark's own."""

    def render(self, motion: Motion) -> Image:
        """The picture of one motion."""

    def stream(self, motions: Iterable[Motion]) -> Iterator[Image]:
        """The pictures of motions, in order; motions may be taken ahead of them."""
        return map(self.render, motions)

    def change(self, options: RenderOptions) -> None:
        """Draw the frames from now on with other options."""


@dataclass(frozen=True)
class Frame:
    """One video frame and the sound that belongs to it.

    image uint8 [H, W, 3] RGB, or as asked for; pts: its first sample at 16 kHz, counted from the
    start; audio int16 [k]: exactly the samples it was made for (640 at 25 fps), or those that were
    pushed of them at a live session's ``sound_rate``; spoken: there is speech among
    them (else a live session's face idles); utterance_end: the speech, or one of several in a live
    session, ends here.
    """

    image: Image
    pts: int
    audio: NDArray[np.int16]
    spoken: bool = True
    utterance_end: bool = False


@dataclass(frozen=True)
class _Begun:
    """A frame before it is drawn; pts and audio as in `Frame`."""

    motion: Motion
    pts: int
    audio: NDArray[np.int16]


class Engine:
    """Turns pushed audio into frames.

    Not safe for use from several threads at once.
    """

    def __init__(
        self, motion: MotionStream, renderer: Renderer, timeline: Timeline | None = None
    ) -> None:
        self.timeline = timeline or Timeline()
        self._stream, self._renderer = motion, renderer
        self._motions: list[Motion] = []
        self._first_motion = 0  # number of the first motion still held
        self._audio: NDArray[np.int16] = np.zeros(0, np.int16)
        self._first_sample = 0  # number of the first sample still held
        self.received = 0  # samples taken so far
        self._next_frame = 0
        self._image: Image | None = None

    def push(self, samples: Float) -> Iterator[Frame]:
        """Frames that samples complete, drawn as the iterator advances.

        ``samples`` float32 [n]: 16 kHz, mono, [−1, 1].
        """
        self.take(samples)
        while (frame := self.next(self.received)) is not None:
            yield frame

    def flush(self) -> Iterator[Frame]:
        """The frames that the look-ahead still holds back.

        The last one's sound is padded with silence.
        """
        end = self._pad()
        while (frame := self.next(end)) is not None:
            yield replace(frame, utterance_end=frame.pts + len(frame.audio) == end)

    def whole(self, chunks: Iterable[Float]) -> Iterator[Frame]:
        """All frames of a speech that comes in ``chunks``, as `push` and `flush` make them.

        The renderer may draw several at once.
        """
        begun: deque[_Begun] = deque()
        end = -1

        def motions() -> Iterator[Motion]:
            nonlocal end
            for chunk in chunks:
                self.take(chunk)
                while (one := self._begin(self.received)) is not None:
                    begun.append(one)
                    yield one.motion
            end = self._pad()
            while (one := self._begin(end)) is not None:
                begun.append(one)
                yield one.motion

        for image in self._renderer.stream(motions()):
            one = begun.popleft()
            yield Frame(image, one.pts, one.audio, utterance_end=one.pts + len(one.audio) == end)

    def _pad(self) -> int:
        """Add the silence that the last frames wait for; returns the sample at which they end."""
        frames = self.timeline.frames(self.received)
        end = self.timeline.begin(frames)
        missing = self.timeline.samples_to_draw(frames) - self.received
        self.take(np.zeros(max(0, missing), np.float32))
        return end

    def interrupt(self) -> None:
        """Drop the sound of all frames not drawn yet: lips are shut, head and lids go on.

        The next sample taken follows at once.
        """
        lip = self._stream.hush()
        self._motions = [replace(motion, lip=lip) for motion in self._motions]
        made = (self._first_motion + len(self._motions)) * SAMPLES_PER_FRAME
        self._audio = np.zeros(max(0, made - self._first_sample), np.int16)
        self.received = self._first_sample + len(self._audio)
        self._motions += self._stream.push(np.zeros(self.received - made, np.float32))

    def change(self, options: RenderOptions) -> None:
        """Draw the frames from now on with options that may change while they are drawn."""
        self._renderer.change(options)

    def take(self, samples: Float) -> None:
        """Add samples float32 [n] (16 kHz, mono, [−1, 1])."""
        pcm = np.clip(np.round(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
        self._audio = np.concatenate([self._audio, pcm])
        self.received += len(samples)
        self._motions += self._stream.push(samples)

    def next(self, until: int, *, draw: bool = True) -> Frame | None:
        """The next frame, if it ends at or before sample ``until`` and its motion is there.

        Without ``draw``, with the picture of the frame before.
        """
        begun = self._begin(until)
        if begun is None:
            return None
        if draw or self._image is None:
            self._image = self._renderer.render(begun.motion)
        return Frame(self._image, begun.pts, begun.audio)

    def _begin(self, until: int) -> _Begun | None:
        """The next frame before it is drawn, if it ends at or before sample ``until``."""
        begin = self.timeline.begin(self._next_frame)
        end = self.timeline.begin(self._next_frame + 1)
        low, share = self.timeline.motion(self._next_frame)
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
        return _Begun(motion, begin, audio)


def _between(a: Motion, b: Motion, share: float) -> Motion:
    """Linear between two motions; rates other than 25 fps resample attributes, never pictures."""
    weight = np.float32(share)
    return replace(
        a,
        lip=a.lip + weight * (b.lip - a.lip),
        pose=a.pose + weight * (b.pose - a.pose),
        closure=a.closure + weight * (b.closure - a.closure),
        breath=a.breath + share * (b.breath - a.breath),
        nod=a.nod + share * (b.nod - a.nod),
        brows=a.brows + weight * (b.brows - a.brows),
        gaze=a.gaze + weight * (b.gaze - a.gaze),
    )
