"""Arguments of the Python API that are out of their range."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.bad_inputs.kind import Kind
from fuzz.bad_inputs.models import FACE
from parlante.avatar import Avatar
from parlante.media.camera import CameraWriter
from parlante.media.captions import read_transcript, write_captions
from parlante.media.folder import FolderWriter
from parlante.media.stream import StreamWriter
from parlante.media.writer import VideoWriter
from parlante.options import RenderOptions
from parlante.provenance import detect, verify
from parlante.provenance.manifest import Credentials
from parlante.session.live import Live

HUGE = 10**5000  # has more digits than Python prints
NAN, INFINITE = float("nan"), float("inf")
OPTIONS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("steps", (0, 51, 1.5, "2", None, True, HUGE)),
    ("seed", (-1, 2**64, 0.5, "x")),
    ("size", (127, 126, 1082, 129, "512", HUGE)),
    ("frame", ("body", 1, None, np.array(["head", "photo"]))),
    ("fps", (0, 121, NAN, INFINITE, "25", None, Fraction(10**20 + 1, 10**19))),
    ("look_ahead", (0, 41, 160.0, "40")),
    ("pose", (-0.1, 2.1, NAN, "1", True, HUGE)),
    ("nod", (-1, 3)),
    ("blink", (-1, 3)),
    ("brows", (-1, 3)),
    ("eyes", (-1, 3)),
    ("gaze", ((26, 0), (0, -26), (1,), (1, 2, 3), "left", None, 5, (HUGE, 0), (NAN, 0))),
    ("mood", ("angry", ("sad", 2), ("sad", "very"), 5, None, ("sad", HUGE), ("sad", 1, 1), "")),
    ("neutral", (-0.1, 1.1)),
    ("expression", (-1, 3)),
    ("breath", (-1, 3)),
    ("pixels", ("yuv", None, np.zeros(3))),
    (
        "background",
        (
            *("missing.jpg", "1,2,256", "²,1,1", "9" * 5000, "x" * 5000, "a\0", "#12345", "."),
            *((1, 2), (1, 2, 256), (1.5, 2, 3), 5, [1, 2, 3]),
        ),
    ),
    ("marks", ("stamp", 5, ["manifest", 5], np.zeros((2, 2)))),
    ("payload", (-1, 2**48, 1.5)),
    ("volume", (1,)),
)


@cache
def _avatar() -> Avatar:
    return Avatar.load(FACE)


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "a number of 5001 digits"
    text = " ".join(text.split())
    return text if len(text) < 60 else f"{type(value).__name__} of {len(value)} characters"  # type: ignore[arg-type]


def options() -> Iterator[Kind]:
    for name, values in OPTIONS:
        for value in values:
            yield Kind(
                f"{name} = {_short(value)}",
                lambda name=name, value=value: RenderOptions.of(**{name: value}),  # type: ignore[misc]
            )


def avatars() -> Iterator[Kind]:
    for name, values in (
        ("device", ("tpu", None, np.zeros(2), "cuda:0")),
        ("precision", ("float64", None, np.zeros(2), "float16")),
        ("threads", (0, 65, 1.5, True, "2", HUGE)),
    ):
        for value in values:
            yield Kind(
                f"Avatar.load, {name} = {_short(value)}",
                lambda name=name, value=value: list(  # type: ignore[misc]
                    Avatar.load(FACE, **{name: value}).speak(
                        np.zeros(640, np.int16), sample_rate=16_000
                    )
                ),
            )
    photo = np.full((160, 160, 3), 90, np.uint8)
    yield Kind("Avatar, cache = 5", lambda: Avatar(photo, cache=5))  # type: ignore[arg-type]
    yield Kind("Avatar, cache with a zero byte", lambda: Avatar(photo, cache="a\0"))
    sound = np.zeros(1600, np.int16)
    yield Kind("speak, sound without a rate", lambda: _avatar().speak(sound))
    yield Kind("speak, a sound that is missing", lambda: _avatar().speak("missing.wav"))
    yield Kind("speak, a sound that is a number", lambda: _avatar().speak(5))  # type: ignore[arg-type]
    yield Kind(
        "speak, options that are a dictionary",
        lambda: _avatar().speak(sound, sample_rate=16_000, options={"size": 256}),
    )  # type: ignore[arg-type]
    yield Kind("live, a sound rate of 1 Hz", lambda: _avatar().live(sound_rate=1))
    yield Kind("live, on_frame that is text", lambda: _avatar().live(on_frame="x"))  # type: ignore[arg-type]


def _closed() -> Live:
    live = _avatar().live(realtime=False)
    live.close()
    return live


def sessions() -> Iterator[Kind]:
    def live() -> Live:
        return _avatar().live(realtime=False)

    def full() -> None:
        session = live()
        for _ in range(3):
            session.push_audio(np.zeros(16_000 * 61, np.int16))

    def twice() -> None:
        with _avatar().live(realtime=False, on_frame=id) as session:
            iter(session)

    sound = np.zeros(640, np.int16)
    yield Kind("push_audio of None", lambda: live().push_audio(None))  # type: ignore[arg-type]
    yield Kind("push_audio of bytes", lambda: live().push_audio(b"\0\0"))  # type: ignore[arg-type]
    yield Kind("push_audio of NaN", lambda: live().push_audio(np.full(9, NAN, np.float32)))
    yield Kind("push_audio at 0 Hz", lambda: live().push_audio(sound, 0))
    yield Kind("push_audio of more than two minutes", full)
    yield Kind("push_audio after close", lambda: _closed().push_audio(sound))
    yield Kind("flush after close", lambda: _closed().flush())
    yield Kind("change of size", lambda: live().change(size=256))
    yield Kind("change of an unknown option", lambda: live().change(volume=2))  # type: ignore[call-arg]
    yield Kind("change to a mood that is none", lambda: live().change(mood="angry"))
    yield Kind("iterating where on_frame is", twice)


def writers() -> Iterator[Kind]:
    ok: dict[str, Any] = {"width": 64, "height": 64}
    for what, path, given in (
        ("a name without an end", "video", {}),
        ("a name that ends in .avi", "v.avi", {}),
        ("a folder that does not exist", "nowhere/v.mp4", {}),
        ("a name with a zero byte", "a\0.mp4", {}),
        ("a name of 300 characters", "x" * 300 + ".mp4", {}),
        ("a number", 5, {}),
        ("an odd width", "v.mp4", {"width": 65}),
        ("a height of 8", "v.mp4", {"height": 8}),
        ("a width of a million", "v.mp4", {"width": 10**6}),
        ("a width that is text", "v.mp4", {"width": "64"}),
        ("a width that is a fraction", "v.mp4", {"width": 64.5}),
        ("0 frames a second", "v.mp4", {"fps": 0}),
        ("29.97 frames a second as a float", "v.mp4", {"fps": 29.97}),
        ("sound of 8001 Hz", "v.mp4", {"sample_rate": 8001}),
        ("sound of 44.1 kHz in .webm", "v.webm", {"sample_rate": 44_100}),
        ("three channels", "v.mp4", {"channels": 3}),
        ("channels that are a list", "v.mp4", {"channels": [1]}),
        ("an unknown codec", "v.mp4", {"codec": "mpeg2"}),
        ("H.264 in .webm", "v.webm", {"codec": "h264"}),
        ("12 bits", "v.mp4", {"bits": 12}),
        ("10 bits of VP9", "v.webm", {"bits": 10}),
        ("transparent .mp4", "v.mp4", {"transparent": True}),
        ("timecode in .mkv", "v.mkv", {"timecode": "00:00:00:00"}),
        ("timecode that is no time", "v.mp4", {"timecode": "noon"}),
        ("timecode at frame 25 of 25", "v.mp4", {"timecode": "00:00:00:25"}),
        ("timecode that drops at 25", "v.mp4", {"timecode": "00:00:00;01"}),
        ("timecode that is a number", "v.mp4", {"timecode": 5}),
        ("crf of 99", "v.mp4", {"crf": 99}),
        ("crf that is text", "v.mp4", {"crf": "x"}),
        ("an unknown preset", "v.mp4", {"preset": "fastest"}),
        ("threads below 0", "v.mp4", {"threads": -1}),
    ):
        yield Kind(
            f"VideoWriter, {what}",
            lambda path=path, given=given: VideoWriter(path, **{**ok, **given}),  # type: ignore[misc]
        )
    yield from _written()
    for what, url in (
        ("a stream to an unknown protocol", "gopher://example.com/a"),
        ("a stream without a server", "rtmp://"),
        ("a stream to a port that is none", "tcp://127.0.0.1:99999"),
        ("a stream to nobody", "tcp://127.0.0.1:9"),
        ("a stream to a number", 5),
    ):
        yield Kind(what, lambda url=url: StreamWriter(url, **ok))  # type: ignore[misc]
    yield Kind(
        "a stream with patience below 0",
        lambda: StreamWriter("udp://127.0.0.1:9", patience=-1, **ok),
    )
    yield Kind("a camera that is none", lambda: CameraWriter("/dev/null", **ok))
    yield Kind("pictures without a number in their name", lambda: FolderWriter("a/b.png", **ok))
    yield Kind("pictures in a folder that is there", lambda: FolderWriter("there/%06d.png", **ok))


def _written() -> Iterator[Kind]:
    picture, sound = np.zeros((64, 64, 3), np.uint8), np.zeros(640, np.int16)
    Path("there").mkdir()
    Path("there/000000.png").touch()

    def write(image: Any, audio: Any) -> None:
        with VideoWriter("written.mp4", width=64, height=64) as writer:
            writer.write(image, audio)

    def late() -> None:
        writer = VideoWriter("late.mp4", width=64, height=64)
        writer.write(picture, sound)
        writer.close()
        writer.write(picture, sound)

    for what, image, audio in (
        ("a picture of another size", picture[:32], sound),
        ("a picture of floats", picture.astype(np.float32), sound),
        ("a picture that is None", None, sound),
        ("sound of floats", picture, sound.astype(np.float32)),
        ("sound of two channels for one", picture, np.zeros((640, 2), np.int16)),
        ("sound that is a list", picture, [0]),
    ):
        yield Kind(f"VideoWriter.write, {what}", lambda i=image, a=audio: write(i, a))  # type: ignore[misc]
    yield Kind("VideoWriter.write after close", late)
    speech = lambda: _avatar().speak(np.zeros(640, np.int16), sample_rate=16_000, size=128, steps=1)  # noqa: E731
    yield Kind("Speech.save to a number", lambda: speech().save(5))  # type: ignore[arg-type]
    yield Kind("Speech.save to .txt", lambda: speech().save("v.txt"))
    yield Kind("Speech.save of pictures with 10 bits", lambda: speech().save("p/%06d.png", bits=10))
    yield Kind("Speech.save over its own face", lambda: _saved_over())


def _saved_over() -> None:
    Path("own.mp4").write_bytes((FACE.parents[1] / "speech" / "aac-02.m4a").read_bytes())
    _avatar().speak("own.mp4", size=128).save("own.mp4")


def others() -> Iterator[Kind]:
    Path("words").write_bytes(b"\xff\xfe\x00")
    yield Kind("verify of a file that is missing", lambda: verify("missing.mp4"))
    yield Kind("verify of text", lambda: verify("words"))
    yield Kind("verify of a folder", lambda: verify("."))
    yield Kind("verify of a number", lambda: verify(5))  # type: ignore[arg-type]
    yield Kind("detect in floats", lambda: detect([np.zeros((64, 64, 3))]))  # type: ignore[list-item]
    yield Kind(
        "detect in frames of two sizes",
        lambda: detect([np.zeros((s, 64, 3), np.uint8) for s in (64, 32)]),
    )
    yield Kind("detect in a number", lambda: detect(5))  # type: ignore[arg-type]
    yield Kind("a transcript that is missing", lambda: read_transcript(Path("missing.txt")))
    yield Kind("a transcript that is no UTF-8", lambda: read_transcript(Path("words")))
    yield Kind("captions named .txt", lambda: write_captions(Path("a.txt"), []))
    yield Kind(
        "captions in a folder that is missing", lambda: write_captions(Path("nowhere/a.srt"), [])
    )
    yield Kind(
        "a certificate that is missing", lambda: Credentials.read(Path("no.pem"), Path("no.key"))
    )
    yield Kind("a certificate that is none", lambda: Credentials.read(Path("words"), Path("words")))
