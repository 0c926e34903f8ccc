"""A browser's microphone that is gone: the face falls silent, people are told, and can go on."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_serve import Client
from tests.app.test_serve_microphone import talk, until, with_microphone

__all__ = ["talk"]  # a fixture
AUDIO_SERVICE = b"audio.mojom.AudioService"


def ancestors(process: int) -> list[int]:
    found = []
    while process > 1:
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
        found.append(process)
    return found


def unplug() -> None:
    """End the process through which our browser hears: to the page, its device is gone."""
    ended = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = AUDIO_SERVICE in (folder / "cmdline").read_bytes()
            if ours and os.getpid() in ancestors(int(folder.name)):
                os.kill(int(folder.name), signal.SIGKILL)
                ended += 1
        except OSError:  # it has ended by itself
            pass
    assert ended == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("path", ["/", "/?kiosk"])
def test_a_microphone_that_is_unplugged(talk: Path, path: str) -> None:
    async def check(page: Any, client: Client) -> None:
        await page.click("#microphone")
        await page.wait_for_selector("#microphone.on")
        await until(page, client, lambda told: told["speaking"])
        unplug()
        await page.wait_for_selector("#microphone:not(.on)")
        assert (await page.inner_text("#error")).startswith("the microphone is gone")
        await until(page, client, lambda told: not told["speaking"] and told["queued_s"] == 0)
        await page.click("#microphone")
        await page.wait_for_selector("#microphone.on")
        await until(page, client, lambda told: told["speaking"])
        assert not await page.inner_text("#error")
        await page.click("#microphone")
        await until(page, client, lambda told: not told["speaking"])

    with_microphone(talk, check, path)
