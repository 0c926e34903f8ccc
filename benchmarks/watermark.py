"""How surely the watermark is found: ``python -m benchmarks.watermark --out docs/watermark.md``.

Photos of the sharp clips' people speak the demo voice. Pieces of two seconds of that go through
what happens to videos on their way, `WAYS`, and are searched. Real videos, which carry no mark, are
searched, too, every 17th frame for itself. Cost, and what the mark changes, over all that is
drawn.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from models.data.dataset import DEFAULT_DATA, SHARP_DATA, read_frames, read_manifest
from parlante.avatar import Avatar
from parlante.contract import Image
from parlante.errors import ImageError, ParlanteError
from parlante.media.video import read_video
from parlante.provenance.watermark import FRAMES, SURE, Overlay, Watermark, best, find, lights
from parlante.runtime.assets import demo

PAYLOAD = 0x123456789ABC
CUT = 0.15  # of each side
EVERY = 17  # frames of a real video one is searched


def coded(
    pictures: list[Image], codec: str, rate: int = 25, bits: int | None = None, **options: str
) -> list[Image]:
    """``pictures`` written with a codec and read again."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=Fraction(rate), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if bits is not None:
            stream.bit_rate = bits
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as made:
        return [frame.to_ndarray(format="rgb24") for frame in made.decode(video=0)]


def h264(pictures: list[Image], crf: int = 28, rate: int = 25) -> list[Image]:
    """By x264 with its usual settings."""
    return coded(pictures, "libx264", rate, crf=str(crf))


def vp9(pictures: list[Image]) -> list[Image]:
    """At 500 kb/s, as fast as video calls want it."""
    fast = {"deadline": "realtime", "cpu-used": "8"}
    return coded(pictures, "libvpx-vp9", 25, 500_000, **fast)


def jpeg(picture: Image) -> Image:
    """At quality 50."""
    stored = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def scaled(pictures: list[Image], by: float) -> list[Image]:
    """So many times as large, even numbers of pixels."""
    mode = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
    height, width = (round(n * by / 2) * 2 for n in pictures[0].shape[:2])
    return [np.asarray(cv2.resize(p, (width, height), interpolation=mode)) for p in pictures]


def cut(pictures: list[Image]) -> list[Image]:
    """Without 15 % of the width and of the height, more of it on one side than on the other."""
    height, width = pictures[0].shape[:2]
    own = []
    for n in (height, width):
        first = int(n * CUT * 0.37)
        own.append(slice(first, first + round(n * (1 - CUT) / 2) * 2))
    return [np.ascontiguousarray(p[own[0], own[1]]) for p in pictures]


def captured(pictures: list[Image]) -> list[Image]:
    """As another screen shows it and a capture of that stores it: gamma, contrast, brightness."""
    return [np.asarray(255 * (p / 255) ** 1.4 * 0.9 + 12, np.uint8) for p in pictures]


def at_30(pictures: list[Image]) -> list[Image]:
    """25 frames a second shown at 30."""
    return [pictures[i * 5 // 6] for i in range(len(pictures) * 6 // 5)]


WAYS: dict[str, Callable[[list[Image]], list[Image]]] = {
    "as it was": lambda p: p,
    "H.264, CRF 28": h264,
    "VP9, 500 kb/s": vp9,
    "each frame a JPEG of quality 50": lambda p: list(map(jpeg, p)),
    "one frame, a JPEG of quality 50": lambda p: [jpeg(p[len(p) // 2])],
    "half as large": lambda p: scaled(p, 0.5),
    "two thirds as large, H.264, CRF 23": lambda p: h264(scaled(p, 0.67), 23),
    "twice as large": lambda p: scaled(p, 2),
    "cut by 15 %": cut,
    "cut by 15 %, H.264, CRF 28": lambda p: h264(cut(p)),
    "30 frames a second, H.264, CRF 28": lambda p: h264(at_30(p), rate=30),
    "captured from a screen": captured,
}


def people(data: Path, count: int) -> Iterator[Path]:
    """The first clip of each of ``count`` people, or as many as there are."""
    first = {clip.person: data / clip.file for clip in reversed(read_manifest(data))}
    yield from list(first.values())[:count]


def pieces(photo: Image, seconds: int) -> Iterator[list[Image]]:
    """Two seconds each, 512², of a face that speaks, without a mark."""
    with demo() as (_, voice):
        speech = Avatar(photo, cache=False).speak(voice, marks="none", seed=0)
        frames = [frame.image for _, frame in zip(range(seconds * 25), speech, strict=False)]
    for start in range(0, len(frames) - FRAMES + 1, FRAMES):
        yield frames[start : start + FRAMES]


def made(data: Path, count: int, seconds: int) -> list[str]:
    """Of drawn faces: what the mark costs and changes, and how often it is found again."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    cost, decibel, faces = [], [], 0
    for path in tqdm(list(people(data, count)), desc="faces"):
        try:
            own = list(pieces(read_frames(path, [0], None)[0], seconds))
        except ParlanteError:
            continue
        faces += 1
        still = np.asarray(cv2.cvtColor(own[0][0], cv2.COLOR_RGB2GRAY), np.uint8)
        overlay = Overlay(Watermark.own(PAYLOAD), still, 3)
        for piece in own:
            marked = [picture.copy() for picture in piece]
            began = time.perf_counter()
            for picture in marked:
                overlay.add(picture)
            cost.append((time.perf_counter() - began) / len(piece) * 1e3)
            change = np.float32(marked[0]) - piece[0]
            decibel.append(10 * np.log10(255**2 / np.square(change).mean()))
            for way, through in WAYS.items():
                mark = find(through(marked))
                found[way].append(mark.strength if mark and mark.payload == PAYLOAD else 0.0)
    lines = [
        f"{faces} faces, {len(cost)} pieces of two seconds at 512². The mark takes "
        f"{np.median(cost):.2f} ms a frame on one core (median), and leaves a PSNR of "
        f"{np.mean(decibel):.1f} dB ({min(decibel):.1f} at least).",
        "",
        "| after | found | how surely, median | least |",
        "|---|---|---|---|",
    ]
    for way, strengths in found.items():
        share = np.mean(np.array(strengths) > 0)
        middle, least = np.median(strengths), min(strengths)
        lines.append(f"| {way} | {share:.1%} | {middle:.2f} | {least:.2f} |")
    return lines


def real(data: Path) -> Iterator[Image]:
    """Every 17th frame of the clips in a folder."""
    for clip in read_manifest(data):
        with suppress(ImageError):  # of clips of sound alone
            yield from islice(read_video(data / clip.file), None, None, EVERY)


def clean(data: Path, count: int) -> list[str]:
    """Of ``count`` frames of real videos, each for itself: how often one is found; how nearly."""
    scores: list[float] = []
    for frame in tqdm(islice(real(data), count), total=count, desc="clean frames"):
        scores.append(best(lights([frame]))[0] / SURE)
    highest, mean, spread = max(scores), np.mean(scores), np.std(scores)
    wrong = sum(score > 1 for score in scores)
    bound = 3 / len(scores)
    return [
        "",
        f"Of {len(scores)} frames of real videos, which carry no mark, {wrong} are taken for "
        f"marked (with 95 % certainty fewer than {bound:.2%}, by the count alone). The nearest "
        f"reaches {highest:.2f} of what is asked for; mean {mean:.3f}, standard deviation "
        f"{spread:.3f}, so that the limit is {(1 - mean) / spread:.0f} of them away. Beyond it 16 "
        "bits have to be right.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARP_DATA)
    parser.add_argument("--faces", type=int, default=25, help="0: none")
    parser.add_argument("--seconds", type=int, default=8, help="of speech, of each")
    parser.add_argument("--clean", type=int, default=10_000, help="frames of real videos; 0: none")
    parser.add_argument("--videos", type=Path, default=DEFAULT_DATA, help="real ones")
    parser.add_argument("--out", type=Path, help="a page to write")
    parsed = parser.parse_args()
    cv2.setNumThreads(1)
    lines = [
        "# Watermark",
        "",
        "Written by `python -m benchmarks.watermark`. Surely: the correlation found, by the least "
        f"that counts ({SURE:.0f} standard deviations in all).",
        "",
        *(made(parsed.data, parsed.faces, parsed.seconds) if parsed.faces else ()),
        *(clean(parsed.videos, parsed.clean) if parsed.clean else ()),
    ]
    page = "\n".join(lines) + "\n"
    print(page)
    if parsed.out:
        parsed.out.write_text(page)


if __name__ == "__main__":
    main()
