"""What requests carry: packed, huge and slow bodies cost the server next to nothing."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from parlante.app import bodies
from parlante.app.serve import MAX_COMMAND, MAX_UPLOAD
from parlante.app.viewer import Viewer
from tests.app.test_serve import Client, served

PROCESS = Path("/proc/self")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of the most memory used")


def forget_peak() -> int:
    """The most memory used counts from now on; returns what is used, bytes."""
    (PROCESS / "clear_refs").write_text("5")
    return peak()


def peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", (PROCESS / "status").read_text())
    assert found
    return int(found[1]) * 1024


@linux
def test_a_packed_body_is_refused_unopened() -> None:
    bomb = gzip.compress(bytes(400 * 2**20), 1)

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as visitor:
            name = (await visitor.receive_json())["session"]
            before = forget_peak()
            for path in (f"/speak?session={name}", f"/sessions/{name}"):
                packed = {"Content-Encoding": "gzip"}
                answer = await client.post(path, data=io.BytesIO(bomb), headers=packed)
                assert answer.status == 415 and "send it as it is" in await answer.text()
            assert peak() - before < 100 * 2**20

    served(check)


@linux
def test_bodies_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many at once are taken one by one, and each is given up."""
    monkeypatch.setattr(bodies, "PATIENCE", 0.3)
    most = bytes(MAX_UPLOAD - 1)

    async def refused(port: int, name: str) -> bool:
        head = f"POST /speak?session={name} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.setblocking(False)
            await loop.sock_sendall(sender, f"{head}Content-Length: {MAX_UPLOAD}\r\n\r\n".encode())
            sending = asyncio.create_task(loop.sock_sendall(sender, most))
            answer = await loop.sock_recv(sender, 64)
            sending.cancel()
        return b" 408 " in answer

    async def check(client: Client) -> None:
        port = client.port
        assert port is not None
        async with client.ws_connect("/live") as visitor:
            name = (await visitor.receive_json())["session"]
            before = forget_peak()
            assert all(await asyncio.gather(*(refused(port, name) for _ in range(12))))
            assert (await client.get("/healthz")).status == 200
            assert peak() - before < 5 * MAX_UPLOAD

    served(check)


def test_a_command_of_no_sensible_size() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as visitor:
            name = (await visitor.receive_json())["session"]
            long = b'{"say": "' + b"a" * MAX_COMMAND + b'"}'
            assert (await client.post(f"/sessions/{name}", data=long)).status == 413
            assert (await client.post(f"/sessions/{name}", data=b"\xff")).status == 400

    served(check)


def test_a_body_that_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever leaves in the middle of it is no error of the server."""

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as visitor:
            name = (await visitor.receive_json())["session"]
            _, writer = await asyncio.open_connection("127.0.0.1", client.port)
            head = f"POST /sessions/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            writer.write(f"{head}Content-Length: 9\r\n\r\n{{".encode())
            await writer.drain()
            await asyncio.sleep(0.2)
            writer.close()
            await writer.wait_closed()
            assert (await client.get("/healthz")).status == 200

    served(check)
    assert not caplog.records


def test_a_request_for_a_socket_without_a_key(caplog: pytest.LogCaptureFixture) -> None:
    async def check(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        lines = [
            b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket",
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: \xff\xff\r\n\r\n",
        ]
        writer.write(b"\r\n".join(lines))
        assert b" 400 " in await reader.readline()
        writer.close()
        assert (await (await client.get("/healthz")).json())["sessions"] == 0

    served(check)
    assert not caplog.records


def test_many_commands_leave_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 changes of one visitor's microphone are not all made before another one has frames."""
    obey, made = Viewer.obey, 0

    async def counted(viewer: Viewer, asked: dict[str, Any]) -> None:
        nonlocal made
        await obey(viewer, asked)
        made += 1

    monkeypatch.setattr(Viewer, "obey", counted)

    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as noisy, client.ws_connect("/live") as visitor:
            for one in (noisy, visitor):
                await one.receive_json()
            for number in range(300):
                await noisy.send_json({"rate": 8000 + 7 * number, "listen": "speech"})
            for _ in range(50):
                await visitor.receive()
            assert 0 < made < 250

    served(check)
