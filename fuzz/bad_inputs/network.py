"""What a page may send to `parlante serve` and should not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiohttp import WSMessage, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from fuzz.bad_inputs.kind import Answer, Kind, awaited
from fuzz.bad_inputs.models import FACE
from fuzz.python import messages
from parlante.app.serve import application
from parlante.avatar import Avatar

MESSAGES: tuple[tuple[str, bytes | str], ...] = (
    ("text that is no JSON", "hello"),
    ("an empty text", ""),
    ("half a command", '{"do": "flu'),
    ("JSON nested without end", "[" * 100_000),
    ("a number", "5"),
    ("a list", '["do", "flush"]'),
    ("a text", '"rate"'),
    ("null", "null"),
    ("an empty command", "{}"),
    ("an unknown command", '{"do": "dance"}'),
    ("an unknown key", '{"volume": 3}'),
    ("a rate of 1 Hz", '{"rate": 1}'),
    ("a rate that is text", '{"rate": "fast"}'),
    ("a rate that is null, with listening", '{"rate": null, "listen": "speech"}'),
    ("a change that is a number", '{"change": 5}'),
    ("a change of the size", '{"change": {"size": 512}}'),
    ("a change of something unknown", '{"change": {"volume": 1}}'),
    ("a mood that is none", '{"change": {"mood": "angry"}}'),
    ("a mood of 400 digits", '{"change": {"mood": ["sad", 1' + "0" * 400 + "]}}"),
    ("a gaze of 400 digits", '{"change": {"gaze": [1' + "0" * 400 + ", 0]}}"),
    ("a number of 5000 digits", '{"change": {"pose": ' + "1" * 5000 + "}}"),
    ("a strength of 3", '{"change": {"pose": 3}}'),
    ("a change of self", '{"change": {"self": 3}}'),
    ("an offer that is none", '{"offer": "hello"}'),
    ("an offer that is a number", '{"offer": 5}'),
    ("sound of an odd number of bytes", b"\0\0\0"),
)


def _said(message: bytes | str) -> Any:
    async def act() -> Answer:
        answers: list[Any] = []

        class Socket:
            async def send_json(self, told: Any) -> None:
                answers.append(told)

        kind = WSMsgType.BINARY if isinstance(message, bytes) else WSMsgType.TEXT
        await messages.viewer_of(Socket()).take(WSMessage(kind, message, None))
        assert answers and "error" in answers[-1], f"no error, but {answers}"
        return Answer("answer", answers[-1]["error"])

    return awaited(act)


def _asked(method: str, path: str, *, token: str = "secret", **request: Any) -> Any:
    async def act() -> Answer:
        served = application(Avatar.load(FACE), token=token)
        async with TestClient(TestServer(served)) as client:
            answer = await client.request(method, path, **request)
            text = (await answer.text()).strip()
            assert answer.status >= 400, f"{answer.status} {text}"
            return Answer(f"HTTP {answer.status}", text)

    return awaited(act)


def pages() -> Iterator[Kind]:
    for what, message in MESSAGES:
        yield Kind(f"WebSocket: {what}", _said(message))
    other = {"Origin": "https://example.com"}
    yield Kind("GET / without the token", _asked("GET", "/"))
    yield Kind("GET / with a wrong token", _asked("GET", "/?token=guess"))
    yield Kind("GET / from another site's page", _asked("GET", "/?token=secret", headers=other))
    yield Kind("GET /nowhere", _asked("GET", "/nowhere?token=secret"))
    yield Kind("POST /", _asked("POST", "/?token=secret"))
    yield Kind("GET /live without a WebSocket", _asked("GET", "/live?token=secret"))
    yield Kind("POST /sessions/NAME of no session", _asked("POST", "/sessions/x?token=secret"))
    yield Kind("GET the picture of no session", _asked("GET", "/sessions/x/picture?token=secret"))
    yield Kind("POST /speak for no session", _asked("POST", "/speak?token=secret", data=b"x"))
