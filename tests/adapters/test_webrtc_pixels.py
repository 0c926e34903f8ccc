"""A WebRTC track shows the colours of a session, however its pixels lie."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from parlante.contract import Image
from parlante.options import RenderOptions
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine, Renderer
from parlante.session.live import Live
from parlante.speech.motion import Motion, MotionStream

pytest.importorskip("aiortc")
ORANGE = np.array([220, 120, 30])


class Orange(Renderer):
    """A renderer of an orange picture, 64 x 64."""

    def __init__(self, pixels: str) -> None:
        self.pixels = pixels

    def render(self, motion: Motion) -> Image:
        red, green, blue = ORANGE
        pixel = {"rgb": (red, green, blue), "bgr": (blue, green, red)}
        pixel["rgba"] = (*pixel["rgb"], 255)
        return np.tile(np.array(pixel[self.pixels], np.uint8), (64, 64, 1))


@pytest.mark.parametrize("pixels", ["rgb", "bgr", "rgba"])
def test_colors(pixels: Any) -> None:
    from parlante.adapters.webrtc import tracks

    async def run() -> Any:
        with Live(
            Engine(MotionStream(Bundle.default()), Orange(pixels)),
            options=RenderOptions(pixels=pixels),
        ) as live:
            video, audio = tracks(live)
            await audio.recv()
            frame = await video.recv()
        await video.feeder
        return frame

    frame = asyncio.run(asyncio.wait_for(run(), 20))
    assert np.abs(frame.to_ndarray(format="rgb24").mean((0, 1)) - ORANGE).max() < 3
