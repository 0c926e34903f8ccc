"""The language of a kiosk, which visitors choose by a touch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.test_serve import Client, in_a_browser
from tests.app.test_serve_accessible import violations
from tests.app.test_serve_choices import SPOKEN, WORDS, faces

pytestmark = SPOKEN
VOICES = ["de", "en-gb", "fr", "pl"]
# How high the buttons are, and whether all of them are on the screen.
FIT = """[...document.querySelectorAll('button')].map(e => e.getBoundingClientRect())
  .filter(r => r.width).map(r => [r.height,
    r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight])"""


@pytest.mark.parametrize(("width", "height"), [(1080, 1920), (1280, 800), (390, 844)])
def test_a_touch_changes_voice_and_words(width: int, height: int) -> None:
    """And nothing else: the session goes on."""

    async def check(page: Any, client: Client) -> None:
        buttons = page.get_by_role("group", name="Language").get_by_role("button")
        await page.wait_for_function("session && canvas.ariaLabel")
        await buttons.first.wait_for()
        assert await buttons.all_inner_texts() == ["Deutsch", "English", "Français", "Polski"]
        assert await buttons.evaluate_all("all => all.map(e => e.lang)") == VOICES
        sizes = await page.evaluate(FIT)
        assert all(fits and tall >= (64 if width > 500 else 44) for tall, fits in sizes)
        assert await violations(page) == []
        first = await page.evaluate("session")
        for name, tag, words in (("Deutsch", "de", "de"), ("Polski", "pl", "de")):
            await page.get_by_role("button", name=name).click()
            await page.get_by_role("button", name=name, pressed=True).wait_for()
            assert await page.locator("#languages [aria-pressed=true]").count() == 1
            assert await page.get_attribute("html", "lang") == words
            assert await page.inner_text("#microphone") == WORDS[words]["touch_to_talk"]
            assert await page.get_attribute("#picture", "aria-label") == "Gesicht: Ada"
            assert await page.text_content("#state") == WORDS[words]["ready"]
            for _ in range(100):
                (state,) = await (await client.get("/sessions")).json()
                if state["voice"] == tag:
                    break
            assert state["voice"] == tag
        assert await page.evaluate("session") == first
        assert await violations(page) == []
        # The address keeps both, and another face is another session in the same language.
        await page.get_by_role("button", name="Ben & Co").click()
        await page.wait_for_function(f"session && session !== '{first}'")
        await page.reload()
        await page.get_by_role("button", name="Polski", pressed=True).wait_for()
        assert await page.get_attribute("html", "lang") == "de"

    context = {"viewport": {"width": width, "height": height}, "locale": "en-US"}
    in_a_browser(check, context, "/?kiosk", faces=faces(), voices=VOICES)


def test_voices_of_one_language_are_told_apart() -> None:
    async def check(page: Any, _: Client) -> None:
        buttons = page.locator("#languages button")
        await buttons.first.wait_for()
        assert await buttons.all_inner_texts() == ["British English", "American English"]

    in_a_browser(check, path="/?kiosk", voices=["en-gb", "en-us"])


def test_one_voice_is_no_choice() -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("session && voice")
        assert not await page.is_visible("#languages")

    in_a_browser(check, path="/?kiosk", voices=["de"])
