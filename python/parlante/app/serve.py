"""`parlante serve`: a web page on which an avatar idles, speaks and can be interrupted.

One WebSocket is one `Live` session. The server sends, for each frame, one binary message: pts in
16 kHz samples as uint64 and the length of the JPEG as uint32 (little-endian), the JPEG, then the
frame's samples as int16 (48 kHz, mono). The page sends sound as binary int16 at the rate it named,
and commands as JSON: ``{"rate": 48000}``, ``{"do": "flush"}``, ``{"do": "interrupt"}``, ``{"say":
"text"}``, ``{"change": {"mood": "friendly"}}`` (as `Live.change`). Once a second the server answers
with its status as JSON. ``POST /speak`` takes a sound file for the page that names itself:
``/speak?session=…``. ``GET /healthz`` answers while the server runs, ``GET /metrics`` is for
Prometheus.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import shutil
import ssl
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import cv2
import numpy as np

from parlante import __version__
from parlante.app.health import CONTENT_TYPE, Health
from parlante.avatar import Avatar
from parlante.contract import SAMPLE_RATE, Float
from parlante.errors import ParlanteError, reason
from parlante.options import RenderOptions
from parlante.runtime.assets import asset
from parlante.session.engine import Frame
from parlante.session.live import MAX_QUEUED_S, Live, LiveStatus
from parlante.speech.audio import read_audio

try:
    from aiohttp import WSMsgType, web
except ImportError as error:
    raise ParlanteError('serve needs aiohttp; install "parlante[serve]"') from error

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from parlante.options import RenderKeywords

MAX_UPLOAD = 20 * 2**20  # bytes of a sound file
MAX_MESSAGE = 2**20  # bytes of a piece of sound
MAX_TEXT = 500  # characters to say
SOUND_RATE = 48_000  # Hz, of the sound that the page plays
SESSIONS = 2  # at a time, where not asked for more
JPEG_QUALITY = 88
HEADER = struct.Struct("<QI")
# What a message that makes no sense raises; RecursionError: JSON nested without end.
_BAD_MESSAGES = (
    ParlanteError,
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
    subprocess.SubprocessError,
)


def needs_token(host: str) -> bool:
    """Whether ``host`` can be reached from other machines."""
    if host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def pack_frame(frame: Frame) -> bytes:
    """One BGR frame as the page reads it."""
    _, jpeg = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return HEADER.pack(frame.pts, len(jpeg)) + jpeg.tobytes() + frame.audio.tobytes()


def speech_of(text: str, voice: str | None = None) -> tuple[Float, int]:
    """``text`` spoken by a voice of espeak-ng, float32 [n], and its rate in Hz.

    Raises:
        ParlanteError: there is no espeak-ng, or no such voice.
    """
    program = shutil.which("espeak-ng") or shutil.which("espeak")
    if program is None:
        raise ParlanteError("no text-to-speech on this machine; install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = [program, "-w", str(path), "--stdin", *(() if voice is None else ("-v", voice))]
        done = subprocess.run(
            command, input=text.encode(), check=False, timeout=20, capture_output=True
        )
        if done.returncode or not path.exists():
            raise ParlanteError(
                f"voice={voice!r}: {done.stderr.decode(errors='replace').strip() or 'no sound'}; "
                f"`{Path(program).name} --voices` lists them"
            )
        return read_audio(path, MAX_QUEUED_S)


class _Server:
    def __init__(
        self,
        avatar: Avatar,
        token: str | None,
        options: RenderOptions,
        sessions: int,
        voice: str | None,
    ) -> None:
        self._avatar, self._token, self._options = avatar, token, options
        self._limit, self._voice = sessions, voice
        self._sessions: dict[str, Live] = {}
        self._running = 0
        self._health = Health(sessions, lambda: self._running)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_UPLOAD, middlewares=[self._guard])
        application.router.add_get("/", self._page)
        application.router.add_get("/live", self._live)
        application.router.add_post("/speak", self._speak)
        application.router.add_get("/healthz", self._well)
        application.router.add_get("/metrics", self._metrics)
        application.on_shutdown.append(self._shut_down)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/healthz":  # what watches may know no token, and learns nothing
            return await handler(request)  # type: ignore[no-any-return]
        if self._token is None:
            # A foreign name that was made to lead here carries a foreign page.
            if needs_token(urlsplit(f"//{request.host}").hostname or ""):
                raise web.HTTPForbidden(text="open 127.0.0.1 or localhost")
        elif not hmac.compare_digest(request.query.get("token", "").encode(), self._token.encode()):
            raise web.HTTPForbidden(text="wrong token; open the address that the server printed")
        # A page of another site must not speak through this one.
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise web.HTTPForbidden(text="another site's page")
        return await handler(request)  # type: ignore[no-any-return]

    async def _page(self, request: web.Request) -> web.Response:
        text = (asset("web") / "index.html").read_text("utf-8")
        return web.Response(text=text, content_type="text/html")

    async def _well(self, request: web.Request) -> web.Response:
        told = {"status": "ok", "version": __version__}
        return web.json_response(told | {"sessions": self._running, "limit": self._limit})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._health.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if self._running >= self._limit:
            self._health.refused.inc()
            raise web.HTTPServiceUnavailable(
                text=f"{self._limit} sessions run already, as many as this server has; wait until "
                "one ends"
            )
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, heartbeat=20)
        self._running += 1
        try:
            with suppress(ConnectionError):  # whoever has left gets no answer
                await socket.prepare(request)
                await self._session(socket)
        finally:
            self._running -= 1
        return socket

    async def _session(self, socket: web.WebSocketResponse) -> None:
        name = secrets.token_urlsafe(8)
        with await asyncio.to_thread(
            self._avatar.live, options=self._options, sound_rate=SOUND_RATE
        ) as live:
            self._sessions[name] = live
            sending = asyncio.create_task(self._send(socket, live, name))
            try:
                await self._receive(socket, live)
            finally:
                del self._sessions[name]
                live.close()
                await sending

    async def _send(self, socket: web.WebSocketResponse, live: Live, name: str) -> None:
        told, began = LiveStatus(0, 0, 0.0, 0.0), time.monotonic()
        before = told
        # A connection that takes nothing for a second is dead.
        with suppress(ConnectionError, TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(socket.send_json({"session": name}), 1.0)
            async for frame in live:
                packed = await asyncio.to_thread(pack_frame, frame)
                await asyncio.wait_for(socket.send_bytes(packed), 1.0)
                status = live.status()
                self._health.frame(before, status)
                before = status
                if status.frames - told.frames >= 25:
                    rate = (status.frames - told.frames) / max(time.monotonic() - began, 1e-3)
                    told, began = status, time.monotonic()
                    await socket.send_json({"fps": round(rate, 1), **asdict(status)})
        live.close()
        await socket.close()

    async def _receive(self, socket: web.WebSocketResponse, live: Live) -> None:
        rate = SAMPLE_RATE
        async for message in socket:
            try:
                if message.type == WSMsgType.BINARY:
                    live.push_audio(np.frombuffer(message.data, "<i2"), rate)
                elif message.type == WSMsgType.TEXT:
                    asked = json.loads(message.data)
                    rate = asked.get("rate", rate)
                    if asked.get("do") == "interrupt":
                        live.interrupt()
                    elif asked.get("do") == "flush":
                        live.flush()
                    elif "change" in asked:
                        live.change(**asked["change"])
                    elif "say" in asked:
                        text = str(asked["say"])[:MAX_TEXT]
                        said = await asyncio.to_thread(speech_of, text, self._voice)
                        live.push_audio(*said)
                        live.flush()
            except _BAD_MESSAGES as error:
                await socket.send_json({"error": str(error)})

    async def _speak(self, request: web.Request) -> web.Response:
        live = self._sessions.get(request.query.get("session", ""))
        if live is None:
            raise web.HTTPNotFound(text="no such session")
        body = await request.read()
        try:
            samples, rate = await asyncio.to_thread(_decoded, body)
            live.push_audio(samples, rate)
            live.flush()
        except ParlanteError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response({"seconds": len(samples) / rate})

    async def _shut_down(self, application: web.Application) -> None:
        for live in self._sessions.values():
            live.close()


def _decoded(body: bytes) -> tuple[Float, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        path.write_bytes(body)
        try:
            return read_audio(path, MAX_QUEUED_S)
        except ParlanteError as error:
            # Where it lay here is nobody's business.
            raise ParlanteError(str(error).replace(str(path), "the file")) from error


def application(
    avatar: Avatar,
    *,
    token: str | None = None,
    options: RenderOptions | None = None,
    sessions: int = SESSIONS,
    voice: str | None = None,
    **keywords: Unpack[RenderKeywords],
) -> web.Application:
    """The web application; ``options`` and ``keywords`` are those of `Avatar.live`.

    sessions: how many there may be at a time; voice: of espeak-ng, which reads text.

    Raises:
        ParlanteError: an option or ``sessions`` is out of its range; ``pixels`` is not rgb.
    """
    chosen = RenderOptions.of(options, **keywords)
    if chosen.pixels != "rgb":
        raise ParlanteError(f"pixels={chosen.pixels!r}; the page is made from rgb")
    if sessions < 1:
        raise ParlanteError(f"sessions={sessions}; give 1 or more")
    # The JPEG encoder takes BGR.
    options = RenderOptions.of(chosen, pixels="bgr")
    return _Server(avatar, token, options, sessions, voice).application()


def serve(
    avatar: Avatar,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    options: RenderOptions | None = None,
    sessions: int = SESSIONS,
    voice: str | None = None,
    token: str | None = None,
    certificate: Sequence[Path] | None = None,
) -> None:
    """Serve until interrupted; a host that others can reach asks for a token, which is printed.

    token: that one, even on this machine alone; None: a new one where others can reach the host.

    sessions, voice: as for `application`. certificate: PEM files of a certificate and its key, to
    serve https: elsewhere than on localhost browsers give no microphone to a page without.

    Raises:
        ParlanteError: as `application`; the certificate cannot be used; or the address cannot be
            listened on.
    """
    if not token and needs_token(host):
        token = secrets.token_urlsafe(16)
    secure = None if certificate is None else _secured(*certificate)
    scheme = "http" if secure is None else "https"
    address = f"{scheme}://{host}:{port}/" + (f"?token={quote(token)}" if token else "")
    served = application(
        avatar, token=token or None, options=options, sessions=sessions, voice=voice
    )
    try:
        web.run_app(
            served,
            host=host,
            port=port,
            ssl_context=secure,
            print=lambda _: print(f"parlante: {address}", flush=True),  # noqa: T201
        )
    except (OSError, OverflowError, UnicodeError) as error:
        raise ParlanteError(f"cannot serve on {host}, port {port} ({reason(error)})") from error


def _secured(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ParlanteError(
            f"{certificate} and {key} are no certificate and its key ({reason(error)}); give PEM "
            "files"
        ) from error
    return context
