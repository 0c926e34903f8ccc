"""The web server, through real sockets, and the page in a headless browser where there is one."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from benchmarks.live import CHROMIUM_OPTIONS, chromium
from parlante.app.serve import HEADER, MAX_SESSIONS, MAX_UPLOAD, application, needs_token
from tests.support.portrait_samples import VOICE, avatar, demo_speech

OPTIONS: dict[str, Any] = {"size": 128, "steps": 1}
Client = TestClient[Any, Any]


def served(
    check: Callable[[Client], Awaitable[None]], token: str | None = None, **options: Any
) -> None:
    """Run ``check`` against a server of the demo portrait."""

    async def run() -> None:
        server = TestServer(application(avatar(), token=token, **OPTIONS, **options))
        async with TestClient(server) as client:
            await check(client)

    asyncio.run(asyncio.wait_for(run(), 60))


async def frames(socket: ClientWebSocketResponse, count: int) -> list[tuple[int, Any, Any]]:
    """The next frames: pts, picture, samples."""
    out: list[tuple[int, Any, Any]] = []
    while len(out) < count:
        message = await socket.receive()
        assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), message
        if message.type is WSMsgType.BINARY:
            pts, length = HEADER.unpack_from(message.data)
            jpeg = np.frombuffer(message.data[HEADER.size : HEADER.size + length], np.uint8)
            samples = np.frombuffer(message.data[HEADER.size + length :], np.int16)
            out.append((pts, cv2.imdecode(jpeg, cv2.IMREAD_COLOR), samples))
    return out


def test_speech_comes_back_with_pictures_and_stops_at_once() -> None:
    voice = np.round(demo_speech()[: 16_000 * 3] * 32767).astype("<i2")

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            assert "session" in await socket.receive_json()
            idle = await frames(socket, 5)
            assert all(picture.shape == (128, 128, 3) for _, picture, _ in idle)
            assert not any(samples.any() for *_, samples in idle)
            for piece in np.array_split(voice, 40):
                await socket.send_bytes(piece.tobytes())
            speaking = await frames(socket, 20)
            assert any(samples.any() for *_, samples in speaking)
            await socket.send_str(json.dumps({"do": "interrupt"}))
            after = await frames(socket, 40)
            loud = [i for i, (*_, samples) in enumerate(after) if samples.any()]
            assert not loud or loud[-1] < 10  # what was on its way
            pts = [p for p, *_ in idle + speaking + after]
            assert pts == list(range(0, 640 * len(pts), 640))

    served(check)


def test_upload_is_spoken() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            name = (await socket.receive_json())["session"]
            answer = await client.post(
                f"/speak?session={name}", data=io.BytesIO(VOICE.read_bytes())
            )
            assert answer.status == 200 and (await answer.json())["seconds"] > 1
            assert any(samples.any() for *_, samples in await frames(socket, 40))
            answer = await client.post(f"/speak?session={name}", data=b"no sound at all")
            assert answer.status == 400
            soundfile.write(
                long := io.BytesIO(), np.zeros(8000 * 130, np.int16), 8000, format="FLAC"
            )
            long.seek(0)
            answer = await client.post(f"/speak?session={name}", data=long)
            assert answer.status == 400 and "longer than" in await answer.text()
            answer = await client.post(
                f"/speak?session={name}", data=io.BytesIO(bytes(MAX_UPLOAD + 1))
            )
            assert answer.status == 413
        assert (await client.post("/speak?session=none", data=b"")).status == 404

    served(check)


def test_bad_messages_are_answered_and_do_no_harm() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.receive_json()
            for bad in ("no json", "[1]", '{"rate": 12}', '{"rate": "x"}'):
                await socket.send_str(bad)
                await socket.send_bytes(b"\0\0\0\0")
            await socket.send_bytes(b"odd")
            errors = 0
            while errors < 4:
                message = await socket.receive()
                errors += message.type is WSMsgType.TEXT and "error" in message.data
            assert len(await frames(socket, 5)) == 5

    served(check)


def test_sessions_are_limited_and_given_back() -> None:
    async def check(client: Client) -> None:
        open_ones = [await client.ws_connect("/live") for _ in range(MAX_SESSIONS)]
        assert (await client.get("/live")).status == 503
        for socket in open_ones:
            await socket.close()
        for _ in range(100):
            if (await client.get("/live")).status != 503:
                break
            await asyncio.sleep(0.05)
        async with client.ws_connect("/live") as socket:
            assert await frames(socket, 2)

    served(check)


def test_only_its_own_page_and_with_the_token() -> None:
    async def without(client: Client) -> None:
        page = await client.get("/")
        assert page.status == 200 and "<canvas" in await page.text()
        assert (await client.get("/", headers={"Origin": "http://evil.example"})).status == 403
        assert (await client.get("/", headers={"Host": "evil.example"})).status == 403

    async def with_token(client: Client) -> None:
        for path in ("/", "/?token=wrong", "/live", "/?token=%C3%A9"):
            assert (await client.get(path)).status == 403
        assert (await client.get("/?token=right")).status == 200

    served(without)
    served(with_token, token="right")


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("192.168.1.4", True),
        ("kiosk.example", True),
        ("", True),
    ],
)
def test_who_needs_a_token(host: str, needed: bool) -> None:
    assert needs_token(host) is needed


def test_the_page_moves_and_stops_in_a_browser() -> None:
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.async_api")
    # The largest change of the mouth from one look to the next, in grey levels.
    change = """async milliseconds => {
      const pen = document.getElementById("picture").getContext("2d", {willReadFrequently: true});
      const look = () => pen.getImageData(40, 56, 48, 48).data;
      let before = look(), most = 0;
      for (const end = performance.now() + milliseconds; performance.now() < end;) {
        await new Promise(requestAnimationFrame);
        const now = look();
        most = Math.max(most, now.reduce((sum, v, i) => sum + Math.abs(v - before[i]), 0));
        before = now;
      }
      return most / before.length;
    }"""

    async def check(client: Client) -> None:
        async with playwright.async_playwright() as p:
            opened = await p.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
            page = await opened.new_page()
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            await page.goto(str(client.make_url("/")))
            await page.wait_for_timeout(1500)
            idle = await page.evaluate(change, 1000)
            await page.set_input_files("#file", str(VOICE))
            await page.wait_for_timeout(800)
            speaking = await page.evaluate(change, 1000)
            await page.click("#stop")
            await page.wait_for_timeout(1000)
            stopped = await page.evaluate(change, 1000)
            await opened.close()
            assert not problems, problems
            assert speaking > 1 > 5 * max(idle, stopped), (idle, speaking, stopped)

    # Without head motion and blinks a silent face is still.
    served(check, pose=0, blink=0)
