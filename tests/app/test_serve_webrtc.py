"""The page over WebRTC: another client of aiortc, and a browser where there is one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from parlante.app import viewer
from tests.app.test_serve import Client, frames, in_a_browser, served
from tests.support.portrait_samples import demo_speech


async def message(socket: ClientWebSocketResponse, key: str) -> Any:
    """The next JSON message that has this key."""
    while True:
        got = await socket.receive(timeout=10)
        if got.type is WSMsgType.TEXT and key in got.json():
            return got.json()[key]


async def calling() -> RTCPeerConnection:
    """One side, which has described itself."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in ("video", "audio"):
        connection.addTransceiver(kind, direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    return connection


def test_pictures_and_sound_come_over_webrtc_and_go_back_to_the_socket() -> None:
    voice = np.round(demo_speech()[8_000:40_000] * 32767).astype("<i2")

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await frames(socket, 2)
            connection = await calling()
            await socket.send_json({"offer": connection.localDescription.sdp})
            answer = await message(socket, "answer")
            await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            video, audio = (t.receiver.track for t in connection.getTransceivers())
            picture = await asyncio.wait_for(video.recv(), 10)
            assert (picture.width, picture.height) == (128, 128)
            assert np.std(picture.to_ndarray(format="rgb24")) > 20
            await socket.send_str(json.dumps({"rate": 16_000}))
            await socket.send_bytes(voice.tobytes())
            loudest = 0
            for _ in range(100):  # of 20 ms
                heard = await asyncio.wait_for(audio.recv(), 10)
                assert heard.sample_rate == 48_000
                loudest = max(loudest, int(np.abs(heard.to_ndarray()).max()))
            assert loudest > 3000
            # Frames come one way or the other: those that were on their way, and no more.
            late = 0
            while True:
                try:
                    got = await socket.receive(timeout=0.4)
                except (TimeoutError, asyncio.TimeoutError):
                    break
                late += got.type is WSMsgType.BINARY
                assert late < 60
            await socket.send_json({"do": "websocket"})
            assert await frames(socket, 5)
            await connection.close()

    served(check)


@pytest.mark.parametrize("offer", ["", "v=0", "no description", 7])
def test_what_is_no_offer_ends_nothing(offer: Any) -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.send_json({"offer": offer})
            assert "offer" in await message(socket, "error")
            assert await frames(socket, 3)

    served(check)


def test_without_aiortc_frames_come_over_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "AVAILABLE", False)

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await socket.send_json({"offer": "anything"})
            assert await message(socket, "answer") is None
            assert await frames(socket, 3)

    served(check)


def test_the_page_over_webrtc() -> None:
    """It shows the stream, says so by nothing but itself, and goes back when the stream fails."""

    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("streaming && stream.videoWidth === 128", timeout=15_000)
        first = await page.evaluate("stream.currentTime")
        await page.wait_for_timeout(1000)
        assert await page.evaluate("stream.currentTime") > first + 0.5
        shown = await page.evaluate(
            "[...pen.getImageData(0, 0, 128, 128).data].reduce((a, b) => a + b) / 65536"
        )
        assert 60 < shown < 220
        assert await page.inner_text("#error") == ""
        # Lost, it gives way to the socket's pictures, which fill the canvas again.
        await page.evaluate(
            "hangUp(); tell({ do: 'websocket' }); pen.fillRect(0, 0, canvas.width, canvas.height)"
        )
        await page.wait_for_function(
            "[...pen.getImageData(64, 40, 1, 1).data].slice(0, 3).some(level => level > 40)"
        )

    in_a_browser(check, path="/?webrtc")
