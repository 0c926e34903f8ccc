"""A face made by ``parlante encode`` is taken wherever a photo is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from numpy.typing import NDArray

import parlante
from parlante.app import cli
from parlante.app import serve as serving
from parlante.errors import ImageError, ParlanteError
from parlante.options import RenderOptions
from parlante.runtime.assets import demo

QUICK = ("--size", "128", "--steps", "1")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's face, as the command makes it."""
    path = tmp_path_factory.mktemp("face") / "face.npz"
    with demo() as (photo, _):
        assert cli.main(["encode", str(photo), "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 0.4 s of the demo's voice: 10 frames."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    with demo() as (_, speech):
        sound, rate = soundfile.read(speech, dtype="int16")
    soundfile.write(path, sound[: rate * 2 // 5], rate)
    return path


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_speak(face: Path, voice: Path, tmp_path: Path) -> None:
    by_face, by_photo = tmp_path / "face.mp4", tmp_path / "photo.mp4"
    assert cli.main(["speak", str(face), str(voice), "-o", str(by_face), *QUICK]) == 0
    with demo() as (photo, _):
        assert cli.main(["speak", str(photo), str(voice), "-o", str(by_photo), *QUICK]) == 0
    ours, theirs = pictures(by_face), pictures(by_photo)
    assert len(ours) == len(theirs) == 10
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_live(face: Path, voice: Path, tmp_path: Path) -> None:
    sound, _ = soundfile.read(voice, dtype="int16")
    out = tmp_path / "live.mp4"
    command = [sys.executable, "-m", "parlante.app.cli", "live", str(face), "-o", str(out), *QUICK]
    done = subprocess.run(command, input=sound.tobytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(pictures(out)) >= 10


def test_serve(face: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, Any] = {}

    def keep(avatar: parlante.Avatar, **options: Any) -> None:
        served.update(options, avatar=avatar)

    monkeypatch.setattr(serving, "serve", keep)
    assert cli.main(["serve", str(face), *QUICK]) == 0

    async def first_frame() -> bytes:
        app = serving.application(served["avatar"], options=served["options"])
        async with TestClient(TestServer(app)) as client, client.ws_connect("/live") as socket:
            while (message := await socket.receive()).type is not WSMsgType.BINARY:
                assert message.type is WSMsgType.TEXT
            return bytes(message.data)

    data = asyncio.run(asyncio.wait_for(first_frame(), 30))
    assert b"JFIF" in data[:64]


def test_load_and_save_keep_every_bit(face: Path, tmp_path: Path) -> None:
    loaded = parlante.Avatar.load(face)
    loaded.save(tmp_path / "again.NPZ")
    again = parlante.Avatar(tmp_path / "again.NPZ")
    assert again.portrait.dump() == loaded.portrait.dump()


def test_a_face_is_given_alone(face: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with demo() as (photo, voice):
        for pictures in ([face, photo], [photo, str(face)], [face, face]):
            with pytest.raises(ImageError, match="give it alone"):
                parlante.Avatar(pictures)
        command = ["speak", str(face), str(photo), str(voice), "-o", "never.mp4"]
        assert cli.main(command) == 1
    assert "give it alone" in capsys.readouterr().err
    with pytest.raises(ImageError, match="holds one face"):
        parlante.Avatar(face, face=0)
    assert cli.main(["speak", str(face), str(voice), "--face", "0", "-o", "never.mp4"]) == 1
    assert "holds one face" in capsys.readouterr().err
    assert not Path("never.mp4").exists()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\xff\xd8\xff\xe0", None])
def test_what_only_has_the_name_of_a_face(data: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "face.npz"
    if data is not None:
        path.write_bytes(data)
    for make in (parlante.Avatar, parlante.Avatar.load):
        with pytest.raises(ImageError, match=r"face\.npz"):
            make(path)


def test_names_at_the_top() -> None:
    assert parlante.ParlanteError is ParlanteError
    assert parlante.RenderOptions is RenderOptions
    assert set(parlante.__all__) >= {"Avatar", "ParlanteError", "RenderOptions"}
    for name in parlante.__all__:
        assert getattr(parlante, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = parlante.nothing_of_the_kind
