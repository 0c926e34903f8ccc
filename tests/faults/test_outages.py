"""Receivers that go away and come back, that stop taking, and cameras that are gone."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pyvirtualcam
from numpy.typing import NDArray

from parlante.errors import OutputError
from parlante.media.camera import CameraWriter
from parlante.media.stream import StreamWriter

RATE, FPS, SIDE = 16_000, 25, 64
EACH = RATE // FPS
# Of ten frames the first three are white and sound, the others black and silent.
TONE = np.round(9_000 * np.sin(np.arange(EACH) * 0.3)).astype(np.int16)
DARK, QUIET = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros(EACH, np.int16)
RECEIVER = """
import sys, av
options = {"timeout": "3000000"}  # of UDP, microseconds
if sys.argv[1].startswith("rtmp"):
    options = {"listen": "1", "timeout": "30"}
with av.open(sys.argv[1], options=options) as container:
    output = av.open(sys.argv[2], "w", format="matroska")
    streams = {s.index: output.add_stream_from_template(s) for s in container.streams}
    try:
        for packet in container.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
                print(packet.pts, flush=True)
    except OSError:
        pass
    output.close()
"""


def shown(number: int) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    on = number % 10 < 3
    return (DARK + 255 if on else DARK), (TONE if on else QUIET)


def in_step(path: Path | io.BytesIO) -> float:
    """Seconds by which sound is later than the picture it belongs to, in the middle of cases."""
    flashes, beeps = [], []
    with av.open(path if isinstance(path, io.BytesIO) else str(path)) as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                flashes.append((frame.time, frame.to_ndarray(format="gray").mean() > 128))
            elif isinstance(frame, av.AudioFrame):
                loud = np.abs(frame.to_ndarray()[0]) > 0.05
                times = frame.time + np.arange(len(loud)) / frame.sample_rate
                beeps += zip(times.tolist(), loud.tolist(), strict=True)
    seen = [a[0] for b, a in pairwise(flashes) if a[1] and not b[1]]
    began = []
    last = -1.0
    for at, loud in beeps:
        if loud:
            if at - last > 0.1:
                began.append(at)
            last = at
    assert len(seen) > 2 and len(began) > 2
    return float(np.median([min((b - a for b in began), key=abs) for a in seen[1:-1]]))


@contextmanager
def receiving(url: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", RECEIVER, url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("scheme", ["rtmp", "udp"])
def test_a_receiver_that_goes_and_comes_back(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg's own, in a process that is killed; what the next one gets is in step, and on time."""
    monkeypatch.setattr("parlante.media.stream._AGAIN_S", 0.2)
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"rtmp://127.0.0.1:{port}/live/key" if scheme == "rtmp" else f"udp://127.0.0.1:{port}"
    sent = 0
    with receiving(url, tmp_path / "first.mkv") as first:
        stream = connected(url)

        def send(until: Callable[[], bool]) -> None:
            nonlocal sent
            for _ in range(2_000):
                if until():
                    return
                stream.write(*shown(sent))
                sent += 1
                time.sleep(0.02)
            raise AssertionError("it did not come to that")

        taken = lines(first)
        send(lambda: len(taken) > 30)
    gone = sent
    send(lambda: sent == gone + 60)
    with receiving(url, tmp_path / "second.mkv") as second:
        taken = lines(second)
        send(lambda: len(taken) > 20)
        back = sent
        send(lambda: sent >= back + 60)
        stream.close()
        second.wait(30)
    assert abs(in_step(tmp_path / "second.mkv")) < 1.5 / FPS
    if scheme == "rtmp":
        # Times are those of the frames' numbers, in FLV's milliseconds: the clock went on.
        assert gone < int(taken[0]) * FPS / 1000 + 40 and int(taken[-1]) * FPS / 1000 <= sent + 2


def lines(process: subprocess.Popen[str]) -> list[str]:
    """What a process says, as it says it."""
    said: list[str] = []
    assert process.stdout is not None
    threading.Thread(target=said.extend, args=(process.stdout,), daemon=True).start()
    return said


def connected(url: str) -> StreamWriter:
    for _ in range(200):  # until it listens
        try:
            return StreamWriter(url, width=SIDE, height=SIDE, fps=FPS, patience=30)
        except OutputError:
            time.sleep(0.1)
    raise AssertionError("nobody listens")


def test_a_receiver_that_pauses(caplog: pytest.LogCaptureFixture) -> None:
    """Frames do not wait for it, so a session's clock goes on; its sound arrives whole, in step."""
    got = bytearray()
    go = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                got.extend(connection.recv(1 << 12))
                go.wait(60)
                while part := connection.recv(1 << 16):
                    got.extend(part)

        thread = threading.Thread(target=listen)
        thread.start()
        side = 256
        noise = np.random.default_rng(0).integers(0, 100, (side, side, 3), np.uint8)
        stream = StreamWriter(
            f"tcp://127.0.0.1:{server.getsockname()[1]}",
            width=side,
            height=side,
            kilobits=50_000,
            patience=60,
        )
        for number in range(160):
            picture, sound = shown(number)
            stream.write(np.roll(noise, number * 7, 0) + int(picture.max() // 2), sound)
            if number == 100:
                go.set()
            time.sleep(0.02)
        stream.close()
        thread.join(30)
    with av.open(io.BytesIO(bytes(got)), format="mpegts") as container:
        heard = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(heard - 160 * EACH) <= 3 * 1024
    assert abs(in_step(io.BytesIO(bytes(got)))) < 1.5 / FPS
    assert "is lost" not in caplog.text


def test_a_camera_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through pyvirtualcam's own `Camera`, on a device of our own: none can be unplugged here."""

    class Backend:
        gone = False

        def __init__(self, **_: Any) -> None:
            pass

        def send(self, frame: NDArray[np.uint8]) -> None:
            if self.gone:
                raise RuntimeError("No such device")

        def close(self) -> None:
            if self.gone:
                raise RuntimeError("No such device")

        def device(self) -> str:
            return "/dev/video9"

        def native_fourcc(self) -> None:
            return None

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"ours": Backend})
    camera = CameraWriter("/dev/video9", width=SIDE, height=SIDE)
    camera.write(DARK, QUIET)
    monkeypatch.setattr(Backend, "gone", True)
    with pytest.raises(OutputError, match=r"the camera is gone .*No such device") as caught:
        camera.write(DARK, QUIET)
    assert "\n" not in str(caught.value)
    with pytest.raises(OutputError, match="closed"):
        camera.write(DARK, QUIET)
    camera.close()
