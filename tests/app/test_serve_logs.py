"""What a server logs: events with their fields, and no token and nothing that is said."""

from __future__ import annotations

import json
import logging
import os
import socket as sockets
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any
from urllib.request import urlopen

import pytest

from parlante.app.logs import JsonLines
from tests.app.test_serve import Client, frames, served

SECRET = "Zwetschgenkuchen"
SERVE = "from parlante.app.cli import main; import sys; sys.exit(main())"


def events(records: list[logging.LogRecord]) -> list[dict[str, Any]]:
    """Those of a server, as lines of JSON have them."""
    return [json.loads(JsonLines().format(one)) for one in records if hasattr(one, "event")]


def test_what_happens_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            name = (await socket.receive_json())["session"]
            await frames(socket, 30)
            await client.get("/live")
            await client.post(f"/speak?session={name}", data=b"no sound")
            for bad in (SECRET, f'"{SECRET}"', f'{{"tell": "{SECRET}"}}', "[1]"):
                await socket.send_str(bad)
                await client.post(f"/sessions/{name}", data=bad)
            await socket.send_json({"say": SECRET})
            await frames(socket, 30)

    with caplog.at_level(logging.INFO, "parlante"):
        served(check, sessions=1)
    told = events(caplog.records)
    kinds = [one["message"] for one in told]
    assert kinds == [
        "session begun",
        "session refused",
        "file refused",
        *["command refused"] * 8,
        "session ended",
    ]
    begun, refused, file, command, *_, ended = told
    assert refused["why"] == "full" and refused["limit"] == 1
    assert "the file" in file["error"] and "no JSON" in command["error"]
    assert {one["name"] for one in told if "name" in one} == {begun["name"]}
    assert begun["face"] == ended["face"] == "avatar"
    assert ended["frames"] >= 60 and ended["repeated"] <= ended["frames"]
    assert 1 <= ended["seconds"] <= 60
    assert SECRET not in caplog.text and "/tmp" not in caplog.text
    assert "session ended: name" in caplog.text and "frames" in caplog.text  # plain, too


def test_a_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord(
            "aiohttp", 40, "x.py", 1, "GET /?token=%s&x", ("right",), sys.exc_info()
        )
    line = JsonLines().format(record)
    told = json.loads(line)
    assert "\n" not in line and "right" not in line
    assert (told["level"], told["logger"]) == ("ERROR", "aiohttp")
    assert told["message"] == "GET /?token=…&x" and "two\nlines" in told["exception"]
    when = datetime.fromisoformat(told["time"])
    assert when.tzinfo == timezone.utc
    assert when.timestamp() == pytest.approx(record.created, abs=0.01)


@pytest.mark.parametrize("given", [["serve", "--json"], ["-v", "serve"], ["serve"]])
def test_the_command_line(given: list[str]) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, *given, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PARLANTE_TOKEN": SECRET},
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().split()[-1]
        with urlopen(address) as answer:
            assert answer.status == 200
        for head in (f"GET /\xff?token={SECRET} HTTP/1.1", f"GET /?token={SECRET} HTTP/9.x"):
            with sockets.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"{head}\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1"))
                assert b" 400 " in client.recv(64)
        process.terminate()
        said = process.stderr.read()
    assert SECRET in address and SECRET not in said
    if "--json" in given:
        told = [json.loads(line) for line in said.splitlines()]
        (start,) = (one for one in told if one["message"] == "serving")
        assert start["address"] == f"http://127.0.0.1:{port}/" and start["level"] == "INFO"
    else:
        assert (f"serving: address http://127.0.0.1:{port}/" in said) == ("-v" in given)


def test_why_it_does_not_start_is_json_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE, "serve", "--json", "--sessions", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    (*_, last) = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1 and last["level"] == "ERROR"
    assert last["message"].startswith("ParlanteError: sessions=0")
