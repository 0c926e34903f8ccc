"""Network streams, received on this machine."""

import io
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import av
import numpy as np
import pytest

from parlante.errors import OutputError
from parlante.media.stream import StreamWriter


def received(send: Callable[[int], None]) -> bytes:
    """What a TCP listener gets while ``send(port)`` runs."""
    parts: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                while part := connection.recv(1 << 16):
                    parts.append(part)

        thread = threading.Thread(target=listen)
        thread.start()
        send(server.getsockname()[1])
        thread.join(20)
    return b"".join(parts)


def test_stream_arrives_whole() -> None:
    count, fps = 60, 25
    pictures = [np.full((64, 96, 3), 4 * i, np.uint8) for i in range(count)]
    sound = np.round(8000 * np.sin(np.arange(count * 640) * 0.2)).astype(np.int16)

    def send(port: int) -> None:
        with StreamWriter(f"tcp://127.0.0.1:{port}", width=96, height=64, fps=fps) as stream:
            for i, picture in enumerate(pictures):
                stream.write(picture, sound[640 * i : 640 * (i + 1)])
        stream.close()
        with pytest.raises(OutputError, match="closed"):
            stream.write(pictures[0], sound[:640])

    data = received(send)
    with av.open(io.BytesIO(data), format="mpegts") as container:
        seen = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    assert len(seen) == count and np.abs(np.array(seen) - 4 * np.arange(count)).max() < 4
    with av.open(io.BytesIO(data), format="mpegts") as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    with av.open(io.BytesIO(data), format="mpegts") as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert abs(len(heard) - len(sound)) <= 3 * 1024
    assert np.sqrt((heard[4000:-4000] ** 2).mean()) == pytest.approx(8000 / 32768 / 2**0.5, rel=0.1)
    assert [i for i, key in enumerate(keys) if key] == [0, 2 * fps]  # a listener may join late


@pytest.mark.parametrize(
    "url", ["face.mp4", "http://127.0.0.1/", "file:///tmp/x.ts", "tcp://127.0.0.1:9"]
)
def test_streams_that_cannot_be(url: str) -> None:
    with pytest.raises(OutputError, match=url.partition("?")[0]):
        StreamWriter(url, width=64, height=64)


@pytest.mark.parametrize("url", ["tcp://[::1", "tcp://[", "rtmp://a:b]c@[/x"])
def test_hosts_that_cannot_be(url: str) -> None:
    with pytest.raises(OutputError, match="no such host") as caught:
        StreamWriter(url, width=64, height=64)
    assert "b]c" not in str(caught.value)  # it may be a password


@pytest.mark.parametrize("given", ["a", [1], None, float("nan")])
@pytest.mark.parametrize("name", ["kilobits", "patience"])
def test_numbers_that_are_none(name: str, given: Any) -> None:
    with pytest.raises(OutputError, match=f"{name} is"):
        StreamWriter("tcp://127.0.0.1:9", width=64, height=64, **{name: given})


def test_a_listener_that_leaves() -> None:
    def send(port: int) -> None:
        stream = StreamWriter(f"tcp://127.0.0.1:{port}", width=64, height=64)
        with pytest.raises(OutputError, match="lost after"):
            for _ in range(3000):
                noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
                stream.write(noise, np.zeros(640, np.int16))
        stream.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        send(server.getsockname()[1])
        thread.join()


def test_rtmp_reaches_a_server() -> None:
    """FFmpeg's own, in a process of its own; it takes one publisher."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"rtmp://127.0.0.1:{free.getsockname()[1]}/live/key"
    server = (
        "import av, sys\n"
        "with av.open(sys.argv[1], options={'listen': '1', 'timeout': '20'}) as container:\n"
        "    times = []\n"
        "    try:\n"
        "        times += (frame.time for frame in container.decode(video=0))\n"
        "    except OSError:\n"
        "        pass\n"  # the publisher has left
        "print(len(times), times[-1] - times[0])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", server, url], stdout=subprocess.PIPE, text=True
    ) as listening:
        for _ in range(100):  # until it listens
            try:
                stream = StreamWriter(url, width=64, height=64)
                break
            except OutputError:
                time.sleep(0.1)
        with stream:
            for k in range(50):
                stream.write(noise(k), np.zeros(640, np.int16))
        seen, _ = listening.communicate(timeout=30)
    count, lasted = map(float, seen.split())
    assert count >= 48 and lasted == pytest.approx((count - 1) / 25, abs=0.002)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)


def test_a_peer_that_takes_nothing_does_not_hold_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("parlante.media.stream._TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = StreamWriter(f"tcp://127.0.0.1:{server.getsockname()[1]}", width=64, height=64)
        with pytest.raises(OutputError, match="nothing was taken for 1 s"):
            for k in range(100_000):
                stream.write(noise(k), np.zeros(640, np.int16))
        stream.close()


def test_a_lost_connection_is_made_again_and_times_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener hangs up, is away for a while, and comes back; of each time it keeps all."""
    monkeypatch.setattr("parlante.media.stream._AGAIN_S", 0.1)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        first = threading.Thread(target=lambda: heard.append(_some(server, 30_000)))
        first.start()
        stream = StreamWriter(f"tcp://127.0.0.1:{address[1]}", width=64, height=64, patience=20)
        sent = 0

        def send_one() -> None:
            nonlocal sent
            stream.write(noise(sent), np.zeros(640, np.int16))
            sent += 1
            time.sleep(0.01)

        while first.is_alive():
            send_one()
    for _ in range(60):
        send_one()
    away = sent
    with socket.create_server(address) as server:
        second = threading.Thread(target=lambda: heard.append(_some(server, None)))
        second.start()
        while stream._lost_at is not None:
            send_one()
        back = sent
        for _ in range(50):
            send_one()
        stream.close()
        second.join(20)
    before, after = (_times(data) for data in heard)
    assert before[0] == 0 and len(before) > 3
    # One of those around the moment at which it was there again, and no gap from there on.
    assert away - 1 <= after[0] <= back + 1
    assert after == list(range(after[0], sent))


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlante.media.stream._AGAIN_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        leaving = threading.Thread(target=lambda: server.accept()[0].close())
        leaving.start()
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        stream = StreamWriter(url, width=64, height=64, patience=0.5)
        leaving.join()
    began = time.monotonic()
    with pytest.raises(OutputError, match="lost after"):
        for k in range(100_000):
            stream.write(noise(k), np.zeros(640, np.int16))
            time.sleep(0.005)
    assert time.monotonic() - began >= 0.5
    with pytest.raises(OutputError, match="closed"):
        stream.write(noise(0), np.zeros(640, np.int16))
    with pytest.raises(OutputError, match="patience is -1"):
        StreamWriter(url, width=64, height=64, patience=-1)


def _some(server: socket.socket, most: int | None) -> bytes:
    """What comes by one connection; hangs up after so many bytes."""
    data = bytearray()
    connection, _ = server.accept()
    with connection:
        while (most is None or len(data) < most) and (part := connection.recv(1 << 16)):
            data += part
    return bytes(data)


def _times(data: bytes) -> list[int]:
    """Numbers of the pictures of MPEG-TS by their times."""
    return [round((seconds - _first_time()) * 25) for seconds in _seconds(data)]


def _seconds(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return [frame.time for frame in container.decode(video=0)]


@cache
def _first_time() -> float:
    """Seconds at which a stream of MPEG-TS begins."""

    def send(port: int) -> None:
        with StreamWriter(f"tcp://127.0.0.1:{port}", width=64, height=64) as stream:
            for k in range(5):
                stream.write(noise(k), np.zeros(640, np.int16))

    return _seconds(received(send))[0]


def test_errors_keep_the_key_of_a_stream() -> None:
    with pytest.raises(OutputError) as raised:
        StreamWriter("rtmp://user:word@127.0.0.1:9/live/secret?token=key", width=64, height=64)
    assert "127.0.0.1:9" in str(raised.value)
    assert not any(hidden in str(raised.value) for hidden in ("user", "word", "secret", "key"))
