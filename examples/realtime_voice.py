"""A face for a voice that comes as the events of a realtime API.

    python examples/realtime_voice.py -o answer.mkv
    python examples/realtime_voice.py -o answer.mkv --interrupt 2   # somebody speaks up after 2 s

Such APIs (OpenAI's is one) send speech in pieces, faster than it is spoken, as JSON over a
WebSocket. Here a stand-in sends a sound file that way, so that no network is needed. The face goes
to a video file. Needs aiohttp (``pip install "parlante[serve]"``).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

try:
    from aiohttp import ClientSession, web
except ImportError:
    raise SystemExit('this needs aiohttp: pip install "parlante[serve]"') from None

from parlante import Avatar, Live, ParlanteError, RenderOptions
from parlante.errors import AudioError, reason
from parlante.media.writer import VideoWriter
from parlante.runtime.assets import demo
from parlante.session.engine import Frame

RATE = 24_000  # Hz, of the API's PCM16
PIECE_S = 0.1  # of an event
FASTER = 10  # than real time comes the stand-in's sound
QUIET_S = 0.5  # between an interruption and the stand-in's end
SOUND = ("response.output_audio.delta", "response.audio.delta")
ENDS = ("response.output_audio.done", "response.audio.done", "response.done")
INTERRUPTS = "input_audio_buffer.speech_started"


class Speaker:
    """Lets a session say what the API's events bring."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._items: deque[str] = deque()  # names of what is being said, and of what waits
        self._dropped: set[str] = set()
        self._heard = 0  # samples of what is being said

    async def obey(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """Do what an event says; returns what to tell the API then, if anything."""
        kind = event["type"]
        if kind in SOUND and event["item_id"] not in self._dropped:
            if event["item_id"] not in self._items:
                self._items.append(event["item_id"])
            await self._live.room()
            pcm = base64.b64decode(event["delta"])
            self._live.push_audio(np.frombuffer(pcm, np.int16), RATE)
        elif kind in ENDS:
            self._live.flush()
        elif kind == INTERRUPTS and self._items:
            self._live.interrupt()
            said, heard = self._items[0], self._heard
            self._dropped.update(self._items)  # more of it may be under way
            self._items.clear()
            self._heard = 0
            # The API's model then knows how much of its answer was heard.
            return {
                "type": "conversation.item.truncate",
                "item_id": said,
                "content_index": 0,
                "audio_end_ms": heard * 1000 // RATE,
            }
        return None

    def spoke(self, frame: Frame) -> None:
        """Count what was heard, with each frame that is shown."""
        if self._items and frame.spoken:
            self._heard += len(frame.audio)
        if self._items and frame.utterance_end:
            self._items.popleft()
            self._heard = 0


async def show(live: Live, speaker: Speaker, writer: VideoWriter) -> None:
    """Write the session's frames until it ends."""
    async for frame in live:
        speaker.spoke(frame)
        writer.write(frame.image, frame.audio)


async def converse(url: str, live: Live, speaker: Speaker) -> None:
    """Ask for an answer, and let the face say it."""
    try:
        async with ClientSession() as http, http.ws_connect(url) as socket:
            await socket.send_json({"type": "response.create"})
            async for message in socket:
                told = await speaker.obey(message.json())
                if told is not None:
                    await socket.send_json(told)
    finally:
        live.close_input()


def pcm_of(sound: Path) -> bytes:
    """A sound file as the API sends sound: PCM16, mono.

    Raises:
        AudioError: there is no sound in it, or no such file.
    """
    resampler = av.AudioResampler("s16", "mono", RATE)
    try:
        with av.open(str(sound)) as container:
            frames = [*container.decode(audio=0), None]
            parts = [part for frame in frames for part in resampler.resample(frame)]
    except (av.FFmpegError, IndexError) as error:  # IndexError: of no stream
        raise AudioError(f"{sound} holds no sound ({reason(error)}); give a sound file") from error
    return b"".join(part.to_ndarray().tobytes() for part in parts)


class StandIn:
    """A server that sends events as the API does, and always the same answer."""

    def __init__(self, sound: Path, interrupt: float | None) -> None:
        self._pcm, self._interrupt = pcm_of(sound), interrupt
        self.told: list[dict[str, Any]] = []  # by the client

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve on this machine; gives the address."""
        application = web.Application()
        application.router.add_get("/", self._answer)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()

    async def interruption(self) -> None:
        """Return when somebody speaks up."""
        await asyncio.sleep(self._interrupt or 0.0)

    async def _answer(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        talking = asyncio.create_task(self._talk(socket))
        async for message in socket:
            self.told.append(message.json())
        await talking
        return socket

    async def _talk(self, socket: web.WebSocketResponse) -> None:
        if self._interrupt is None:
            await self._send(socket)
        else:
            sending = asyncio.create_task(self._send(socket))
            await self.interruption()
            sending.cancel()
            await socket.send_json({"type": INTERRUPTS, "audio_start_ms": 0, "item_id": "item_0"})
            await socket.send_json({"type": "response.done", "response": {"status": "cancelled"}})
            await asyncio.sleep(QUIET_S)
        await socket.close()

    async def _send(self, socket: web.WebSocketResponse) -> None:
        size = 2 * round(PIECE_S * RATE)
        for begin in range(0, len(self._pcm), size):
            delta = base64.b64encode(self._pcm[begin : begin + size]).decode()
            await socket.send_json({"type": SOUND[0], "item_id": "item_1", "delta": delta})
            await asyncio.sleep(PIECE_S / FASTER)
        await socket.send_json({"type": ENDS[0], "item_id": "item_1"})
        await socket.send_json({"type": "response.done", "response": {"status": "completed"}})


async def run(avatar: Avatar, server: StandIn, output: Path, options: RenderOptions) -> int:
    """Record one answer; returns the number of frames."""
    size = options.size
    with (
        avatar.live(options=options, sound_rate=RATE) as live,
        VideoWriter(output, width=size, height=size, sample_rate=RATE) as writer,
    ):
        speaker = Speaker(live)
        async with server.running() as url:
            await asyncio.gather(show(live, speaker, writer), converse(url, live, speaker))
        return writer.frames


def main(argv: list[str] | None = None) -> int:
    """Record what the face says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path, help="of the face; the demo's if left out")
    parser.add_argument("sound", nargs="?", type=Path, help="what it says; the demo's if left out")
    parser.add_argument("-o", "--output", type=Path, default=Path("answer.mkv"), help="a video")
    parser.add_argument("--interrupt", type=float, help="seconds until somebody speaks up")
    parser.add_argument("--size", type=int, default=512, help="pixels, default 512")
    arguments = parser.parse_args(argv)
    with demo() as (photo, voice):
        avatar = Avatar(arguments.photo or photo)
        server = StandIn(arguments.sound or voice, arguments.interrupt)
    options = RenderOptions(size=arguments.size)
    count = asyncio.run(run(avatar, server, arguments.output, options))
    print(f"{count} frames in {arguments.output}")
    for event in server.told[1:]:  # after what asks for the answer
        print(f"interrupted when {event['audio_end_ms']} ms were heard")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParlanteError as error:
        sys.exit(f"realtime_voice: {error}")
