"""The face of a pipecat bot.

    python examples/pipecat_bot.py -o bot.mp4

Needs pipecat-ai (``pip install "parlante[adapters]"``). In a bot `PipecatAvatar` stands between the
text-to-speech service and ``transport.output()``. Here a sound file stands for the service and a
video file for the transport, so no server is needed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np

try:
    from pipecat.frames import frames as f
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.workers.runner import WorkerRunner

    from parlante.adapters.pipecat import PipecatAvatar
except ImportError:
    raise SystemExit('this needs pipecat-ai: pip install "parlante[adapters]"') from None

from parlante import Avatar, ParlanteError
from parlante.contract import SAMPLE_RATE
from parlante.media.writer import VideoWriter
from parlante.runtime.assets import demo
from parlante.speech.audio import decode_audio

FPS = 25  # of a live session, unless it is told another


class Recorder(FrameProcessor):
    """Stands in for ``transport.output()``: writes pictures and sound to a video file."""

    def __init__(self, writer: VideoWriter) -> None:
        super().__init__()
        self._writer = writer
        self._picture: f.OutputImageRawFrame | None = None
        self._sound = bytearray()

    async def process_frame(self, frame: f.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, f.OutputAudioRawFrame):
            self._sound += frame.audio
        elif isinstance(frame, f.OutputImageRawFrame):
            self._write()
            self._picture = frame
        elif isinstance(frame, f.EndFrame):
            self._write()
        await self.push_frame(frame, direction)

    def _write(self) -> None:
        """Write the latest picture with the sound that followed it, or with silence."""
        if self._picture is None:
            return
        width, height = self._picture.size
        image = np.frombuffer(self._picture.image, np.uint8).reshape(height, width, 3)
        due = (self._writer.frames + 1) * SAMPLE_RATE // FPS - self._writer.samples
        sound = np.frombuffer(bytes(self._sound[: 2 * due]), np.int16)
        del self._sound[: 2 * due]
        self._writer.write(image, np.pad(sound, (0, due - len(sound))))


def spoken(sound: Path) -> list[f.Frame]:
    """What a text-to-speech service sends: the start, the sound in pieces, the end."""
    pieces: list[f.Frame] = [f.TTSStartedFrame()]
    for chunk in decode_audio(sound):
        pcm = np.round(chunk * 32767).astype(np.int16)
        pieces.append(f.TTSAudioRawFrame(pcm.tobytes(), SAMPLE_RATE, 1))
    return [*pieces, f.TTSStoppedFrame()]


async def run(avatar: Avatar, sound: Path, output: Path, size: int) -> int:
    """Let the bot say one file; returns the number of frames recorded."""
    with avatar.live(size=size) as live, VideoWriter(output, width=size, height=size) as writer:
        worker = PipelineWorker(
            Pipeline([PipecatAvatar(live), Recorder(writer)]),
            params=PipelineParams(audio_out_sample_rate=SAMPLE_RATE),
        )
        # The end comes after the speech: the face says all of it first.
        await worker.queue_frames([*spoken(sound), f.EndFrame()])
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
        return writer.frames


def main(argv: list[str] | None = None) -> int:
    """Run the bot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path, help="of the face; the demo's if left out")
    parser.add_argument("sound", nargs="?", type=Path, help="what it says; the demo's if left out")
    parser.add_argument("-o", "--output", type=Path, default=Path("bot.mp4"), help="a video file")
    parser.add_argument("--size", type=int, default=512, help="pixels, default 512")
    arguments = parser.parse_args(argv)
    with demo() as (photo, voice):
        avatar = Avatar(arguments.photo or photo)
        count = asyncio.run(run(avatar, arguments.sound or voice, arguments.output, arguments.size))
    print(f"{count} frames in {arguments.output}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParlanteError as error:
        sys.exit(f"pipecat_bot: {error}")
