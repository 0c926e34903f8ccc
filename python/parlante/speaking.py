"""What `Avatar.speak` gives: `Speech`, a video to be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parlante.checks import path_of
from parlante.contract import Samples
from parlante.errors import OutputError
from parlante.media.captions import Caption
from parlante.media.files import keep_inputs
from parlante.media.writer import open_writer, rates_of
from parlante.options import RenderOptions
from parlante.provenance.manifest import Credentials, seal_of
from parlante.render.chain import StageTimes
from parlante.session.engine import Engine, Frame
from parlante.session.timeline import Timeline
from parlante.speech.audio import decode_audio, expected_samples
from parlante.speech.captions import captions_of
from parlante.speech.recording import Recording
from parlante.speech.voice_activity import probabilities

if TYPE_CHECKING:
    from parlante.avatar import Avatar


class Speech:
    """A video to be: iterate it for `Frame`s, or `save` it. Each iteration starts afresh.

    ``len_hint`` is the number of frames expected (exact for samples, by the header for files, None
    when that says nothing); ``times`` holds what each stage took in the latest iteration.
    """

    def __init__(
        self,
        avatar: Avatar,
        audio: str | Path | Samples,
        sample_rate: int | None,
        options: RenderOptions,
    ) -> None:
        self._avatar, self._audio, self._sample_rate = avatar, audio, sample_rate
        samples = expected_samples(audio, sample_rate)
        self.options = seeded(options, avatar.portrait.key, audio)
        self.len_hint = None if samples is None else Timeline(options.rate).frames(samples)
        self.times = StageTimes()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures, pixels."""
        return self._avatar.portrait.frame_size(self.options.frame, self.options.size)

    @property
    def seed(self) -> int:
        """What head motion, blinks and noise come from; give it to `speak` for the same ones."""
        assert self.options.seed is not None
        return self.options.seed

    def captions(self, text: str) -> list[Caption]:
        """When the sentences of ``text``, the transcript of this speech, are said.

        `parlante.media.captions.write_captions` writes them. From where there is speech and where
        pauses; no recogniser hears the words.

        Raises:
            AudioError: the sound turns out to be damaged.
        """
        session = self._avatar.bundle.session("voice_activity", device="cpu", threads=1)
        sound = decode_audio(self._audio, self._sample_rate)
        return captions_of(text, probabilities(session, sound))

    def engine(self) -> Engine:
        """A fresh engine with this speech's options, for audio that comes from elsewhere."""
        return self._engine(at_once=1)

    def __iter__(self) -> Iterator[Frame]:
        chunks = decode_audio(self._audio, self._sample_rate)
        compute = self._avatar._compute
        # On the CPU frames beside each other use its threads better than the parts of one.
        yield from self._engine(at_once=compute.threads if compute.device == "cpu" else 1).whole(
            chunks
        )

    def _engine(self, *, at_once: int) -> Engine:
        engine, self.times = self._avatar._engine(self.options, at_once=at_once)
        return engine

    def save(
        self,
        path: str | Path,
        *,
        codec: str | None = None,
        bits: int = 8,
        timecode: str | None = None,
        credentials: Credentials | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Path:
        """Write .mp4, .mov, .mkv or .webm, or to "-", as `VideoWriter` does; returns the path.

        ``shot/%06d.png`` is a folder of pictures and sound, as `FolderWriter` makes it. With
        ``pixels="rgba"`` the person is cut out, and it is .mov, .webm or pictures. The sound is as
        it came, up to two channels.
        ``codec`` (None: H.264, in .webm VP9), ``bits`` and ``timecode`` are those of `VideoWriter`.
        ``credentials``: who signs the manifest (`parlante.provenance`), None for a certificate of
        this machine's own.
        ``progress`` is called with the number of frames written so far. The file appears whole or
        not at all.

        Raises:
            OutputError: the file cannot be written, or is the sound or one of the pictures that the
                video is made from; ``pixels`` is neither rgb nor rgba.
            AudioError: the sound turns out to be damaged.
        """
        path, (width, height) = path_of(path, OutputError), self.size
        if self.options.pixels not in ("rgb", "rgba"):
            raise OutputError(f"pixels={self.options.pixels!r}; a file is written from rgb or rgba")
        transparent = self.options.pixels == "rgba"
        rates = rates_of(path, transparent=transparent)
        keep_inputs(path, [self._audio, *self._avatar.sources])
        frames, rate = iter(self), self.options.rate
        sound = Recording(self._audio, self._sample_rate, rates)
        written = 0  # samples
        with open_writer(
            path,
            width=width,
            height=height,
            fps=rate,
            sample_rate=sound.rate,
            channels=sound.channels,
            transparent=transparent,
            codec=codec,
            bits=bits,
            timecode=timecode,
            threads=self._avatar._compute.threads,
            seal=seal_of(path, self.options.marks, credentials, self._avatar.portrait.key),
        ) as writer:
            for count, frame in enumerate(frames, 1):
                end = int(count * sound.rate / rate)
                samples = sound.take(end - written)
                writer.write(frame.image, samples[:, 0] if sound.channels == 1 else samples)
                written = end
                if progress is not None:
                    progress(count)
        return path


def seeded(
    options: RenderOptions, key: str, audio: str | Path | Samples | None = None
) -> RenderOptions:
    """``options`` with a seed: where they have none, one from a face's ``key`` and its sound."""
    if options.seed is not None:
        return options
    digest = hashlib.sha256(key.encode())
    if isinstance(audio, np.ndarray):
        digest.update(np.ascontiguousarray(audio).data)
    elif audio is not None and Path(audio).is_file():  # a pipe could be read only once
        with suppress(OSError), Path(audio).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return replace(options, seed=int.from_bytes(digest.digest()[:4], "little"))
