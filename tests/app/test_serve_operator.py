"""What an operator sees and does, and what a face says by itself while nobody speaks to it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from parlante.app.viewer import LEAST_SILENCE, Attraction
from parlante.contract import SAMPLE_RATE
from parlante.errors import AudioError, ParlanteError
from tests.app.test_serve import Client, frames, in_a_browser, served
from tests.support.portrait_samples import VOICE, demo_speech


def test_an_operator_sees_sessions_and_speaks_through_one_of_them() -> None:
    async def check(client: Client) -> None:
        assert await (await client.get("/sessions")).json() == []
        async with client.ws_connect("/live") as one, client.ws_connect("/live") as other:
            name = (await one.receive_json())["session"]
            await frames(one, 30)
            await frames(other, 30)
            states = await (await client.get("/sessions")).json()
            assert len(states) == 2 and len({state["name"] for state in states}) == 2
            (state,) = (state for state in states if state["name"] == name)
            assert 1 <= state["seconds"] <= 30 and 15 < state["fps"] < 40
            assert state["frames"] >= 30 and state["queued_s"] == 0
            shown = await client.get(f"/sessions/{name}/picture")
            picture = Image.open(io.BytesIO(await shown.read()))
            assert (shown.content_type, picture.size) == ("image/jpeg", (128, 128))
            assert np.std(picture) > 10
            answer = await client.post(f"/sessions/{name}", json={"change": {"mood": "sad"}})
            assert answer.status == 200 and (await answer.json())["name"] == name
            # What is wrong is told, and what is not there is not found.
            for wrong in ({"change": {"mood": "grim"}}, {"change": 7}, [1]):
                answer = await client.post(f"/sessions/{name}", json=wrong)
                assert answer.status == 400, wrong
            assert (await client.post(f"/sessions/{name}", data=b"{")).status == 400
            assert (await client.post("/sessions/none", json={})).status == 404
            assert (await client.get("/sessions/none/picture")).status == 404
        for _ in range(50):
            if not await (await client.get("/sessions")).json():
                break
        assert await (await client.get("/sessions")).json() == []

    served(check)


def test_nobody_is_an_operator_without_the_token() -> None:
    async def check(client: Client) -> None:
        for path in ("/operator", "/sessions", "/sessions/x/picture"):
            assert (await client.get(path)).status == 403
        assert (await client.post("/sessions/x", json={"do": "interrupt"})).status == 403
        assert (await client.get("/operator?token=right")).status == 200

    served(check, token="right")


def test_an_attraction_is_said_again_and_again() -> None:
    """At first after the silence that was asked for, and not while somebody speaks."""
    attraction = Attraction(demo_speech()[8000:16_000], SAMPLE_RATE, 1.0)

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            sound = np.stack([samples for *_, samples in await frames(socket, 110)])
            loud = np.flatnonzero(sound.any(1))
            assert 24 <= loud[0] < 36
            begins = loud[np.flatnonzero(np.diff(loud, prepend=-99) > 10)]
            assert len(begins) == 2 and begins[1] - begins[0] > 25 + 12

    served(check, attraction=attraction)


def test_attractions(tmp_path: Any) -> None:
    read = Attraction.read(VOICE, LEAST_SILENCE)
    assert read.after == LEAST_SILENCE and len(read.samples) > read.rate
    for after in (LEAST_SILENCE - 1, float("nan")):
        with pytest.raises(ParlanteError, match="give 5 seconds or more"):
            Attraction.read(VOICE, after)
    with pytest.raises(AudioError):
        Attraction.read(tmp_path / "none.wav", 60)
    soundfile.write(tmp_path / "long.flac", np.zeros(8000 * 121, np.int16), 8000)
    with pytest.raises(AudioError, match="longer than"):
        Attraction.read(tmp_path / "long.flac", 60)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_the_operators_page(width: int, height: int) -> None:
    async def check(page: Any, client: Client) -> None:
        await page.wait_for_function("document.getElementById('health').textContent.length > 3")
        assert "0 of 2 sessions" in await page.inner_text("#health")
        async with client.ws_connect("/live") as socket:
            await frames(socket, 30)
            await page.wait_for_selector("li img")
            await page.wait_for_function("document.querySelector('li img').naturalWidth === 128")
            assert "fps" in await page.inner_text(".numbers")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            small = await page.evaluate(
                "[...document.querySelectorAll('button, input, select')]"
                ".filter(e => e.getBoundingClientRect().height < 44).length"
            )
            assert small == 0
            await page.select_option("[name=mood]", "friendly")
            await page.fill("[name=text]", "Hello")
            # As one session is told, so is no other.
            async with page.expect_response("**/sessions/*") as answer:
                await page.click("text=Stop")
            assert (await answer.value).status == 200
            assert await page.inner_text("#error") == ""
        await page.wait_for_function("!document.querySelector('li')")
        await client.server.close()
        await page.wait_for_function(
            "document.getElementById('error').textContent.startsWith('the server does not answer')"
        )

    in_a_browser(check, {"viewport": {"width": width, "height": height}}, "/operator")
