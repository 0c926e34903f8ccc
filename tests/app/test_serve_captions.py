"""The text of what is said, on the page of `parlante serve`, while it is said."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from parlante.app.viewer import HEADER
from tests.app.test_serve import Client, in_a_browser, served
from tests.app.test_serve_accessible import violations
from tests.app.test_serve_choices import SPOKEN
from tests.support.portrait_samples import VOICE, demo_speech

pytestmark = SPOKEN
TEXT = "Good <b>morning</b> & welcome to you."
# Of what an element covers, and of its text.
LOOKS = """id => {
  const element = document.getElementById(id), r = element.getBoundingClientRect();
  return [r.left, r.top, r.right, r.bottom, parseFloat(getComputedStyle(element).fontSize)];
}"""
SHOWN = "#caption:not(:empty)"


async def until(socket: ClientWebSocketResponse, *captions: str) -> list[str | bool]:
    """What comes until these captions came: each of them, and of each frame whether it sounds."""
    told: list[str | bool] = []
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            length = HEADER.unpack_from(message.data)[1]
            told.append(any(message.data[HEADER.size + length :]))
        elif "caption" in message.json():
            told.append(message.json()["caption"])
            assert message.json().get("voice") == ("de" if told[-1] else None)
        if [one for one in told if isinstance(one, str)] == list(captions):
            return told
    raise AssertionError(told)


def test_captions_begin_and_end_with_their_texts() -> None:
    """A visitor's and an operator's, and none for a file between them."""

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            name = (await socket.receive_json())["session"]
            await socket.send_json({"say": "Eins"})
            before = await until(socket, "Eins")
            await client.post(f"/speak?session={name}", data=io.BytesIO(VOICE.read_bytes()))
            await client.post(f"/sessions/{name}", json={"say": "Zwei, drei"})
            one = await until(socket, "")
            file = await until(socket, "Zwei, drei")
            two = await until(socket, "")
        assert not any(before[:-1])
        assert sum(map(bool, one)) > 5 and sum(map(bool, file[:-1])) > 25
        assert sum(map(bool, two)) > sum(map(bool, one))

    served(check, voices=["de"])


def test_texts_follow_each_other_and_end_with_an_interruption() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            for text in ("Eins", "Zwei, drei, vier", "Nie"):
                await socket.send_json({"say": text})
            await until(socket, "Eins", "Zwei, drei, vier")
            await socket.send_json({"do": "interrupt"})
            await socket.send_json({"say": "Fünf"})
            assert sum(map(bool, await until(socket, ""))) < 25
            await until(socket, "Fünf", "")

    served(check, voices=["de"])


def test_the_microphone_has_no_caption() -> None:
    """An utterance of it, then a text."""
    voice = np.round(demo_speech()[:16_000] * 32767).astype("<i2")

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.send_bytes(voice.tobytes())
            await socket.send_json({"do": "flush"})
            await socket.send_json({"do": "flush"})
            await socket.send_json({"say": "Eins"})
            assert sum(map(bool, await until(socket, "Eins"))) > 20
            await until(socket, "")

    served(check, voices=["de"])


@pytest.mark.parametrize("path", ["/", "/?kiosk"])
@pytest.mark.parametrize(
    ("width", "height"), [(390, 844), (844, 390), (1280, 800), (1080, 1920), (1920, 1080)]
)
def test_the_page_shows_them(path: str, width: int, height: int) -> None:
    async def check(page: Any, client: Client) -> None:
        await page.wait_for_function("session && canvas.width === 128")
        # The line of figures comes after a second, and moves what is above it.
        await page.wait_for_selector("#status:text('fps')", state="attached", timeout=15_000)
        controls = await page.evaluate(LOOKS, "microphone")
        (state,) = await (await client.get("/sessions")).json()
        await client.post(f"/sessions/{state['name']}", json={"say": TEXT})
        await page.wait_for_selector(SHOWN)
        assert await page.inner_text("#caption") == TEXT
        assert await page.get_attribute("#caption", "lang") == "en-gb"
        assert await page.get_attribute("#caption", "aria-live") == "polite"
        left, top, right, bottom, letters = await page.evaluate(LOOKS, "caption")
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert letters >= (32 if "kiosk" in path and min(width, height) >= 1080 else 18)
        assert await page.evaluate(LOOKS, "microphone") == controls  # nothing moved
        picture = await page.evaluate(LOOKS, "picture")
        if "kiosk" in path:
            assert bottom <= picture[3] and bottom - picture[1] > 0.8 * (picture[3] - picture[1])
            assert bottom <= controls[1] or right <= controls[0]
        elif height > 400:
            assert top >= picture[3]
        assert await violations(page) == []
        await page.evaluate("document.getElementById('stop').click()")
        assert not await page.text_content("#caption")
        await page.wait_for_timeout(300)
        await client.post(f"/sessions/{state['name']}", json={"say": TEXT})
        await page.wait_for_selector(SHOWN)
        await page.wait_for_selector(SHOWN, state="detached")

    context = {"viewport": {"width": width, "height": height}}
    in_a_browser(check, context, path, voices=["en-gb"])
