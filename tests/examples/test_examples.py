"""Every example, run as its reader would run it, on a second of the demo in small pictures."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from parlante import Avatar, Live, RenderOptions
from parlante.runtime.assets import asset
from parlante.speech.audio import decode_audio

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEMO = Path(str(asset("demo")))
SPEECH = np.concatenate(list(decode_audio(DEMO / "speech.flac")))
SHORT = SPEECH[:16_000]  # one second
GREEN = (0, 177, 64)
SIZE = 128


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with face.jpg and short.wav; the user's cache is left alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("face.jpg").write_bytes((DEMO / "portrait.jpg").read_bytes())
    soundfile.write("short.wav", SHORT, 16_000)
    return tmp_path


def run(name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def module(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None and specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


def video(source: Any) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Pictures and samples of a video file."""
    with av.open(str(source) if isinstance(source, Path) else source) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    if not isinstance(source, Path):
        return pictures, np.zeros(0, np.float32)
    with av.open(str(source)) as container:
        sound = [f.to_ndarray()[0] for f in container.decode(audio=0)]
    return pictures, np.concatenate(sound).astype(np.float32)


def holds(sound: NDArray[np.float32], part: NDArray[np.float32]) -> float:
    """The largest correlation of ``part`` with a stretch of ``sound``, 1 where it is in it."""
    size = len(sound) + len(part)
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(part, size)), size)
    at = int(product[: len(sound) - len(part) // 2].argmax())
    stretch = np.pad(sound[at : at + len(part)], (0, max(0, at + len(part) - len(sound))))
    return float(np.corrcoef(stretch, part)[0, 1])


def corner(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(picture[:6, :6].reshape(-1, 3).mean(0), np.float64)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_help_names_every_option(path: Path) -> None:
    needs = {"livekit_agent": "livekit", "pipecat_bot": "pipecat", "realtime_voice": "aiohttp"}
    pytest.importorskip(needs.get(path.stem, "parlante"))
    shown = run(path.name, "--help")
    assert shown.returncode == 0, shown.stderr
    options = set(re.findall(r'add_argument\(\s*(?:"-\w", )?"(--[\w-]+)"', path.read_text()))
    assert options
    assert all(option in shown.stdout for option in options)
    assert f"python examples/{path.name}" in shown.stdout


def test_every_example_is_tested() -> None:
    tested = set(re.findall(r'(?:run|module)\("(\w+)', Path(__file__).read_text()))
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested


def test_kiosk(folder: Path) -> None:
    made = run(
        "kiosk.py", "face.jpg", "-o", "k.mp4", "--size", str(SIZE), stdin="short.wav\nno.wav\n"
    )
    assert made.returncode == 0, made.stderr
    assert "no.wav does not exist" in made.stderr
    pictures, sound = video(folder / "k.mp4")
    assert made.stdout == f"{len(pictures)} frames shown\n"
    assert len(pictures) >= 25 and pictures[0].shape == (SIZE, SIZE, 3)
    assert holds(sound, SHORT) > 0.95


def test_kiosk_stops_at_once_and_speaks_again(folder: Path) -> None:
    kiosk = module("kiosk")
    speaking = Event()
    soundfile.write("long.wav", SPEECH, 16_000)

    def commands() -> Iterator[str]:
        yield "long.wav\n"
        assert speaking.wait(60)
        yield "stop\n"
        yield "short.wav\n"

    heard: list[NDArray[np.int16]] = []
    spoken = 0
    with Avatar("face.jpg").live(size=SIZE, steps=1) as live:
        Thread(target=kiosk.obey, args=(live, commands()), daemon=True).start()
        for frame in live:
            heard.append(frame.audio)
            spoken += frame.spoken
            if np.abs(frame.audio).max() > 1000:
                speaking.set()
    sound = np.concatenate(heard).astype(np.float32)
    assert spoken < len(SPEECH) // 640  # most of the long one is dropped
    assert holds(sound, SHORT) > 0.99
    assert holds(sound, SPEECH) < 0.9


def test_news_rig_file(folder: Path) -> None:
    made = run("news_rig.py", "face.jpg", "short.wav", "-o", "n.mp4", "--size", str(SIZE))
    assert made.returncode == 0, made.stderr
    pictures, sound = video(folder / "n.mp4")
    assert made.stdout == f"{len(pictures)} frames in n.mp4\n" and len(pictures) == 25
    assert np.abs(corner(pictures[0]) - GREEN).max() < 12  # 8-bit 4:2:0, H.264
    assert holds(sound, SHORT) > 0.95


def test_news_rig_stream(folder: Path) -> None:
    received = bytearray()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.2)
        url = f"udp://127.0.0.1:{listener.getsockname()[1]}"
        done = Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    received.extend(listener.recv(1 << 16))
                except TimeoutError:
                    continue

        thread = Thread(target=listen)
        thread.start()
        try:
            made = run("news_rig.py", "face.jpg", "short.wav", "-o", url, "--size", str(SIZE))
        finally:
            done.set()
            thread.join()
    assert made.returncode == 0, made.stderr
    Path("received.ts").write_bytes(received)
    pictures, sound = video(folder / "received.ts")
    assert len(pictures) >= 25
    assert np.abs(corner(pictures[-1]) - GREEN).max() < 12
    assert holds(resample_poly(sound, 1, 3), SHORT) > 0.9  # of 48 kHz


def test_livekit_agent(folder: Path) -> None:
    pytest.importorskip("livekit.agents")
    made = run("livekit_agent.py", "face.jpg", "short.wav", "--size", str(SIZE))
    assert made.returncode == 0, made.stderr
    published, heard = made.stdout.splitlines()
    assert published == "published avatar_audio and avatar_video"
    assert heard == "1.0 s were heard"


def test_pipecat_bot(folder: Path) -> None:
    pytest.importorskip("pipecat")
    made = run("pipecat_bot.py", "face.jpg", "short.wav", "-o", "b.mp4", "--size", str(SIZE))
    assert made.returncode == 0, made.stderr
    pictures, sound = video(folder / "b.mp4")
    assert f"{len(pictures)} frames in b.mp4" in made.stdout
    assert len(pictures) >= 25 and pictures[0].shape == (SIZE, SIZE, 3)
    assert holds(sound, SHORT) > 0.95


def test_realtime_voice(folder: Path) -> None:
    pytest.importorskip("aiohttp")
    made = run("realtime_voice.py", "face.jpg", "short.wav", "-o", "a.mkv", "--size", str(SIZE))
    assert made.returncode == 0, made.stderr
    pictures, sound = video(folder / "a.mkv")
    assert made.stdout == f"{len(pictures)} frames in a.mkv\n"
    assert holds(resample_poly(sound, 2, 3), SHORT) > 0.99  # of 24 kHz


@pytest.mark.parametrize("sound", ["nothing.wav", "face.jpg"])
def test_realtime_voice_without_a_voice(folder: Path, sound: str) -> None:
    pytest.importorskip("aiohttp")
    made = run("realtime_voice.py", "face.jpg", sound)
    assert made.returncode == 1
    assert made.stderr.startswith(f"realtime_voice: {sound} ") and made.stderr.count("\n") == 1


def test_realtime_voice_interrupted(folder: Path) -> None:
    """What was sent is heard to the bit until somebody speaks up; then nothing, lips shut."""
    pytest.importorskip("aiohttp")
    realtime_voice = module("realtime_voice")
    soundfile.write("long.wav", SPEECH, 16_000)

    class Server(realtime_voice.StandIn):  # type: ignore[misc, name-defined]
        async def interruption(self) -> None:
            await asyncio.to_thread(face.speaks_up.wait, 60)

    class Face(Avatar):
        """Whose time waits for the answer, and at 2 s for the interruption."""

        speaks_up = Event()
        time = 0.0

        def live(self, **options: Any) -> Live:
            self.session = super().live(clock=self, **options)
            return self.session

        def now(self) -> float:
            return self.time

        def sleep(self, seconds: float) -> None:
            self.time += seconds
            if self.time > 2:
                self.speaks_up.set()
                when(lambda: len(server.told) > 1)
            elif self.time > 0.2:
                when(lambda: self.session.status().queued_s > 1)

    def when(condition: Callable[[], bool]) -> None:
        for _ in range(6000):
            if condition():
                return
            time.sleep(0.01)
        raise AssertionError("nothing came for a minute")

    face = Face("face.jpg")
    server = Server(Path("long.wav"), interrupt=0)
    realtime_voice.QUIET_S = 2
    still = RenderOptions(size=256, pose=0, blink=0, brows=0, eyes=0, breath=0, marks="none")
    count = asyncio.run(realtime_voice.run(face, server, Path("a.mkv"), still))
    pictures, sound = video(folder / "a.mkv")
    assert count == len(pictures) and len(sound) == count * 960
    sent = np.frombuffer(realtime_voice.pcm_of(Path("long.wav")), np.int16)
    loud = np.flatnonzero(sound)
    begin, end = int(loud[0]) - int(np.flatnonzero(sent)[0]), int(loud[-1]) + 1
    assert np.array_equal(sound[begin:end], sent[: end - begin])
    assert 36_000 < end - begin < 48_000  # samples: until 2 s of the session

    last = (end - 1) // 960  # frame that sounds
    # Share of what differs from the shut mouth of the first frame, by more than the codec's noise.
    opened = [float((np.abs(p - 1.0 * pictures[0]) > 20).mean()) for p in pictures]
    print(
        np.round(np.multiply(opened, 100), 2), last, count, begin / 960, end / 960, server.told[1:]
    )
    assert max(opened[:last]) > 0.03
    assert len(pictures) > last + 2 and max(opened[last + 1 :]) < 0.001
    told = [event["audio_end_ms"] for event in server.told if "audio_end_ms" in event]
    assert told == [pytest.approx((end - begin) / 24, abs=40)]


def test_a_missing_photo_is_reported(folder: Path) -> None:
    made = run("news_rig.py", "nobody.jpg", "short.wav", "-o", "n.mp4")
    assert made.returncode == 1
    assert made.stderr.startswith("news_rig: nobody.jpg does not exist")
    assert not Path("n.mp4").exists()
