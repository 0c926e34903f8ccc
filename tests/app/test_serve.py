"""The web server, through real sockets, and the page in a headless browser where there is one."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from socket import create_server
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
import soundfile
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from benchmarks.live import CHROMIUM_OPTIONS, chromium
from parlante import Avatar, ParlanteError
from parlante.app.access import needs_token
from parlante.app.serve import (
    MAX_UPLOAD,
    SESSIONS,
    SOUND_RATE,
    application,
    serve,
)
from parlante.app.viewer import HEADER, speech_of
from tests.support.portrait_samples import VOICE, avatar, demo_speech

OPTIONS: dict[str, Any] = {"size": 128, "steps": 1}
Client = TestClient[Any, Any]


def served(
    check: Callable[[Client], Awaitable[None]],
    token: str | None = None,
    faces: Mapping[str, Avatar] | None = None,
    **options: Any,
) -> None:
    """Run ``check`` against a server of these faces, or of the demo portrait."""

    async def run() -> None:
        server = TestServer(application(faces or avatar(), token=token, **OPTIONS, **options))
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


def test_the_page_hears_what_was_recorded() -> None:
    """A tone that 16 kHz cannot hold comes back as loud as it was."""
    seconds = np.arange(SOUND_RATE) / SOUND_RATE
    tone = 0.25 * np.sin(2 * np.pi * 11_000 * seconds).astype(np.float32)
    soundfile.write(file := io.BytesIO(), tone, SOUND_RATE, format="WAV")
    file.seek(0)

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            name = (await socket.receive_json())["session"]
            await client.post(f"/speak?session={name}", data=file)
            heard = np.concatenate([samples for *_, samples in await frames(socket, 40)])
            assert len(heard) == 40 * SOUND_RATE // 25
            loud = heard[np.flatnonzero(heard)[0] :] / 32768
            count = min(len(loud), len(tone) - 1)
            assert count > SOUND_RATE // 2
            np.testing.assert_allclose(loud[:count], tone[1:][:count], rtol=0, atol=1e-3)

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
            said = await answer.text()
            assert "the file" in said and "/" not in said  # nothing of where it lay
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


BAD_CHANGES = [
    json.dumps({"change": change})
    for change in ([], 5, {"fps": 30}, {"mood": "angry"}, {"gaze": [900, 0]}, {"nothing": 1})
]


def test_face_changes_while_it_is_live() -> None:
    """Of a head that is held still, a mood comes within a second, and goes again."""
    still = {"expression": 0, "pose": 0, "blink": 0, "brows": 0, "eyes": 0, "breath": 0}

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.receive_json()
            seen = []
            for change in (
                still,
                {"mood": "surprised", "gaze": "10,0"},
                {"mood": "neutral", "gaze": [0, 0]},
            ):
                await socket.send_str(json.dumps({"change": change}))
                seen.append((await frames(socket, 70))[-1][1].astype(int))
        before, moody, after = seen
        assert np.abs(moody - before).max() > 40
        assert np.abs(after - before).max() < 20

    served(check)


def test_bad_messages_are_answered_and_do_no_harm() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.receive_json()
            for bad in ("no json", "[1]", '{"rate": 12}', '{"rate": "x"}', *BAD_CHANGES):
                await socket.send_str(bad)
                await socket.send_bytes(b"\0\0\0\0")
            await socket.send_bytes(b"odd")
            errors = 0
            while errors < 4 + len(BAD_CHANGES):
                message = await socket.receive()
                errors += message.type is WSMsgType.TEXT and "error" in message.data
            assert len(await frames(socket, 5)) == 5

    served(check)


def test_sessions_are_limited_and_given_back() -> None:
    async def check(client: Client) -> None:
        open_ones = [await client.ws_connect("/live") for _ in range(SESSIONS)]
        refused = await client.get("/live")
        assert refused.status == 503
        assert "2 sessions run already" in await refused.text()
        for socket in open_ones:
            await socket.close()
        for _ in range(100):
            if (await client.get("/live")).status != 503:
                break
            await asyncio.sleep(0.05)
        async with client.ws_connect("/live") as socket:
            assert await frames(socket, 2)

    served(check)


def test_as_many_sessions_as_asked_for() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.receive_json()
            assert "1 sessions run already" in await (await client.get("/live")).text()

    served(check, sessions=1)
    with pytest.raises(ParlanteError, match="sessions=0"):
        application(avatar(), sessions=0)


def test_text_is_read_in_the_voice_asked_for() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng on this machine")
    (german, rate), (english, _) = (speech_of("Guten Morgen", voice) for voice in ("de", "en"))
    assert 0.3 < len(german) / rate < 3
    assert len(german) != len(english)
    with pytest.raises(ParlanteError, match=r"voice='none-such'.*--voices"):
        speech_of("hello", "none-such")


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    for certificate in (tmp_path / "cert.pem", tmp_path / "not there.pem"):
        with pytest.raises(ParlanteError, match="give PEM files"):
            serve(avatar(), certificate=(certificate, certificate))


def test_https(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    main = "from parlante.app.cli import main; import sys; sys.exit(main())"
    given = ["serve", "--port", str(port), "--certificate", str(certificate), str(key)]
    with subprocess.Popen(
        [sys.executable, "-c", main, *given], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert f"https://127.0.0.1:{port}/" in process.stdout.readline()
        trusted = ssl.create_default_context(cafile=str(certificate))
        trusted.check_hostname = False
        with urlopen(f"https://127.0.0.1:{port}/", context=trusted) as answer:
            assert b"<canvas" in answer.read()
        process.terminate()


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
    served(check, pose=0, blink=0, brows=0, eyes=0)


def in_a_browser(
    check: Callable[[Any, Client], Awaitable[None]],
    context: Any = None,
    path: str = "/",
    **options: Any,
) -> None:
    """Run ``check`` on the page, opened with these settings of a browser context."""
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.async_api")

    async def run(client: Client) -> None:
        async with playwright.async_playwright() as p:
            opened = await p.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
            # What Playwright evaluates is no script of the page.
            settings = {"bypass_csp": True} | (context or {})
            page = await (await opened.new_context(**settings)).new_page()
            await page.goto(str(client.make_url(path)))
            await check(page, client)
            await opened.close()

    served(run, **options)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (320, 568)])
def test_the_page_fits_a_phone(width: int, height: int) -> None:
    """Nothing runs off the screen, the whole face is seen, and a thumb hits the buttons."""

    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("document.getElementById('picture').width === 128")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = await page.evaluate(
            "[...document.querySelectorAll('button, input, select')]"
            ".map(e => e.getBoundingClientRect())"
            ".map(r => [r.left, r.right, r.height])"
        )
        for left, right, tall in boxes:
            assert 0 <= left < right <= width
            assert tall >= 44
        wide, tall = await page.evaluate(
            "(r => [r.width, r.height])(document.getElementById('picture').getBoundingClientRect())"
        )
        assert wide == pytest.approx(tall) and tall <= height
        assert wide > 0.9 * min(width, height)  # however small its pictures are

    in_a_browser(check, {"viewport": {"width": width, "height": height}})


def test_errors_stay_until_the_next_thing(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no sound at all")

    async def check(page: Any, _: Client) -> None:
        said = page.locator("#error")
        await page.wait_for_function(
            "document.getElementById('status').textContent.includes('fps')"
        )
        await page.set_input_files("#file", str(tmp_path / "noise.wav"))
        await page.wait_for_function("document.getElementById('error').textContent")
        await page.wait_for_timeout(2500)  # the status has been told twice
        assert "the file" in await said.text_content()
        await page.click("#stop")
        assert not await said.text_content()
        await page.click("#microphone")  # nobody grants it here
        await page.wait_for_function("document.getElementById('error').textContent")
        assert (await said.text_content()).startswith("no microphone: ")
        assert await page.text_content("#microphone") == "Microphone"

    in_a_browser(check, {"permissions": []})


def test_mood_and_gaze_on_the_page() -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("document.getElementById('picture').width === 128")
        for name in ("mood", "gaze"):
            for choice in await page.evaluate(
                f"[...document.getElementById('{name}').options].map(o => o.value)"
            ):
                await page.select_option(f"#{name}", choice)
        await page.wait_for_timeout(1500)
        assert not await page.text_content("#error")

    in_a_browser(check)


def test_a_lost_connection_is_tried_again() -> None:
    async def check(page: Any, client: Client) -> None:
        ready = "/ready|fps/.test(document.getElementById('status').textContent)"
        await page.wait_for_function(ready)
        await page.evaluate("socket.close()")
        await page.wait_for_function(
            "document.getElementById('status').textContent.includes('again')"
        )
        await page.wait_for_function(ready)
        # Where others have taken the place, the page says so, and goes on when it is free.
        async with client.ws_connect("/live") as other:
            await other.receive_json()
            await page.evaluate("socket.close()")
            async with client.ws_connect("/live") as third:
                await third.receive_json()
                await page.wait_for_function(
                    "document.getElementById('error').textContent.includes('2 sessions')"
                )
            await page.wait_for_function(ready)
            assert not await page.text_content("#error")

    in_a_browser(check)
