"""Which streams this build of PyAV can send, and what a datagram holds."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading

import av
import numpy as np
import pytest

from parlante.app import doctor
from parlante.errors import OutputError
from parlante.media.stream import StreamWriter, stream_protocols


def send(url: str, frames: int) -> None:
    random = np.random.default_rng(0)
    with StreamWriter(url, width=64, height=64) as stream:
        for _ in range(frames):
            stream.write(random.integers(0, 255, (64, 64, 3), np.uint8), np.zeros(640, np.int16))


def test_what_this_build_has_is_told_without_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 9999)) as server:
        server.settimeout(0.2)
        found = stream_protocols()
        with pytest.raises(TimeoutError):
            server.accept()
    assert list(found) == ["rtmp", "rtmps", "udp", "tcp", "srt"]
    assert found["udp"] and found["tcp"] and found["rtmp"]


def test_srt_is_refused_where_it_is_not() -> None:
    if stream_protocols()["srt"]:
        pytest.skip("this build of PyAV has SRT")
    with pytest.raises(OutputError, match=r"no SRT.*libsrt, or send to rtmp.*udp"):
        StreamWriter("srt://127.0.0.1:9", width=64, height=64)
    with pytest.raises(av.ProtocolNotFoundError):  # and not by us
        av.open("srt://127.0.0.1:9", "w", format="mpegts").start_encoding()


def test_the_doctor_lists_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor.report()
    assert found["streams"] == stream_protocols()
    line = next(x for x in doctor.text(found).splitlines() if x.startswith("streams to"))
    assert all(name in line for name in found["streams"])
    found["streams"] = {"udp": True, "srt": False}
    line = next(x for x in doctor.text(found).splitlines() if x.startswith("streams to"))
    assert line.split(maxsplit=2)[2] == "udp; not in this build of PyAV: srt"
    assert doctor.report()["ok"] is found["ok"]  # nothing that speaking needs


@pytest.mark.parametrize(("query", "size"), [("", 1316), ("?ttl=1", 1316), ("?pkt_size=376", 376)])
def test_datagrams_are_whole_transport_packets(query: str, size: int) -> None:
    got: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(1)

        def listen() -> None:
            while True:
                try:
                    got.append(receiver.recv(65_536))
                except TimeoutError:
                    return

        listener = threading.Thread(target=listen)
        listener.start()
        send(f"udp://127.0.0.1:{receiver.getsockname()[1]}{query}", 25)
        listener.join()
    # What a picture leaves over is sent at once, in a shorter one.
    sizes = [len(datagram) for datagram in got]
    assert max(sizes) == size and sizes.count(size) > len(sizes) / 3
    assert all(each % 188 == 0 for each in sizes)
    assert all(d[i] == 0x47 for d in got for i in range(0, len(d), 188))


def test_ffmpeg_plays_what_comes_over_udp() -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("no ffmpeg program on this machine")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"udp://127.0.0.1:{port}"
    command = [program, "-v", "error", "-i", f"{url}?timeout=4000000", "-frames:v", "20"]
    player = subprocess.Popen(
        [*command, "-f", "rawvideo", "-pix_fmt", "gray", "-"], stdout=subprocess.PIPE
    )
    try:
        stop = threading.Event()

        def keep_sending() -> None:
            while not stop.is_set():
                send(url, 120)

        sender = threading.Thread(target=keep_sending)
        sender.start()
        played, _ = player.communicate(timeout=60)
    finally:
        stop.set()
        player.kill()
        sender.join()
    assert len(played) >= 20 * 64 * 64
