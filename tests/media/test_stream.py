"""Network streams, received on this machine."""

import io
import socket
import threading
from collections.abc import Callable

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


def test_errors_keep_the_key_of_a_stream() -> None:
    with pytest.raises(OutputError) as raised:
        StreamWriter("rtmp://user:word@127.0.0.1:9/live/secret?token=key", width=64, height=64)
    assert "127.0.0.1:9" in str(raised.value)
    assert not any(hidden in str(raised.value) for hidden in ("user", "word", "secret", "key"))
