"""Live sessions: ``python -m benchmarks.live``, or ``--hours 24`` of simulated time.

In real time, for ``--seconds``: speech and pauses through the demo portrait; how late frames were
begun, how long speech takes from the microphone to its first frame, and from `interrupt` to the
first frame with a shut mouth; and memory. In simulated time pictures are not drawn, everything else
runs: samples out against frames out, and memory after the first hour and at the end.

``--browser``: the page of `parlante serve` in a headless Chromium (playwright), from a click on
Stop to a shut mouth on its canvas.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from parlante import Avatar
from parlante.contract import SAMPLE_RATE
from parlante.options import LOOK_AHEADS, RenderOptions
from parlante.runtime.assets import demo
from parlante.runtime.bundle import Bundle
from parlante.runtime.machine import rss_mb
from parlante.session.engine import Engine, Renderer
from parlante.session.live import Live
from parlante.speech.audio import decode_audio
from parlante.speech.motion import Motion, MotionStream

FPS = 25


class StillClock:
    """Time passes only where somebody sleeps, and where its reader says so."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class LipsOnly(Renderer):
    """A renderer whose picture is the lip code."""

    def render(self, motion: Motion) -> NDArray[np.uint8]:
        return np.frombuffer(motion.lip.tobytes(), np.uint8)


def realtime(
    avatar: Avatar, voice: Any, seconds: float, size: int, look_ahead: int
) -> dict[str, float]:
    """Figures of one session of ``seconds`` at ``size``², K = 2."""
    late, heard, shut, spoke_at, stopped_at = [], [], [], 0.0, 0.0
    still = RenderOptions(size=size, look_ahead=look_ahead, pose=0, blink=0, brows=0, eyes=0)
    with avatar.live(options=still) as live:
        began = time.perf_counter()
        rest = None
        for number, frame in enumerate(live):
            now = time.perf_counter()
            if now - began > seconds:
                break
            if number == 1:
                rest = frame.image
            late.append(live.status().late_s)
            if spoke_at and frame.audio.any():
                heard.append(now - spoke_at)
                spoke_at = 0.0
            if stopped_at and np.abs(frame.image.astype(int) - rest).mean() < 0.5:
                shut.append(now - stopped_at)
                stopped_at = 0.0
            if number % 100 == 20:
                live.push_audio(voice)
                spoke_at = time.perf_counter()
            elif number % 100 == 70:
                live.interrupt()
                stopped_at = time.perf_counter()
        status = live.status()
        alone = rss_mb()
        with avatar.live(size=size) as second:
            for _ in range(FPS):
                next(second)
            together = rss_mb()
    return {
        "frames": status.frames,
        "repeated": status.repeated,
        "late p50, ms": 1e3 * float(np.median(late)),
        "late p99, ms": 1e3 * float(np.percentile(late, 99)),
        "speech to its first frame, median ms": 1e3 * float(np.median(heard)),
        "speech to its first frame, most ms": 1e3 * max(heard),
        "interrupt to a shut mouth, median ms": 1e3 * float(np.median(shut)),
        "interrupt to a shut mouth, most ms": 1e3 * max(shut),
        "RSS of one session, MB": alone,
        "RSS that a second one adds, MB": together - alone,
    }


def simulated(voice: Any, hours: float) -> dict[str, float]:
    """Figures of ``hours`` of speech, silence and interrupts."""
    engine = Engine(MotionStream(Bundle.default()), LipsOnly())
    random = np.random.default_rng(0)
    samples = drift = 0
    first_hour = 0.0
    with Live(engine, clock=StillClock()) as live:
        total = round(hours * 3600 * FPS)
        for number in tqdm(range(total), unit="frame"):
            frame = next(live)
            drift = max(drift, abs(frame.pts - samples))
            samples += len(frame.audio)
            chance = random.random()
            if chance < 0.002 and live.status().queued_s < 60:
                live.push_audio(voice[: random.integers(1, len(voice))])
                live.flush()
            elif chance < 0.003:
                live.interrupt()
            if number == min(3600 * FPS, total // 2):
                first_hour = rss_mb()
    return {
        "hours": hours,
        "drift, samples": drift + abs(samples - total * SAMPLE_RATE // FPS),
        "RSS after the first hour (or half), MB": first_hour,
        "RSS at the end, MB": rss_mb(),
    }


# Milliseconds from a click on Stop, made when the mouth is open, until it is at rest for good. The
# mouth: middle of the lower half.
STOP = """async rest => {
  const canvas = document.getElementById("picture");
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const look = () => {
    const side = canvas.width, box = [side * 5 / 16, side * 7 / 16, side * 3 / 8, side * 3 / 8];
    return pen.getImageData(...box.map(Math.round)).data;
  };
  const next = () => new Promise(requestAnimationFrame);
  if (!rest) { window.resting = look(); return 0; }
  const change = (sum, v, i) => sum + Math.abs(v - resting[i]);
  const away = () => look().reduce(change, 0) / resting.length;
  while (away() < 2) await next();
  const clicked = performance.now();
  document.getElementById("stop").click();
  let shut = null;
  while (performance.now() < clicked + 1000) {
    await next();
    if (away() >= 0.5) shut = null; else shut ??= performance.now() - clicked;
  }
  return shut;
}"""


def chromium() -> str | None:
    """The program, where there is one."""
    return shutil.which("chromium") or shutil.which("google-chrome")


# A page without a head that may play sound.
CHROMIUM_OPTIONS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]


async def browser(avatar: Avatar, voice: Path, stops: int, size: int) -> dict[str, float]:
    """Figures of ``stops`` clicks on Stop in the page."""
    from aiohttp.test_utils import TestServer
    from playwright.async_api import async_playwright

    from parlante.app.serve import application

    took = []
    async with (
        TestServer(application(avatar, size=size, pose=0, blink=0, brows=0, eyes=0)) as server,
        async_playwright() as p,
    ):
        opened = await p.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
        page = await opened.new_page(bypass_csp=True)  # what is evaluated is no script of it
        await page.goto(str(server.make_url("/")))
        await page.wait_for_timeout(2000)
        await page.evaluate(STOP, False)
        for stop in range(stops):
            await page.set_input_files("#file", voice)
            await page.wait_for_timeout(700 + 37 * stop)
            took.append(await page.evaluate(STOP, True))
        await opened.close()
    return {
        "stops": stops,
        "stop to a shut mouth, median ms": float(np.median(took)),
        "stop to a shut mouth, most ms": max(took),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument(
        "--look-ahead", type=int, default=RenderOptions().look_ahead, choices=LOOK_AHEADS
    )
    parser.add_argument("--hours", type=float, help="of simulated time, instead")
    parser.add_argument("--browser", type=int, metavar="STOPS", help="stops of the page, instead")
    parsed = parser.parse_args()
    with demo() as (photo, spoken):
        voice = np.concatenate(list(decode_audio(spoken)))
        if parsed.hours is not None:
            result = simulated(voice, parsed.hours)
        else:
            avatar = Avatar(photo, cache=False)
            if parsed.browser:
                result = asyncio.run(browser(avatar, spoken, parsed.browser, parsed.size))
            else:
                result = realtime(avatar, voice, parsed.seconds, parsed.size, parsed.look_ahead)
    for name, value in result.items():
        print(f"{name:<40} {value:10.1f}")


if __name__ == "__main__":
    main()
