"""Photos, sounds and videos that cannot be used."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from fuzz.bad_inputs.kind import Kind
from fuzz.seeds import FOLDER
from parlante.avatar import Avatar
from parlante.media.photo import load_image
from parlante.speech.audio import decode_audio, read_audio

ANY: Any = None
GREY = np.full((160, 160, 3), 128, np.uint8)


def _coded(mode: str, size: tuple[int, int], kind: str) -> bytes:
    buffer = io.BytesIO()
    Pillow.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


def photos() -> Iterator[Kind]:
    whole = (FOLDER / "photo" / "turned.jpg").read_bytes()
    png = (FOLDER / "photo" / "p.png").read_bytes()
    Path("empty.jpg").touch()
    Path("folder.jpg").mkdir()
    Path("text.jpg").write_text("not a picture")
    Path("cut.jpg").write_bytes(whole[: len(whole) // 2])
    Path("drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Path("page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n")
    Path("locked.jpg").write_bytes(whole)
    bad_png = png[:60] + bytes(20) + png[80:]
    huge = _coded("1", (9000, 9000), "PNG")
    small = np.zeros((127, 300, 3), np.uint8)
    floats = np.zeros((200, 200), np.float32)
    with_float = _coded("F", (200, 200), "TIFF")
    for what, given in (
        ("a path that does not exist", "missing.jpg"),
        ("a path in a folder that does not exist", "nowhere/face.jpg"),
        ("a path below a file", "text.jpg/face.jpg"),
        ("an empty file", "empty.jpg"),
        ("a folder", "folder.jpg"),
        ("an empty path", ""),
        ("a path of 5000 characters", "x" * 5000),
        ("a path with a zero byte", "a\0.jpg"),
        ("a path with a line end", "a\nb.jpg"),
        ("text named .jpg", "text.jpg"),
        ("a JPEG cut in half", "cut.jpg"),
        ("a vector drawing", "drawing.svg"),
        ("PostScript, which would have to be run", "page.eps"),
        ("no bytes", b""),
        ("random bytes", b"\x93random"),
        ("a PNG with a damaged chunk", bad_png),
        ("a JPEG of its first 100 bytes", whole[:100]),
        ("a picture of 20000 × 200 pixels that is too narrow", _coded("L", (20_000, 100), "PNG")),
        ("a picture of 1 × 1 pixel", _coded("RGB", (1, 1), "PNG")),
        ("a picture of 127 pixels", _coded("L", (127, 200), "PNG")),
        ("a small file of 81 million pixels", huge),
        ("a picture of floats", with_float),
        ("a number", 5),
        ("None", None),
        ("a file object", io.BytesIO(whole)),
        ("an array of floats", floats),
        ("an array with one dimension", np.zeros(200, np.uint8)),
        ("an array with four dimensions", np.zeros((1, 200, 200, 3), np.uint8)),
        ("an array with two channels", np.zeros((200, 200, 2), np.uint8)),
        ("an array with no pixels", np.zeros((0, 200, 3), np.uint8)),
        ("an array that is too small", small),
        ("an array of 81 million pixels", np.zeros((9000, 9000), np.uint8)),
        ("an array of objects", np.full((200, 200), None)),
        ("an array of 16 bits", np.zeros((200, 200, 3), np.uint16)),
    ):
        yield Kind(what, lambda given=given: load_image(given))  # type: ignore[misc]
    yield Kind("no picture in a list", lambda: Avatar([], cache=False))
    yield Kind("a list with a bad picture in it", lambda: Avatar([GREY, ANY], cache=False))
    yield Kind("a photo without a face", lambda: Avatar(GREY, cache=False))
    yield Kind("a face that is not a number", lambda: Avatar(GREY, face=1.5))  # type: ignore[arg-type]
    yield Kind("a face below 0", lambda: Avatar(GREY, face=-1))
    yield Kind("a face that is True", lambda: Avatar(GREY, face=True))


def sounds() -> Iterator[Kind]:
    wav = (FOLDER / "speech" / "pcm_s16le-01.wav").read_bytes()
    mp4 = (FOLDER / "speech" / "aac-02.m4a").read_bytes()
    flac = (FOLDER / "speech" / "flac-02.flac").read_bytes()
    Path("empty.wav").touch()
    Path("folder.wav").mkdir()
    files = {
        "text.wav": b"not a sound",
        "cut.wav": wav[: len(wav) // 2],
        "header.wav": wav[:44],
        "cut.m4a": mp4[: len(mp4) // 2],
        "cut.flac": flac[: len(flac) // 2],
        "damaged.flac": flac[:-600] + bytes(300) + flac[-300:],
        "picture.wav": (FOLDER / "photo" / "turned.jpg").read_bytes(),
        "list.m3u8": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "silent.mp4": (FOLDER / "video" / "h264.mp4").read_bytes(),
        "slow.wav": wav[:24] + (3000).to_bytes(4, "little") + wav[28:],
        "channels.wav": wav[:22] + bytes(2) + wav[24:],
        "words.txt": b"hello",
    }
    for name, data in files.items():
        Path(name).write_bytes(data)
    for what, name in (
        ("a path that does not exist", "missing.wav"),
        ("an empty file", "empty.wav"),
        ("a folder", "folder.wav"),
        ("a path with a zero byte", "a\0.wav"),
        ("a path of 5000 characters", "x" * 5000),
        ("text named .wav", "text.wav"),
        ("a text file", "words.txt"),
        ("a WAV cut in half", "cut.wav"),
        ("a WAV without samples", "header.wav"),
        ("an M4A cut in half", "cut.m4a"),
        ("a FLAC cut in half", "cut.flac"),
        ("a FLAC with a damaged frame", "damaged.flac"),
        ("a picture named .wav", "picture.wav"),
        ("a playlist, which would open other files", "list.m3u8"),
        ("a video without sound", "silent.mp4"),
        ("a WAV of 3000 Hz", "slow.wav"),
        ("a WAV of no channels", "channels.wav"),
        ("an address", "https://example.com/a.wav"),
        ("a device", "/dev/null"),
    ):
        yield Kind(what, lambda name=name: list(decode_audio(name)))  # type: ignore[misc]
    Path("whole.wav").write_bytes(wav)
    yield Kind("a file that lasts too long", lambda: read_audio(Path("whole.wav"), 0.01))
    yield Kind("a rate beside a file", lambda: decode_audio("whole.wav", 16_000))
    tone = np.zeros(100, np.int16)
    for what, samples, rate in (
        ("samples without a rate", tone, None),
        ("a rate of 100 Hz", tone, 100),
        ("a rate of a million Hz", tone, 10**6),
        ("a rate that is no whole number", tone, 16_000.5),
        ("a rate that is text", tone, "16000"),
        ("no samples", tone[:0], 16_000),
        ("samples of 32 bits", tone.astype(np.int32), 16_000),
        ("samples of unsigned bytes", tone.astype(np.uint8), 16_000),
        ("samples that are complex", tone.astype(np.complex64), 16_000),
        ("samples in the other byte order", tone.astype(">i4"), 16_000),
        ("samples with three dimensions", tone.reshape(1, 10, 10), 16_000),
        ("channels first", np.zeros((2, 16_000), np.int16), 16_000),
        ("no channels", np.zeros((100, 0), np.int16), 16_000),
        ("a sample that is NaN", np.full(100, np.nan, np.float32), 16_000),
        ("a sample that is infinite", np.full(100, np.inf), 16_000),
        ("floats on the scale of integers", np.full(100, 9000.0), 16_000),
        ("a list of samples", [0.1, 0.2], 16_000),
        ("bytes", b"\0\0", 16_000),
        ("None", None, None),
    ):
        yield Kind(what, lambda s=samples, r=rate: decode_audio(s, r))  # type: ignore[misc]


def videos() -> Iterator[Kind]:
    whole = (FOLDER / "video" / "h264.mp4").read_bytes()
    Path("empty.mp4").touch()
    Path("folder.mp4").mkdir()
    files = {
        "text.mp4": b"not a video",
        "cut.mp4": whole[: len(whole) // 2],
        "sound.mp4": (FOLDER / "speech" / "aac-02.m4a").read_bytes(),
        "photo.mp4": (FOLDER / "photo" / "turned.jpg").read_bytes(),
    }
    for name, data in files.items():
        Path(name).write_bytes(data)
    for what, name in (
        ("a path that does not exist", "missing.mp4"),
        ("an empty file", "empty.mp4"),
        ("a folder", "folder.mp4"),
        ("a path with a zero byte", "a\0.mp4"),
        ("text named .mp4", "text.mp4"),
        ("a video cut in half", "cut.mp4"),
        ("sound named .mp4", "sound.mp4"),
        ("a photo named .mp4", "photo.mp4"),
    ):
        yield Kind(what, lambda name=name: Avatar(name, cache=False))  # type: ignore[misc]
