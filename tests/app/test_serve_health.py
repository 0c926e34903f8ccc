"""What a server tells those who watch over it, through real sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import socket as sockets
import struct
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from aiohttp import WSMsgType
from prometheus_client.parser import text_string_to_metric_families

from parlante import __version__
from tests.app.test_serve import Client, frames, served


async def metrics(client: Client) -> dict[str, float]:
    """Samples by name, as Prometheus' own parser reads them; of buckets the last."""
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(await answer.text())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_metrics_count_what_was_delivered() -> None:
    async def check(client: Client) -> None:
        assert (await metrics(client))["parlante_sessions"] == 0
        async with client.ws_connect("/live") as socket:
            told = 0
            while told < 25:
                message = await socket.receive()
                if message.type is WSMsgType.TEXT:
                    told = message.json().get("frames", 0)
            while_it_runs = await metrics(client)
            await client.get("/live")
        assert while_it_runs["parlante_sessions"] == while_it_runs["parlante_sessions_limit"] == 1
        assert while_it_runs["parlante_frames_total"] >= told
        assert while_it_runs["parlante_frame_late_seconds_count"] >= told
        assert while_it_runs["process_resident_memory_bytes"] > 1e7
        for _ in range(100):
            after = await metrics(client)
            if after["parlante_sessions"] == 0:
                break
            await asyncio.sleep(0.05)
        assert after["parlante_sessions"] == 0 and after["parlante_sessions_refused_total"] == 1
        # What sessions that are over delivered still counts.
        assert after["parlante_frames_total"] >= while_it_runs["parlante_frames_total"]

    served(check, sessions=1)


def test_health_needs_no_token_and_metrics_do() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live?token=right") as socket:
            await frames(socket, 1)
            answer = await client.get("/healthz", headers={"Host": "10.0.0.7"})
            told = {"status": "ok", "version": __version__, "sessions": 1, "limit": 3}
            assert answer.status == 200 and await answer.json() == told
        assert (await client.get("/metrics")).status == 403
        assert (await client.get("/metrics?token=right")).status == 200
        # As Prometheus sends it, and the wrong ones.
        for given, status in (
            ("Bearer right", 200),
            ("bearer right", 200),
            ("Bearer wrong", 403),
            ("Bearer", 403),
            ("Basic right", 403),
            ("right", 403),
        ):
            answer = await client.get("/metrics", headers={"Authorization": given})
            assert answer.status == status, given

    served(check, token="right", sessions=3)


def test_the_token_of_the_environment() -> None:
    """Asked for even on this machine alone."""
    with sockets.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    main = "from parlante.app.cli import main; import sys; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", main, "serve", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PARLANTE_TOKEN": "a b"},
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        assert address == f"http://127.0.0.1:{port}/?token=a%20b"
        with urlopen(address) as answer:
            assert b"<canvas" in answer.read()
        with pytest.raises(HTTPError, match="403"):
            urlopen(f"http://127.0.0.1:{port}/")
        process.terminate()


def test_a_browser_that_leaves_while_it_connects(caplog: pytest.LogCaptureFixture) -> None:
    """Its place is given back, and the log stays empty."""
    upgrade = (
        "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )

    async def check(client: Client) -> None:
        address = client.server.host, client.server.port
        for wait in (0, 0, 0.05, 0.2):
            with sockets.create_connection(address) as leaving:
                # Closed with a reset, as when a tab is killed.
                leaving.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
                leaving.sendall(upgrade.encode())
                await asyncio.sleep(wait)
            await asyncio.sleep(0.3)
        for _ in range(100):
            if (await metrics(client))["parlante_sessions"] == 0:
                break
            await asyncio.sleep(0.05)
        assert (await metrics(client))["parlante_sessions"] == 0
        async with client.ws_connect("/live") as socket:
            assert await frames(socket, 2)

    with caplog.at_level(logging.WARNING):
        served(check, sessions=8)
    assert not caplog.records, caplog.text
