"""Those who take frames stop, fail or leave: no session hangs, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from benchmarks.live import LipsOnly
from parlante import Frame
from parlante.app.serve import application
from parlante.errors import AudioError, SessionClosedError
from parlante.runtime.bundle import Bundle
from parlante.runtime.machine import rss_mb
from parlante.session.engine import Engine
from parlante.session.live import MAX_QUEUED_S, Live
from parlante.speech.motion import MotionStream
from tests.support.portrait_samples import avatar

MOST_MB = 40  # that a hundred sessions may leave; one that stayed would take ten
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def session(**options: Any) -> Live:
    return Live(Engine(MotionStream(Bundle.default(), seed=3), LipsOnly()), **options)


def second() -> np.ndarray[Any, Any]:
    return np.full(16_000, 900, np.int16)


def test_an_iterator_that_is_left() -> None:
    """Nothing runs while nobody asks; what waits is bounded, and goes with the session."""
    threads = threading.active_count()
    live = session()
    live.push_audio(second())
    for _ in zip(range(5), live, strict=False):
        pass
    with pytest.raises(AudioError, match="queued already"):
        for _ in range(MAX_QUEUED_S + 2):
            live.push_audio(second())
    assert threading.active_count() == threads
    gone = weakref.ref(live)
    del live
    gc.collect()
    assert gone() is None


def test_an_on_frame_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as threads' errors are; the session is closed, and says so to who pushes."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_value))

    def on_frame(_: Frame) -> None:
        raise KeyError("mine")

    live = session(on_frame=on_frame)
    assert live._thread is not None
    live._thread.join(20)
    assert [str(error) for error in told] == ["'mine'"]
    with pytest.raises(SessionClosedError):
        live.push_audio(second())
    live.close()


def test_an_on_frame_that_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded, and `close` does not wait for good."""
    monkeypatch.setattr("parlante.session.live.EXIT_S", 0.2)
    stuck, free = threading.Event(), threading.Event()

    def on_frame(_: Frame) -> None:
        stuck.set()
        free.wait(60)

    live = session(on_frame=on_frame)
    assert stuck.wait(20)
    with pytest.raises(AudioError, match="queued already"):
        for _ in range(MAX_QUEUED_S + 2):
            live.push_audio(second())
    live.close()
    assert not free.is_set() and live._thread is not None and live._thread.is_alive()
    free.set()
    live._thread.join(20)
    assert live.status().frames == 1


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))


@linux
def test_sessions_left_open() -> None:
    """Neither closed nor collected by hand, in whatever state they were left."""

    def left(number: int) -> None:
        live = avatar().live(size=128, steps=1, sound_rate=48_000)
        if number % 2:
            live.push_audio(second())
            live.flush()
        for _ in zip(range(1 + number % 3), live, strict=False):
            pass

    for number in range(4):
        left(number)
    before, began = held(), rss_mb()
    for number in range(100):
        left(number)
    assert held() == before
    assert rss_mb() - began < MOST_MB


# Visitors of `parlante serve`


def opened(port: int) -> socket.socket:
    """A WebSocket whose owner reads the first answer, and nothing after it."""
    visitor = socket.socket()
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    visitor.connect(("127.0.0.1", port))
    request = [
        f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket",
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ]
    visitor.sendall("\r\n".join(request).encode())
    assert visitor.recv(64).startswith(b"HTTP/1.1 101")
    return visitor


async def until(client: TestClient[Any, Any], sessions: int) -> None:
    while (await (await client.get("/healthz")).json())["sessions"] != sessions:
        await asyncio.sleep(0.05)


def test_a_visitor_that_reads_no_more() -> None:
    """The session ends, its place is free, and nobody is told but the metrics."""

    async def check() -> None:
        app = application(avatar(), sessions=1, size=512, steps=1)
        async with TestClient(TestServer(app)) as client:
            port = client.port
            assert port is not None
            visitor = await asyncio.to_thread(opened, port)
            await until(client, 1)
            try:
                await asyncio.wait_for(until(client, 0), 40)
            finally:
                visitor.close()

    asyncio.run(check())


@linux
def test_visitors_that_vanish() -> None:
    """A connection that is gone without a word leaves no thread and no file."""

    async def check() -> None:
        app = application(avatar(), sessions=1, size=128, steps=1)
        async with TestClient(TestServer(app)) as client:
            port = client.port
            assert port is not None
            seen = []
            before = sum(type(one) is Live for one in gc.get_objects())
            for _ in range(30):
                visitor = await asyncio.to_thread(opened, port)
                await until(client, 1)
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                visitor.close()  # by a reset
                await asyncio.wait_for(until(client, 0), 20)
                seen.append(held())
        threads, files = zip(*seen[12:], strict=True)
        assert max(files) <= files[0] and max(threads) <= threads[0] + 2  # of asyncio's pool
        gc.collect()
        assert sum(type(one) is Live for one in gc.get_objects()) <= before + 1

    asyncio.run(check())
