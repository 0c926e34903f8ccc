"""What a browser is told to keep a page of ours apart from others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.test_serve import Client, in_a_browser, served


@pytest.mark.parametrize("path", ["/", "/operator", "/healthz", "/metrics", "/none", "/?kiosk"])
def test_every_answer_is_what_it_says_and_passes_no_address_on(path: str) -> None:
    async def check(client: Client) -> None:
        answer = await client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        if answer.content_type == "text/html":
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'sha256-" in policy and "unsafe-eval" not in policy
            assert "frame-ancestors 'self'" in policy

    served(check)


@pytest.mark.parametrize("host", ["[::1", "", "a b", "[::1]x", "127.0.0.1:x"])
def test_a_host_that_is_none_is_no_error_of_the_server(host: str) -> None:
    async def check(client: Client) -> None:
        assert (await client.get("/", headers={"Host": host})).status in (200, 400, 403)

    served(check)


@pytest.mark.parametrize("path", ["/?webrtc", "/?kiosk", "/operator"])
def test_the_pages_do_all_they_do_under_their_policy(path: str) -> None:
    """Nothing is refused, and another script would be."""

    async def check(page: Any, client: Client) -> None:
        refused: list[str] = []
        page.on("console", lambda said: refused.append(said.text))
        await page.reload()
        if path == "/operator":
            async with client.ws_connect("/live"):
                await page.wait_for_selector("li img")
                await page.wait_for_timeout(1500)
        else:
            await page.wait_for_selector("#status:text('fps')", state="attached", timeout=15_000)
            await page.click("#microphone")
            await page.wait_for_timeout(1500)
        assert not refused
        await page.evaluate(
            "() => { const s = document.createElement('script');"
            "s.textContent = '1'; document.body.append(s); }"
        )
        await page.wait_for_timeout(200)
        assert refused and "Content Security Policy" in refused[0]

    in_a_browser(check, {"bypass_csp": False, "permissions": ["microphone"]}, path)
