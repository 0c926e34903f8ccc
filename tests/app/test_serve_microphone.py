"""The page's microphone, in a browser whose microphone plays a file of real speech."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.live import CHROMIUM_OPTIONS, chromium
from parlante.contract import SAMPLE_RATE
from tests.app.test_serve import Client, served
from tests.support.portrait_samples import VOICE, demo_speech

SPEECH_S, QUIET_S = 2.0, 5.0


def with_microphone(
    sound: Path, check: Callable[[Any, Client], Awaitable[None]], path: str, **options: Any
) -> None:
    """Run ``check`` on the page at ``path``; its microphone plays ``sound`` again and again."""
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.async_api")
    plays = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ]

    async def run(client: Client) -> None:
        async with playwright.async_playwright() as p:
            opened = await p.chromium.launch(
                executable_path=chromium(), args=[*CHROMIUM_OPTIONS, *plays]
            )
            page = await (await opened.new_context(bypass_csp=True)).new_page()
            await page.goto(str(client.make_url(path)))
            await page.wait_for_function("session")
            await check(page, client)
            await opened.close()

    served(run, **options)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Silence, then a sentence of the demo voice."""
    voice = demo_speech()[8_000 : 8_000 + int(SPEECH_S * SAMPLE_RATE)]
    quiet = np.zeros(int(QUIET_S * SAMPLE_RATE), np.float32)
    soundfile.write(tmp_path / "talk.wav", np.concatenate([quiet, voice]), SAMPLE_RATE, "PCM_16")
    return tmp_path / "talk.wav"


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """A room in which nobody speaks: faint noise."""
    noise = 1e-3 * np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE)
    soundfile.write(tmp_path / "silence.wav", noise, SAMPLE_RATE, "PCM_16")
    return tmp_path / "silence.wav"


async def state(client: Client) -> dict[str, Any]:
    """Of the only session."""
    (told,) = await (await client.get("/sessions")).json()
    return dict(told)


async def until(page: Any, client: Client, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Look at the session, 25 times a second, until it is as wanted."""
    for _ in range(25 * 20):
        if wanted(told := await state(client)):
            return
        await page.wait_for_timeout(40)
    raise AssertionError(told)


@pytest.mark.parametrize("path", ["/", "/?kiosk"])
def test_the_face_speaks_what_is_said(talk: Path, path: str) -> None:
    """While the microphone is on; the page plays it, and with the microphone off it is quiet."""

    async def check(page: Any, client: Client) -> None:
        assert not (await state(client))["speaking"]
        await page.click("#microphone")
        await page.wait_for_selector("#microphone.on")
        await page.wait_for_function("playing.size", timeout=20_000)  # sound that is not silent
        assert (await state(client))["speaking"]
        await page.click("#microphone")
        await until(page, client, lambda told: not told["speaking"])
        await page.wait_for_timeout(1000 * (QUIET_S + 1))
        assert not (await state(client))["speaking"]
        assert not await page.text_content("#error")

    with_microphone(talk, check, path)


def test_a_microphone_that_is_switched_on_again(silence: Path) -> None:
    """It is heard once: sound that came twice would pile up."""

    async def check(page: Any, client: Client) -> None:
        for _ in range(5):
            await page.click("#microphone")
        await page.wait_for_selector("#microphone.on")
        await until(page, client, lambda told: told["speaking"])
        for _ in range(30):
            await page.wait_for_timeout(100)
            assert (await state(client))["queued_s"] < 1.5

    with_microphone(silence, check, "/")


def test_who_speaks_interrupts_the_face(talk: Path) -> None:
    """A minute is being said; a visitor's sentence takes its place."""
    minute = talk.with_name("minute.flac")
    soundfile.write(minute, np.tile(demo_speech(), 8)[: 60 * SAMPLE_RATE], SAMPLE_RATE)

    async def check(page: Any, client: Client) -> None:
        await page.set_input_files("#file", str(minute))
        await until(page, client, lambda told: told["speaking"] and told["queued_s"] > 30)
        await page.click("#microphone")
        await until(page, client, lambda told: told["queued_s"] < SPEECH_S)
        await until(page, client, lambda told: told["speaking"])
        await page.click("#microphone")

    with_microphone(talk, check, "/?kiosk")


def test_silence_leaves_the_face_idle(silence: Path) -> None:
    """And lets it go on with what it says."""

    async def check(page: Any, client: Client) -> None:
        await page.click("#microphone")
        for _ in range(30):
            await page.wait_for_timeout(100)
            told = await state(client)
            assert not told["speaking"] and told["queued_s"] == 0
        await page.set_input_files("#file", str(VOICE))
        await until(page, client, lambda told: told["speaking"])
        queued = (await state(client))["queued_s"]
        assert queued > 1
        await page.wait_for_timeout(500)
        assert (await state(client))["queued_s"] > queued - 1

    with_microphone(silence, check, "/?kiosk")


def test_the_microphone_goes_on_after_the_connection_was_lost(talk: Path) -> None:
    """The new session hears it at its rate, and only what somebody says, as before."""

    async def check(page: Any, client: Client) -> None:
        await page.click("#microphone")
        first = await page.evaluate("session")
        await page.evaluate("socket.close()")
        await page.wait_for_function(f"session && session !== '{first}'")
        await until(page, client, lambda told: not told["speaking"])
        await until(page, client, lambda told: told["speaking"])
        # The utterance ends; silence would go on for ever.
        await until(page, client, lambda told: not told["speaking"] and told["queued_s"] == 0)

    with_microphone(talk, check, "/?kiosk")


async def press(page: Any, how: str, down: bool) -> None:
    """Press the kiosk's button, or let it go, with the pointer or a key."""
    if how == "pointer":
        await page.hover("#microphone")
        await (page.mouse.down() if down else page.mouse.up())
    else:
        await page.focus("#microphone")
        await (page.keyboard.down(how) if down else page.keyboard.up(how))


@pytest.mark.parametrize("how", ["pointer", " ", "Enter"])
def test_a_button_that_is_held_listens_as_long(talk: Path, how: str) -> None:
    """And one that is touched shortly until it is touched again."""

    async def check(page: Any, client: Client) -> None:
        opened = page.locator("#microphone.on")
        await press(page, how, True)
        await opened.wait_for()
        await until(page, client, lambda told: told["speaking"])
        assert await page.inner_text("#microphone") == "Let go when done"
        await press(page, how, False)
        await opened.wait_for(state="detached")
        assert await page.inner_text("#microphone") == "Touch or hold to talk"
        # What was being said is an utterance that ends.
        await until(page, client, lambda told: not told["speaking"] and told["queued_s"] == 0)
        for is_open in (True, False):
            await press(page, how, True)
            await press(page, how, False)
            await opened.wait_for(state="attached" if is_open else "detached")
            await page.wait_for_timeout(600)
            assert await opened.count() == is_open
        await page.evaluate("document.getElementById('microphone').click()")
        await opened.wait_for()
        assert await page.inner_text("#microphone") == "Done"
        assert not await page.text_content("#error")

    with_microphone(talk, check, "/?kiosk")
