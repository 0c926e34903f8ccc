"""The colours of the web page are those of the frames."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.live import CHROMIUM_OPTIONS, chromium
from parlante import Avatar
from parlante.app.serve import application
from parlante.app.viewer import HEADER, pack_frame
from parlante.media.photo import load_image
from parlante.runtime.assets import demo
from parlante.session.engine import Frame

SIZE = 256
TINT = np.array([1.0, 0.6, 0.25])  # orange: red and blue cannot be mistaken for one another
LEVELS = 6.0
# Regions of the picture, as shares of its side: face, shoulder, background.
REGIONS = [(0.4, 0.4, 0.6, 0.6), (0.3, 0.85, 0.7, 1.0), (0.0, 0.0, 0.2, 0.2)]
Client = TestClient[Any, Any]


@cache
def orange() -> Avatar:
    with demo() as (photo, _):
        picture = load_image(photo).rgb
    return Avatar(np.round(picture * TINT).astype(np.uint8), cache=False)


@cache
def own() -> NDArray[np.float64]:
    """The frame at rest: the mean colour of each region, RGB."""
    with orange().live(size=SIZE, steps=1, pose=0, blink=0, brows=0, eyes=0) as live:
        return means(next(live).image)


def means(image: NDArray[Any]) -> NDArray[np.float64]:
    side = image.shape[0]
    cut = [[round(side * share) for share in region] for region in REGIONS]
    return np.array([image[y0:y1, x0:x1].mean((0, 1)) for x0, y0, x1, y1 in cut])


def served(check: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        app = application(orange(), size=SIZE, steps=1, pose=0, blink=0, brows=0, eyes=0)
        async with TestClient(TestServer(app)) as client:
            await check(client)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_the_frame_is_orange() -> None:
    """What the other tests compare with tells red from blue."""
    face = own()[0]
    assert face[0] > face[2] + 40


def test_the_jpeg_has_the_colours_of_the_frame() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            while (message := await socket.receive()).type is not WSMsgType.BINARY:
                assert message.type is WSMsgType.TEXT
            _, length = HEADER.unpack_from(message.data)
            jpeg = Pillow.open(io.BytesIO(message.data[HEADER.size : HEADER.size + length]))
            assert (jpeg.format, jpeg.mode, jpeg.size) == ("JPEG", "RGB", (SIZE, SIZE))
            assert np.abs(means(np.asarray(jpeg)) - own()).max() < LEVELS

    served(check)


def test_what_is_packed_is_bgr() -> None:
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[..., 0] = 200
    packed = pack_frame(Frame(blue, 7, np.arange(640, dtype=np.int16)))
    pts, length = HEADER.unpack_from(packed)
    jpeg = Pillow.open(io.BytesIO(packed[HEADER.size : HEADER.size + length]))
    assert np.abs(np.asarray(jpeg).mean((0, 1)) - [0, 0, 200]).max() < LEVELS
    assert pts == 7
    assert np.array_equal(np.frombuffer(packed[HEADER.size + length :], np.int16), np.arange(640))


def test_the_canvas_in_a_browser_has_the_colours_of_the_frame() -> None:
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.async_api")
    read = """() => {
      const canvas = document.getElementById("picture"), side = canvas.width;
      const pen = canvas.getContext("2d", {willReadFrequently: true});
      return [side, Array.from(pen.getImageData(0, 0, side, side).data)];
    }"""

    async def check(client: Client) -> None:
        async with playwright.async_playwright() as p:
            opened = await p.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
            page = await opened.new_page()
            await page.goto(str(client.make_url("/")))
            for _ in range(100):
                side, data = await page.evaluate(read)
                if side == SIZE and any(data):
                    break
                await page.wait_for_timeout(100)
            shown = np.array(data).reshape(side, side, 4)
            await opened.close()
            assert (shown[..., 3] == 255).all()
            assert np.abs(means(shown[..., :3]) - own()).max() < LEVELS

    served(check)
