"""One browser's session on the page of `parlante serve`: a WebSocket and a `Live`."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.app.listening import Listening
from parlante.app.logs import event
from parlante.app.peer import AVAILABLE, Peer
from parlante.app.utterances import SILENT, Caption, Utterances
from parlante.contract import SAMPLE_RATE, Float, Image
from parlante.errors import AudioError, ParlanteError, SessionClosedError, shown
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Frame
from parlante.session.live import MAX_QUEUED_S, Live, LiveStatus
from parlante.speech.audio import check_sample_rate, read_audio, to_mono

try:
    from aiohttp import WSMessage, WSMsgType, web
except ImportError as error:
    raise ParlanteError('serve needs aiohttp; install "parlante[serve]"') from error

MAX_TEXT = 500  # characters to say
READING = 20  # seconds for which a voice may work on them
JPEG_QUALITY = 88
HEADER = struct.Struct("<QI")
LEAST_SILENCE = 5  # seconds before an `Attraction`
COMMAND_S = 0.02  # seconds from one command to the next
TELL = 25  # frames from one status to the next
PATIENCE = 1.0  # seconds; a connection that takes nothing for so long is dead
COMMANDS = "rate, offer, change, say, and do: websocket, interrupt or flush"
# What a message that makes no sense raises.
BAD_MESSAGES = (
    ParlanteError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    subprocess.SubprocessError,
)


def jpeg(image: Image) -> bytes:
    """A picture uint8 [H, W, 3], BGR."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def pack_frame(frame: Frame) -> bytes:
    """One BGR frame as the page reads it."""
    picture = jpeg(frame.image)
    return HEADER.pack(frame.pts, len(picture)) + picture + frame.audio.tobytes()


def command_of(text: str) -> dict[str, Any]:
    """What a message asks for. Errors, which are logged, do not repeat what somebody may have said.

    Raises:
        ParlanteError: it is no JSON object.
    """
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParlanteError(f"no JSON ({error}); send an object, {COMMANDS}") from error
    if not isinstance(asked, dict):
        raise ParlanteError(f"{type(asked).__name__} is no command; send a JSON object, {COMMANDS}")
    return asked


def speech_of(text: str, voice: str | None = None) -> tuple[Float, int]:
    """``text`` spoken by a voice of espeak-ng, float32 [n], and its rate in Hz.

    Raises:
        ParlanteError: there is no espeak-ng, or no such voice; it takes too long.
    """
    program = shutil.which("espeak-ng") or shutil.which("espeak")
    if program is None:
        raise ParlanteError("no text-to-speech on this machine; install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = [program, "-w", str(path), "--stdin", *(() if voice is None else ("-v", voice))]
        try:
            done = subprocess.run(
                command, input=text.encode(), check=False, timeout=READING, capture_output=True
            )
        except subprocess.TimeoutExpired as error:
            raise ParlanteError(
                f"to read {len(text)} characters takes more than {READING} s; give a shorter text"
            ) from error
        if done.returncode or not path.exists():
            raise ParlanteError(
                f"voice={voice!r}: {done.stderr.decode(errors='replace').strip() or 'no sound'}; "
                f"`{Path(program).name} --voices` lists them"
            )
        try:
            return read_audio(path, MAX_QUEUED_S)
        except AudioError as error:  # where it lay is nobody's business
            raise AudioError(str(error).replace(str(path), "the text")) from error


@dataclass(frozen=True)
class Attraction:
    """What a face says whenever it was silent for ``after`` seconds.

    samples float32 [n] at ``rate`` Hz.
    """

    samples: Float
    rate: int
    after: float

    @classmethod
    def read(cls, path: Path, after: float) -> Attraction:
        """Of a sound file.

        Raises:
            AudioError: it cannot be read, or is longer than two minutes.
            ParlanteError: ``after`` is below 5.
        """
        if not after >= LEAST_SILENCE:
            raise ParlanteError(f"after={after}; give {LEAST_SILENCE} seconds or more")
        return cls(*read_audio(path, MAX_QUEUED_S), after)


class Viewer:
    """A session that a page shows, under a ``name``; `run` ends with it."""

    def __init__(
        self,
        name: str,
        live: Live,
        socket: web.WebSocketResponse,
        *,
        bundle: Bundle,
        face: str,
        voices: Sequence[str],
        attraction: Attraction | None,
        count: Callable[[LiveStatus, LiveStatus], None],
    ) -> None:
        """``face``: its name; ``voices`` may read text, the first where none is asked for.

        ``count`` is told of the session's states before and after each frame.
        """
        self.live, self._utterances = live, Utterances(live)
        self.uploading = asyncio.Lock()  # held while a sound file comes: one at a time
        self._frame: Frame | None = None  # the latest
        self._peer: Peer | None = None
        self._name, self._socket, self._count = name, socket, count
        self._face, self._voices, self._attraction = face, voices, attraction
        self._voice = next(iter(voices), None)
        self._began = time.monotonic()
        self._fps = 0.0
        self._bundle = bundle
        self._rate = SAMPLE_RATE  # of the sound that is sent
        self._listening: Listening | None = None

    def state(self) -> dict[str, Any]:
        """How it is doing."""
        seconds = round(time.monotonic() - self._began)
        told = {"name": self._name, "face": self._face, "voice": self._voice, "seconds": seconds}
        told["speaking"] = self._frame is not None and self._frame.spoken
        return told | self._doing(self.live.status())

    def _doing(self, status: LiveStatus) -> dict[str, Any]:
        return {"fps": round(self._fps, 1), **asdict(status)}

    async def run(self) -> None:
        """Send frames and take messages until either side ends."""
        sending = asyncio.create_task(self._send())
        try:
            async for message in self._socket:
                await self.take(message)
                # However many come at once, others have their turn.
                await asyncio.sleep(0 if message.type == WSMsgType.BINARY else COMMAND_S)
        finally:
            self.live.close()
            await sending
            await self._over_socket()

    async def take(self, message: WSMessage) -> None:
        """Hear sound or do what a command asks for; what makes no sense is answered by an error."""
        try:
            if message.type == WSMsgType.BINARY:
                if len(message.data) % 2:
                    raise ParlanteError(f"sound of {len(message.data)} bytes; send whole int16")
                self._hear(np.frombuffer(message.data, "<i2"))
            elif message.type == WSMsgType.TEXT:
                await self.obey(command_of(message.data))
        except BAD_MESSAGES as error:
            event("command refused", name=self._name, error=error)
            await self._socket.send_json({"error": str(error)})

    async def obey(self, asked: dict[str, Any]) -> None:
        """Do what a message asks for.

        Raises:
            one of `BAD_MESSAGES`: it makes no sense.
        """
        if "rate" in asked:
            self._rate, self._listening = check_sample_rate(asked["rate"]), None
            if asked.get("listen") == "speech":
                self._listening = Listening(self._utterances, self._bundle, self._rate)
        elif "offer" in asked:
            await self._over_webrtc(str(asked["offer"]))
        elif asked.get("do") == "websocket":
            await self._over_socket()
        elif asked.get("do") == "interrupt":
            self._utterances.interrupt()
        elif asked.get("do") == "flush":
            if self._listening is None:
                self._utterances.flush()
            else:
                self._listening.end()
        elif isinstance(asked.get("change"), dict):
            self.live.change(**asked["change"])
        elif "voice" in asked:
            if asked["voice"] not in self._voices:
                known = ", ".join(self._voices) or "none to choose from"
                raise ParlanteError(f"voice={asked['voice']!r}; there are {known}")
            self._voice = asked["voice"]
        elif "say" in asked:
            text = str(asked["say"])[:MAX_TEXT]
            voice = self._voice
            read = await asyncio.to_thread(speech_of, text, voice)
            self.say(*read, Caption(text, voice))
        else:
            raise ParlanteError(f"unknown command {shown(list(asked))}; there are {COMMANDS}")

    def say(self, samples: Float, rate: int, caption: Caption = SILENT) -> None:
        """Speak samples float32 [n], an utterance; the page shows a text's ``caption`` meanwhile.

        Raises:
            ParlanteError: too much waits already, or the session is over.
        """
        self._utterances.say(samples, rate, caption)

    def picture(self) -> bytes:
        """What is shown at this moment, a JPEG; nothing before the first frame."""
        return b"" if self._frame is None else jpeg(self._frame.image)

    async def _over_webrtc(self, offer: str) -> None:
        await self._over_socket()
        answer = None
        if AVAILABLE:
            peer = Peer(self.live)
            answer = await peer.answer(offer)
            self._peer = peer
        await self._socket.send_json({"answer": answer})

    async def _over_socket(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            await peer.close()

    async def _deliver(self, frame: Frame) -> None:
        self._frame = frame
        if self._peer is not None and self._peer.connected:
            self._peer.send(frame)
        else:
            packed = await asyncio.to_thread(pack_frame, frame)
            await asyncio.wait_for(self._socket.send_bytes(packed), PATIENCE)

    def _hear(self, samples: NDArray[np.int16]) -> None:
        if self._listening is None:
            self._utterances.push_audio(samples, self._rate)
        else:
            self._listening.push(to_mono(samples))

    async def _send(self) -> None:
        try:
            with suppress(ConnectionError, SessionClosedError):
                await self._send_frames()
            self.live.close()
            await asyncio.wait_for(self._socket.close(), PATIENCE)
        except (TimeoutError, asyncio.TimeoutError):
            self._cut()
        finally:
            self.live.close()

    def _cut(self) -> None:
        """End a connection that takes nothing, not even its end."""
        connection = self._socket.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    async def _send_frames(self) -> None:
        before = told = LiveStatus(0, 0, 0.0, 0.0)
        caption = SILENT
        since, spoken = time.monotonic(), 0  # the latter in samples, as frames have it
        await asyncio.wait_for(self._socket.send_json({"session": self._name}), PATIENCE)
        async for frame in self.live:
            before_it, caption = caption, self._utterances.caption(frame)
            if caption != before_it:
                await asyncio.wait_for(self._socket.send_json(caption.told()), PATIENCE)
            await self._deliver(frame)
            status = self.live.status()
            self._count(before, status)
            before = status
            spoken = frame.pts if frame.spoken or status.queued_s else spoken
            attraction = self._attraction
            if attraction and frame.pts - spoken >= attraction.after * SAMPLE_RATE:
                spoken = frame.pts
                self.say(attraction.samples, attraction.rate)
            if status.frames - told.frames >= TELL:
                passed = max(time.monotonic() - since, 1e-3)
                self._fps = (status.frames - told.frames) / passed
                told, since = status, time.monotonic()
                await asyncio.wait_for(self._socket.send_json(self._doing(status)), PATIENCE)
