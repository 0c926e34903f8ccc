"""`parlante serve`: a web page on which an avatar idles, speaks and can be interrupted.

One WebSocket, ``/live?face=NAME``, is one `Live` session. The server sends, for each frame, one
binary message: pts in 16 kHz samples as uint64 and the length of the JPEG as uint32
(little-endian), the JPEG, then the frame's samples as int16 (48 kHz, mono). The page sends sound as
binary int16 at the rate it named, and commands as JSON: ``{"rate": 48000}``, ``{"do": "flush"}``,
``{"do": "interrupt"}``, ``{"say": "text"}``, ``{"voice": "de"}``, ``{"change": {"mood":
"friendly"}}`` (as `Live.change`). With ``{"rate": 48000, "listen": "speech"}`` only what somebody
says is spoken, and who begins to speak interrupts the face. Once a second the server answers with
its status as JSON. While a text is spoken it is told ``{"caption": "text", "voice": "de"}``, at its
end ``{"caption": ""}``. To ``{"offer": "SDP"}`` it answers ``{"answer": "SDP"}``, or null where
aiortc is missing; once WebRTC is connected frames come that way, until ``{"do": "websocket"}``.
``POST /speak`` takes a sound file for the page that names itself: ``/speak?session=…``. ``GET
/choices`` names faces and voices (JSON), ``GET /faces/NAME/picture`` is a face (JPEG).

``GET /operator`` is a page of all sessions, made from ``GET /sessions`` (JSON), ``GET
/sessions/NAME/picture`` (JPEG) and ``POST /sessions/NAME``, which takes the commands above. ``GET
/healthz`` answers while the server runs, ``GET /metrics`` is for Prometheus. Where there is a token
all but ``/healthz`` ask for it: ``?token=TOKEN``, or the header ``Authorization: Bearer TOKEN``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

from parlante import __version__
from parlante.app.access import guard, headed, needs_token
from parlante.app.bodies import body_of
from parlante.app.choices import Choices
from parlante.app.decoding import Decoder
from parlante.app.health import CONTENT_TYPE, Health
from parlante.app.logs import event, is_ours
from parlante.app.pages import page, policy
from parlante.app.viewer import BAD_MESSAGES, Attraction, Viewer, command_of
from parlante.avatar import Avatar
from parlante.checks import open_file
from parlante.errors import ParlanteError, reason
from parlante.options import RenderOptions

try:
    from aiohttp import web
except ImportError as error:
    raise ParlanteError('serve needs aiohttp; install "parlante[serve]"') from error

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from parlante.options import RenderKeywords

MAX_UPLOAD = 20 * 2**20  # bytes of a sound file
MAX_MESSAGE = 2**20  # bytes of a piece of sound
MAX_COMMAND = 2**16  # bytes
SOUND_RATE = 48_000  # Hz, of the sound that the page plays
SESSIONS = 2  # at a time, where not asked for more
LEAVING = 1.0  # seconds in which a session that ends makes room for one that begins


class PageKeywords(TypedDict, total=False):
    """Keywords of `application` that `serve` passes on."""

    options: RenderOptions | None
    sessions: int
    voices: Sequence[str]
    attraction: Attraction | None


class _Server:
    def __init__(
        self,
        choices: Choices,
        token: str | None,
        options: RenderOptions,
        sessions: int,
        attraction: Attraction | None,
    ) -> None:
        self._choices, self._token, self._options = choices, token, options
        self._limit, self._attraction = sessions, attraction
        self._viewers: dict[str, Viewer] = {}
        self._running = 0
        self._decoder, self._decoding = Decoder(), asyncio.Lock()  # one file at a time
        self._health = Health(sessions, lambda: self._running)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[guard(self._token)])
        application.router.add_get("/", self._page)
        application.router.add_get("/operator", self._page)
        application.router.add_get("/choices", self._offer)
        application.router.add_get("/faces/{name}/picture", self._face)
        application.router.add_get("/live", self._live)
        application.router.add_post("/speak", self._speak)
        application.router.add_get("/sessions", self._states)
        application.router.add_get("/sessions/{name}/picture", self._picture)
        application.router.add_post("/sessions/{name}", self._obey)
        application.router.add_get("/healthz", self._well)
        application.router.add_get("/metrics", self._metrics)
        application.on_startup.append(self._start)
        application.on_shutdown.append(self._shut_down)
        application.on_response_prepare.append(headed)
        return application

    async def _page(self, request: web.Request) -> web.Response:
        name = "operator.html" if request.path == "/operator" else "index.html"
        text = page(name)
        headers = {"Content-Security-Policy": policy(text)}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _offer(self, request: web.Request) -> web.Response:
        offered = {"faces": list(self._choices.faces), "voices": list(self._choices.voices)}
        return web.json_response(offered)

    async def _face(self, request: web.Request) -> web.Response:
        picture = self._choices.picture(self._named(request.match_info["name"]))
        return web.Response(body=picture, content_type="image/jpeg")

    def _named(self, face: str | None) -> str:
        try:
            return self._choices.name(face)
        except ParlanteError as error:
            raise web.HTTPNotFound(text=str(error)) from error

    async def _well(self, request: web.Request) -> web.Response:
        told = {"status": "ok", "version": __version__}
        return web.json_response(told | {"sessions": self._running, "limit": self._limit})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._health.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        face = self._named(request.query.get("face"))
        if not await self._room():
            self._health.refused.inc()
            event("session refused", why="full", face=face, limit=self._limit)
            raise web.HTTPServiceUnavailable(
                text=f"{self._limit} sessions run already, as many as this server has; wait until "
                "one ends"
            )
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, heartbeat=20)
        self._running += 1
        try:
            with suppress(ConnectionError):  # whoever has left gets no answer
                try:
                    await socket.prepare(request)
                except ValueError as error:  # a key that is no text
                    raise web.HTTPBadRequest(text="that is no request for a WebSocket") from error
                await self._session(socket, face)
        finally:
            self._running -= 1
        return socket

    async def _room(self) -> bool:
        """Whether one more session may begin; the one whose page asks for another face may end."""
        for _ in range(10):
            if self._running < self._limit:
                return True
            await asyncio.sleep(LEAVING / 10)
        return False

    async def _session(self, socket: web.WebSocketResponse, face: str) -> None:
        name = secrets.token_urlsafe(8)
        avatar = self._choices.faces[face]
        with await asyncio.to_thread(
            avatar.live, options=self._options, sound_rate=SOUND_RATE
        ) as live:
            viewer = self._viewers[name] = Viewer(
                name,
                live,
                socket,
                bundle=avatar.bundle,
                face=face,
                voices=self._choices.voices,
                attraction=self._attraction,
                count=self._health.frame,
            )
            event("session begun", name=name, face=face)
            try:
                await viewer.run()
            finally:
                del self._viewers[name]
                state = viewer.state()
                ended = {key: state[key] for key in ("seconds", "frames", "repeated")}
                event("session ended", name=name, face=face, **ended)

    def _viewer(self, name: str) -> Viewer:
        if name not in self._viewers:
            raise web.HTTPNotFound(text="no such session; GET /sessions lists them")
        return self._viewers[name]

    async def _states(self, request: web.Request) -> web.Response:
        return web.json_response([viewer.state() for viewer in self._viewers.values()])

    async def _picture(self, request: web.Request) -> web.Response:
        picture = self._viewer(request.match_info["name"]).picture()
        return web.Response(body=picture, content_type="image/jpeg")

    async def _obey(self, request: web.Request) -> web.Response:
        viewer = self._viewer(request.match_info["name"])
        body = await body_of(request, MAX_COMMAND)
        try:
            await viewer.obey(command_of(body.decode()))
        except BAD_MESSAGES as error:
            event("command refused", name=request.match_info["name"], error=error)
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response(viewer.state())

    async def _speak(self, request: web.Request) -> web.Response:
        viewer = self._viewer(request.query.get("session", ""))
        async with viewer.uploading:
            body = await body_of(request, MAX_UPLOAD)
            try:
                async with self._decoding:
                    samples, rate = await asyncio.to_thread(self._decoder.decode, body)
                viewer.say(samples, rate)
            except ParlanteError as error:
                event("file refused", name=request.query["session"], error=error)
                raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response({"seconds": len(samples) / rate})

    async def _start(self, application: web.Application) -> None:
        self._decoder.open()

    async def _shut_down(self, application: web.Application) -> None:
        self._decoder.close()
        for viewer in self._viewers.values():
            viewer.live.close()


def application(
    faces: Avatar | Mapping[str, Avatar],
    *,
    token: str | None = None,
    options: RenderOptions | None = None,
    sessions: int = SESSIONS,
    voices: Sequence[str] = (),
    attraction: Attraction | None = None,
    **keywords: Unpack[RenderKeywords],
) -> web.Application:
    """The web application; ``options`` and ``keywords`` are those of `Avatar.live`.

    faces: one, or several by their names, from which visitors choose; sessions: how many there may
    be at a time; voices: of espeak-ng, which read text; attraction: what a face says while nobody
    speaks to it.

    Raises:
        ParlanteError: an option or ``sessions`` is out of its range; ``pixels`` is not rgb; there
            is no face, or no such voice.
    """
    chosen = RenderOptions.of(options, **keywords)
    if chosen.pixels != "rgb":
        raise ParlanteError(f"pixels={chosen.pixels!r}; the page is made from rgb")
    if sessions < 1:
        raise ParlanteError(f"sessions={sessions}; give 1 or more")
    # The JPEG encoder takes BGR.
    options = RenderOptions.of(chosen, pixels="bgr")
    choices = Choices(faces if isinstance(faces, Mapping) else {"avatar": faces}, voices)
    return _Server(choices, token, options, sessions, attraction).application()


def serve(
    faces: Avatar | Mapping[str, Avatar],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    certificate: Sequence[Path] | None = None,
    **keywords: Unpack[PageKeywords],
) -> None:
    """Serve until interrupted; a host that others can reach asks for a token, which is printed.

    token: that one, even on this machine alone; None: a new one where others can reach the host.

    certificate: PEM files of a certificate and its key, to serve https: elsewhere than on localhost
    browsers give no microphone to a page without. faces, keywords: as for `application`.

    Raises:
        ParlanteError: as `application`; the certificate cannot be used; or the address cannot be
            listened on.
    """
    if not token and needs_token(host):
        token = secrets.token_urlsafe(16)
    secure = None if certificate is None else _secured(*certificate)
    scheme = "http" if secure is None else "https"
    address = f"{scheme}://{host}:{port}/"
    opened = address + (f"?token={quote(token)}" if token else "")

    def started(_: object) -> None:
        print(f"parlante: {opened}", flush=True)  # noqa: T201
        event("serving", address=address, version=__version__)

    served = application(faces, token=token or None, **keywords)
    logging.getLogger("aiohttp.server").addFilter(is_ours)
    try:
        web.run_app(
            served,
            host=host,
            port=port,
            ssl_context=secure,
            print=started,
            access_log=None,  # its lines would hold the token
        )
    except (OSError, OverflowError, UnicodeError) as error:
        raise ParlanteError(
            f"cannot serve on {host}, port {port} ({reason(error)}); give another host or port"
        ) from error


def _secured(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        for path in (certificate, key):
            open_file(path).close()
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ParlanteError(
            f"{certificate} and {key} are no certificate and its key ({reason(error)}); give PEM "
            "files"
        ) from error
    return context
