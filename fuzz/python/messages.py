"""What a page sends to `parlante serve`: JSON commands and pieces of sound, one after another.

The socket is a stand-in that keeps what is sent to it; frames are not drawn.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
from aiohttp import WSMessage, WSMsgType

from parlante.app.viewer import Viewer
from parlante.contract import Image
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine, Renderer
from parlante.session.live import Live
from parlante.speech.motion import Motion, MotionStream

END = b"\n"  # between messages; one that does not begin with a brace is sound


class _Grey(Renderer):
    def render(self, motion: Motion) -> Image:
        return np.full((32, 32, 3), 128, np.uint8)


class _Socket:
    async def send_json(self, told: Any) -> None:
        json.dumps(told)

    async def send_bytes(self, data: bytes) -> None:
        pass


LIVE = Live(Engine(MotionStream(Bundle.default()), _Grey()))
_loop = asyncio.new_event_loop()


def viewer_of(socket: Any) -> Viewer:
    """A page's session, with a stand-in for its socket."""
    return Viewer(
        "fuzz",
        LIVE,
        socket,
        bundle=Bundle.default(),
        face="fuzz",
        voices=(),
        attraction=None,
        count=lambda before, now: None,
    )


async def _take(messages: list[WSMessage]) -> None:
    viewer = viewer_of(_Socket())
    for message in messages:
        await viewer.take(message)
    json.dumps(viewer.state())
    await viewer.take(WSMessage(WSMsgType.TEXT, '{"do": "websocket"}', None))
    LIVE.interrupt()


def check(data: bytes) -> None:
    messages = []
    for part in data.split(END)[:8]:
        if part[:1] in (b"{", b"[", b'"'):
            messages.append(WSMessage(WSMsgType.TEXT, part.decode(errors="replace"), None))
        else:
            messages.append(WSMessage(WSMsgType.BINARY, part, None))
    _loop.run_until_complete(_take(messages))
