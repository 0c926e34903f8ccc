"""The page as a kiosk shows it, in a headless browser where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.test_serve import Client, in_a_browser

# The boxes of all that is seen and may be touched.
CONTROLS = """[...document.querySelectorAll('button, input, select')]
  .map(e => e.getBoundingClientRect()).filter(r => r.width)
  .map(r => [r.left, r.top, r.right, r.bottom])"""
PICTURE = (
    "(r => [r.left, r.top, r.right, r.bottom])"
    "(document.getElementById('picture').getBoundingClientRect())"
)


@pytest.mark.parametrize(("width", "height"), [(1080, 1920), (1920, 1080), (390, 844)])
def test_the_face_fills_the_screen_under_one_button(width: int, height: int) -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("document.getElementById('picture').width === 128")
        left, top, right, bottom = await page.evaluate(PICTURE)
        side = min(width, height)
        assert right - left == pytest.approx(side) and bottom - top == pytest.approx(side)
        assert left == pytest.approx(width - right) and top == pytest.approx(height - bottom)
        (button,) = await page.evaluate(CONTROLS)
        assert button[0] >= 0 and button[2] <= width and button[3] <= height
        assert button[3] - button[1] >= 96
        assert await page.inner_text("#microphone") == "Touch or hold to talk"
        assert not await page.is_visible("#status")
        for axis in ("Width", "Height"):
            assert await page.evaluate(f"document.body.scroll{axis} <= window.inner{axis}")
        # What goes wrong is told here, too.
        assert not await page.is_visible("#error")
        await page.click("#microphone")
        await page.wait_for_selector("#error", state="visible")
        assert (await page.inner_text("#error")).startswith("no microphone: ")

    in_a_browser(
        check, {"viewport": {"width": width, "height": height}, "permissions": []}, "/?kiosk"
    )
