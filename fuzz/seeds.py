"""Writes `fuzz/seeds`: small whole inputs of each Python harness, that its damage begins with.

``python -m fuzz.seeds``. The files are kept in the repository.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image as Pillow

from fuzz.sound import corpus
from parlante.avatar import Avatar
from parlante.media.photo import load_image
from parlante.runtime.assets import demo
from parlante.runtime.manifest import FORMAT, FRONT_END

FOLDER = Path(__file__).parent / "seeds"
SIDE = 128  # the smallest photo
# Suffix, codec and pixels of small videos.
VIDEOS = (
    ("h264.mp4", "libx264", "yuv420p"),
    ("hevc.mov", "libx265", "yuv420p"),
    ("vp9.webm", "libvpx-vp9", "yuv420p"),
    ("mpeg4.avi", "mpeg4", "yuv420p"),
    ("mjpeg.mkv", "mjpeg", "yuvj420p"),
)
# Of the many small sound files that `fuzz.sound` writes, one for each container.
SOUNDS = ("pcm_s16le-01.wav", "flac-02.flac", "libmp3lame-01.mp3", "aac-02.m4a", "libopus-01.opus")
SOUNDS += ("pcm_s16be-01.aiff", "aac-01.mkv", "libopus-01.webm", "aac-01.flv", "wavpack-01.wv")
MESSAGES = (
    b'{"rate": 48000}\n\x01\x02\x03\x04\n{"do": "flush"}',
    b'{"rate": 16000, "listen": "speech"}\n' + b"\x10\x20" * 800 + b'\n{"do": "interrupt"}',
    b'{"change": {"mood": ["friendly", 0.5], "gaze": [3, -4], "pose": 0.5, "neutral": 1}}',
    b'{"change": {"size": 512}}\n{"do": "websocket"}\n[1]\n"text"',
    b'{"offer": "v=0\\r\\no=- 1 1 IN IP4 0.0.0.0\\r\\ns=-\\r\\nt=0 0\\r\\n"}',
    b'{"say": "hello"}',
)


def _photos(folder: Path) -> None:
    with demo() as (photo, _):
        image = Pillow.fromarray(load_image(photo).rgb).resize((SIDE, SIDE))
    for name, mode in (("png", "P"), ("gif", "P"), ("bmp", "L"), ("tiff", "CMYK"), ("ppm", "L")):
        flat = image.quantize(4) if mode == "P" else image.convert(mode)
        packed = {"compression": "tiff_lzw"} if name == "tiff" else {}
        flat.resize((SIDE, SIDE)).save(folder / f"{mode.lower()}.{name}", **packed)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned
    image.save(folder / "turned.jpg", quality=30, exif=exif, progressive=True)
    for name in ("webp", "avif", "jp2"):
        more = {"quality_mode": "rates", "quality_layers": [40]} if name == "jp2" else {}
        image.convert("RGBA").save(folder / f"rgba.{name}", quality=20, **more)


def _videos(folder: Path) -> None:
    frames = np.zeros((4, SIDE, SIDE, 3), np.uint8)
    for number, frame in enumerate(frames):
        cv2.circle(frame, (64, 64), 20 + 8 * number, (200, 150, 120), -1)
    for name, codec, pixels in VIDEOS:
        with av.open(str(folder / name), "w") as output:
            stream = output.add_stream(codec, rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, pixels
            for frame in frames:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            output.mux(stream.encode(None))


def _face(folder: Path) -> None:
    with demo() as (photo, _):
        portrait = Avatar(photo, cache=False).portrait
    small = cv2.resize(portrait.image, (24, 24), interpolation=cv2.INTER_AREA)
    canvas = np.ascontiguousarray(np.pad(small, ((4, 4), (3, 5), (0, 0))))
    picture = io.BytesIO()
    Pillow.fromarray(portrait.picture).resize((SIDE, SIDE)).save(picture, "JPEG", quality=20)
    replace(
        portrait,
        photo=np.frombuffer(picture.getvalue(), np.uint8),
        canvas=canvas,
        crop=np.array([3, 4, 24]),
    ).save(folder / "demo.npz")


def _bundles(folder: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(6).reshape(2, 3), b=np.float32(7))
    (folder / "table.npz").write_bytes(buffer.getvalue())
    files = {"table.npz": {"sha256": "00", "bytes": 1, "licence": "none", "training_data": "none"}}
    manifest = {"format": FORMAT, "front_end": FRONT_END, "version": "1.0", "files": files}
    manifest["networks"] = {"twice": {"file": "table.npz", "inputs": {}, "outputs": {}}}
    (folder / "manifest.json").write_bytes(json.dumps(manifest).encode())


def main() -> None:
    for name in ("photo", "speech", "video", "face", "bundle", "messages"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    _photos(FOLDER / "photo")
    whole = Path(FOLDER / "speech" / "all")
    whole.mkdir()
    for path in corpus(whole, 0.05):
        name = path.name.partition("-")[2]
        if name in SOUNDS:
            path.rename(FOLDER / "speech" / name)
        else:
            path.unlink()
    whole.rmdir()
    _videos(FOLDER / "video")
    _face(FOLDER / "face")
    _bundles(FOLDER / "bundle")
    for number, message in enumerate(MESSAGES):
        (FOLDER / "messages" / f"{number}").write_bytes(message)


if __name__ == "__main__":
    main()
