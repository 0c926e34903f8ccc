"""``parlante live`` and ``serve`` when things end early, or cannot begin."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from parlante import Avatar, ParlanteError
from parlante.app import serve
from parlante.runtime.assets import demo

COMMAND = [sys.executable, "-m", "parlante.app.cli"]


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("face") / "face.npz"
    with demo() as (photo, _):
        Avatar(photo, cache=False).save(path)
    return path


def started(face: Path, output: str, *given: str) -> subprocess.Popen[bytes]:
    quick = ["--size", "128", "--steps", "1"]
    return subprocess.Popen(
        [*COMMAND, "-v", "live", str(face), "-o", output, *quick, *given],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_what_was_recorded(
    number: signal.Signals, face: Path, tmp_path: Path
) -> None:
    out = tmp_path / "live.mp4"
    with started(face, str(out)) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(bytes(32_000))
        process.stdin.flush()
        while b"the first frame is out" not in (said := process.stderr.readline()):
            assert said
        time.sleep(1.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 128 + number
        assert b"Traceback" not in said
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["live.mp4"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_half_written(
    number: signal.Signals, face: Path, tmp_path: Path
) -> None:
    out = tmp_path / "long.mp4"
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros(120 * 16_000, np.int16), 16_000)
    command = [*COMMAND, "speak", str(face), str(sound), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob(".parlante-*.partial")):
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["sound.wav"]


def test_a_lost_listener_is_one_line(face: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        started(face, f"tcp://127.0.0.1:{server.getsockname()[1]}", "--patience", "2") as process,
    ):
        server.accept()[0].close()
        server.close()  # nobody answers any more
        assert process.stdin is not None and process.stderr is not None
        with contextlib.suppress(BrokenPipeError):
            for _ in range(100):
                process.stdin.write(bytes(6400))
                process.stdin.flush()
                time.sleep(0.1)
        assert process.wait(30) == 1
        said = process.stderr.read().decode()
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("parlante: OutputError: tcp://")


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("127.0.0.1", -1)])
def test_an_address_that_cannot_be(host: str, port: int, face: Path) -> None:
    with pytest.raises(ParlanteError, match=f"port {port}"):
        serve.serve(Avatar(face), host=host, port=port)


def test_a_port_that_is_taken(face: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [*COMMAND, "serve", str(face), "--port", str(server.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("parlante: ParlanteError: cannot serve on 127.0.0.1")
    assert "Traceback" not in done.stderr
