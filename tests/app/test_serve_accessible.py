"""The pages of `parlante serve` keep WCAG 2.2, level AA, as far as axe-core can tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.test_serve import Client, frames, in_a_browser
from tests.app.test_serve_choices import faces
from tests.support.portrait_samples import VOICE

LEVEL_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LIGHT_PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"}
DARK_SCREEN = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"}
SEEN = pytest.mark.parametrize("seen", [LIGHT_PHONE, DARK_SCREEN], ids=["phone", "screen"])
# What the Tab key reaches, in its order.
TAB_STOPS = """[...document.querySelectorAll('button, input, select')]
  .filter(e => e.checkVisibility() && e.tabIndex >= 0)"""


async def violations(page: Any) -> list[str]:
    """What axe-core finds on the page as it is."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    options = {"runOnly": {"type": "tag", "values": LEVEL_AA}}
    found = (await axe.run(page, options=options)).response
    assert len(found["passes"]) > 5
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


@SEEN
@pytest.mark.parametrize("path", ["/", "/?kiosk"])
def test_the_page_idle_speaking_and_with_an_error(path: str, seen: Any) -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("session && document.querySelector('#faces button')")
        assert await violations(page) == []
        await page.set_input_files("#file", str(VOICE))
        await page.wait_for_function("playing.size")
        assert await violations(page) == []
        await page.click("#microphone")  # nobody grants it here
        await page.wait_for_selector("#error:not(:empty)")
        assert await violations(page) == []

    in_a_browser(check, seen | {"permissions": []}, path, faces=faces())


@SEEN
def test_the_operators_page(seen: Any) -> None:
    async def check(page: Any, client: Client) -> None:
        await page.wait_for_selector("#nobody", state="visible")
        assert await violations(page) == []
        async with client.ws_connect("/live") as socket:
            await frames(socket, 5)
            await page.wait_for_function("document.querySelector('li img')?.naturalWidth")
            assert await violations(page) == []
        await client.server.close()
        await page.wait_for_selector("#error:not(:empty)")
        assert await violations(page) == []

    in_a_browser(check, seen, "/operator")


@pytest.mark.parametrize("path", ["/", "/?kiosk"])
def test_everything_is_reached_and_done_with_keys(path: str) -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("session && document.querySelector('#faces button')")
        count = await page.evaluate(f"{TAB_STOPS}.length")
        assert count == (3 if "kiosk" in path else 9)
        for number in range(count):
            await page.keyboard.press("Tab")
            assert await page.evaluate(
                f"{TAB_STOPS}.indexOf(document.activeElement) === {number}"
            ), number
            # Where the focus is can be seen.
            assert await page.evaluate(
                "[document.activeElement, document.activeElement.parentElement]"
                ".some(e => parseFloat(getComputedStyle(e).outlineWidth) >= 2)"
            )
        first = await page.evaluate("session")
        await page.focus("#faces button:last-child")
        await page.keyboard.press("Enter")
        await page.wait_for_function(f"session && session !== '{first}'")
        assert await page.evaluate("document.activeElement.ariaPressed") == "true"

    in_a_browser(check, {"permissions": []}, path, faces=faces())


def test_what_changes_is_told_to_who_cannot_see_it() -> None:
    """The state, and at once an error; not the figures of each second."""

    async def check(page: Any, client: Client) -> None:
        await page.wait_for_selector("#status:text('fps')")
        assert await page.get_by_role("status").text_content() == "ready"
        assert await page.get_by_role("img", name="Face: avatar").count() == 1
        assert (await page.locator("#error").bounding_box())["height"] == 0  # nothing to tell
        await client.server.close()
        await page.wait_for_selector("[role=alert]:text('the server does not answer')")
        assert await page.get_by_role("status").text_content() == "not connected; trying again …"

    in_a_browser(check)
