"""A kiosk, two browsers and an operator at once: ``python -m benchmarks.serve --minutes 10``.

Starts ``parlante serve`` as a program of its own, and four pages in a headless Chromium
(playwright): the face twice, the kiosk, the operator's panel. Each face says something (espeak-ng)
every few seconds. Printed is what the server's own ``/metrics`` and ``/sessions`` tell: how late
frames were begun, how many repeated a picture, how far each session's frames have drifted from the
clock, and memory.
``--no-browsers``: three clients that only take the frames, as if browsers were elsewhere.
``--first``: the server's share of the cores goes before the browsers', as in
``examples/serve/parlante.service``; needs Linux and root.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.live import CHROMIUM_OPTIONS, FPS, chromium

PAGES = ("/", "/", "/?kiosk", "/operator")
FACES = 3  # of the pages
WARM_S = 30.0  # before anything is counted
SPEAK_EVERY_S = 6.0
SAID = (
    "Good morning. The library opens at nine, and closes at six in the evening.",
    "The lift to the second floor is on your left, behind the stairs.",
    "Thank you for waiting. Somebody will be with you in a few minutes.",
)
# Without "parlante_", or what le="…" says of how late frames were begun.
METRIC = re.compile(r'^(?:parlante_)?(\w+)(?:{le="([0-9.]+)"})? (\S+)$', re.M)


def go_first() -> None:
    """Give this process ten times the share of the cores that others have, as CPUWeight=1000."""
    os.setsid()
    Path("/proc/self/autogroup").write_text("-10")


@contextmanager
def server(options: list[str], *, first: bool = False) -> Iterator[str]:
    """The address of a server of the demo face, which ends with the context.

    first: its share of the cores goes before that of others.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ["--port", str(port), "--sessions", str(len(PAGES))]
    program = subprocess.Popen(
        [sys.executable, "-m", "parlante.app.cli", "serve", *own, *options],
        preexec_fn=go_first if first else None,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        program.terminate()
        program.wait(timeout=30)


class Watch:
    """What the server tells, from one moment on."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address

    async def begin(self) -> None:
        """Count from now on."""
        self._before, self._frames = await self._metrics(), await self._frames_now()

    async def told(self) -> dict[str, float]:
        """What came of it since then.

        Shares of the frames that were begun at most so many seconds late ("0.02" …) and that
        repeated a picture; the server's processor time a frame, ms; its memory then and now, MB.
        """
        before, now = self._before, await self._metrics()
        since = {name: now[name] - before[name] for name in now}
        frames = since["frames_total"]
        return {name: n / frames for name, n in since.items() if name[0].isdigit()} | {
            "repeated": since["frames_repeated_total"] / frames,
            "cpu_ms": 1e3 * since["process_cpu_seconds_total"] / frames,
            "memory_before": before["process_resident_memory_bytes"] / 2**20,
            "memory": now["process_resident_memory_bytes"] / 2**20,
        }

    async def drift(self) -> float:
        """Seconds by which a session's frames are off the clock, the most of all; 0 is exact."""
        now = await self._frames_now()
        assert now.keys() == self._frames.keys(), "a session has ended"
        return max(
            abs((frames - self._frames[name][0]) / FPS - (at - self._frames[name][1]))
            for name, (frames, at) in now.items()
        )

    async def _metrics(self) -> dict[str, float]:
        text = await (await self._client.get(f"{self._address}/metrics")).text()
        return {le or name: float(value) for name, le, value in METRIC.findall(text)}

    async def _frames_now(self) -> dict[str, tuple[int, float]]:
        states = await (await self._client.get(f"{self._address}/sessions")).json()
        return {state["name"]: (state["frames"], time.monotonic()) for state in states}


@asynccontextmanager
async def browsers(address: str, wrong: list[str]) -> AsyncIterator[None]:
    """All pages, in a Chromium; what goes wrong in them is added to ``wrong``."""
    from playwright.async_api import async_playwright

    async with async_playwright() as p:
        opened = await p.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
        for path in PAGES:
            page = await (await opened.new_context()).new_page()
            page.on("pageerror", lambda error: wrong.append(str(error)))
            await page.goto(address + path)
        yield
        await opened.close()


@asynccontextmanager
async def takers(address: str, wrong: list[str]) -> AsyncIterator[None]:
    """As many faces, whose frames are taken and not shown."""
    from aiohttp import ClientSession

    async def take(client: ClientSession) -> None:
        async with client.ws_connect(f"{address}/live") as connection:
            async for _ in connection:
                pass

    async with ClientSession() as client:
        tasks = [asyncio.create_task(take(client)) for _ in range(FACES)]
        yield
        wrong += [str(task.exception()) for task in tasks if task.done()]
        for task in tasks:
            task.cancel()


async def measure(address: str, minutes: float, *, shown: bool) -> dict[str, Any]:
    """Figures of ``minutes``, after a while to warm up; ``shown`` in browsers, or only taken."""
    from aiohttp import ClientSession

    wrong: list[str] = []
    opened = browsers if shown else takers
    async with ClientSession() as client, opened(address, wrong):
        watch = Watch(client, address)

        async def names() -> list[str]:
            answer = await client.get(f"{address}/sessions")
            return [state["name"] for state in await answer.json()]

        while len(await names()) < FACES:
            await asyncio.sleep(0.1)
        started = time.monotonic()
        begun, turn = False, 0
        while time.monotonic() < started + WARM_S + 60 * minutes:
            running = await names()
            assert len(running) == FACES, f"{len(running)} sessions run"
            asked = {"say": SAID[turn % len(SAID)]}
            answer = await client.post(f"{address}/sessions/{running[turn % FACES]}", json=asked)
            assert answer.status == 200, await answer.text()
            turn += 1
            if not begun and time.monotonic() > started + WARM_S:
                await watch.begin()
                begun = True
            await asyncio.sleep(SPEAK_EVERY_S / FACES)
        told, drift = await watch.told(), await watch.drift()
    return {
        "faces": FACES,
        "minutes": minutes,
        "frames begun at most 20 ms late": f"{told['0.02']:.2%}",
        "at most 40 ms, a frame": f"{told['0.04']:.2%}",
        "that repeated a picture": f"{told['repeated']:.2%}",
        "the server's processor time a frame, ms": f"{told['cpu_ms']:.1f}",
        "drift, most of all sessions, ms": f"{1e3 * drift:.0f}",
        "RSS of the server at first, MB": f"{told['memory_before']:.0f}",
        "RSS at the end, MB": f"{told['memory']:.0f}",
        "errors of those who watch": len(wrong),
    }


async def answering(address: str) -> None:
    """Wait until the server answers."""
    from aiohttp import ClientError, ClientSession

    async with ClientSession() as client:
        for _ in range(300):
            try:
                await client.get(f"{address}/healthz")
                return
            except ClientError:
                await asyncio.sleep(0.1)
    raise SystemExit("the server does not answer")


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1, help="of each session")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--no-browsers", action="store_true")
    parser.add_argument("--first", action="store_true", help="the server before the browsers")
    parsed = parser.parse_args()
    options = [f"--{name}={getattr(parsed, name)}" for name in ("size", "threads", "precision")]
    with server(options, first=parsed.first) as address:
        await answering(address)
        result = await measure(address, parsed.minutes, shown=not parsed.no_browsers)
    for name, value in result.items():
        print(f"{name:<40} {value:>10}")


if __name__ == "__main__":
    asyncio.run(main())
