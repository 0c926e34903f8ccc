"""The invisible watermark, after what happens to videos on their way."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from benchmarks.watermark import WAYS
from parlante import __version__
from parlante.app import cli
from parlante.contract import Image
from parlante.errors import ImageError
from parlante.media.video import read_video
from parlante.provenance import Watermark, detect, verify
from parlante.provenance.watermark import SURE
from tests.support.portrait_samples import PHOTO, avatar, demo_speech

PAYLOAD = 0x123456789ABC
VERSION = ".".join(__version__.split(".")[:2])


@cache
def frames(marks: str = "watermark", **options: Any) -> list[Image]:
    """A second of the demo face."""
    chosen = {"steps": 1, "seed": 1, "payload": PAYLOAD, "marks": marks, **options}
    speech = avatar().speak(demo_speech()[:16000], sample_rate=16_000, **chosen)
    return [frame.image for frame in speech]


def said(pictures: list[Image]) -> int | None:
    """The payload that is found."""
    found = detect(pictures)
    assert found is None or (found.version == VERSION and found.strength > 1)
    return None if found is None else found.payload


@pytest.mark.parametrize("way", WAYS)
def test_the_mark_is_found_after(way: str) -> None:
    assert said(WAYS[way](frames())) == PAYLOAD


@pytest.mark.parametrize("way", ["as it was", "H.264, CRF 28", "half as large"])
def test_there_is_none_where_none_was_made(way: str) -> None:
    assert detect(WAYS[way](frames("none"))) is None


def test_it_is_hardly_there() -> None:
    marked, plain = (np.stack(frames(marks)).astype(int) for marks in ("watermark", "none"))
    change = marked - plain
    assert 10 * np.log10(255**2 / (change**2).mean()) >= 42
    # It is the same in every frame, and in all colours.
    light = change.min(-1)
    unclipped = ((marked > 0) & (marked < 255)).all((0, -1))
    assert (change[..., unclipped, :] == light[..., unclipped, None]).all()
    assert (light[:, unclipped] == light[0, unclipped]).all()
    # Weaker where the picture is flat than in hair.
    flat, hair = change[:, 250:350, 440:], change[:, 60:160, 200:300]
    assert 0.4 < flat.std() < 0.7 * hair.std()


@pytest.mark.parametrize("pixels", ["bgr", "rgba", "nv12"])
def test_every_kind_of_frame(pixels: Any) -> None:
    marked, plain = (frames(marks, pixels=pixels)[:2] for marks in ("watermark", "none"))
    for a, b in zip(marked, plain, strict=True):
        if pixels == "nv12":
            assert np.array_equal(a[512:], b[512:])  # colours
            picture = np.repeat(a[:512, :, None], 3, -1)
        else:
            assert np.array_equal(a[..., 3:], b[..., 3:])  # opacity
            picture = a[..., :3]
        assert not np.array_equal(a, b)
        assert said([np.ascontiguousarray(picture)]) == PAYLOAD


def test_a_live_sessions_frames_carry_it() -> None:
    with avatar().live(realtime=False, steps=1, seed=1, payload=5) as live:
        live.push_audio(demo_speech()[:8000])
        live.close_input()
        assert said([frame.image for frame in live]) == 5


def test_what_a_mark_says() -> None:
    word = Watermark.own(PAYLOAD).word()
    assert word < 2**72
    assert Watermark.of_word(word, 1.0) == Watermark(VERSION, PAYLOAD, 1.0)
    # A bit that is wrong is found.
    assert all(Watermark.of_word(word ^ 1 << bit, 1.0) is None for bit in range(72))


@pytest.mark.parametrize(
    "pictures", [[np.zeros((300, 300), np.uint8)], [np.zeros((8, 8, 3))], ["a"], [[1]]]
)
def test_what_is_no_picture_is_refused(pictures: Any) -> None:
    with pytest.raises(ImageError, match="give uint8"):
        detect(pictures)


def test_pictures_of_several_sizes_are_refused() -> None:
    one, other = (np.zeros((side, 300, 3), np.uint8) for side in (300, 302))
    with pytest.raises(ImageError, match="one size"):
        detect([one, other])


def in_vp8(pictures: list[Image]) -> list[av.Packet]:
    """A piece of a video."""
    coder = av.CodecContext.create("libvpx", "w")
    assert isinstance(coder, av.VideoCodecContext)
    coder.height, coder.width = pictures[0].shape[:2]
    coder.pix_fmt, coder.time_base, coder.bit_rate = "yuv420p", Fraction(1, 25), 500_000
    packets = []
    for picture in pictures:
        packets += coder.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
    return packets + coder.encode(None)


def test_a_video_whose_frames_change_their_size(tmp_path: Path) -> None:
    """As those of calls do: each size is searched for itself."""
    path = tmp_path / "call.webm"
    small = [np.asarray(cv2.resize(frame, (300, 200)), np.uint8) for frame in frames("none")[:7]]
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 512, 512, "yuv420p"
        for i, packet in enumerate(in_vp8(small) + in_vp8(frames()[:7])):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = i
            container.mux(packet)
    assert len({frame.shape for frame in read_video(path)}) == 2
    found = verify(path).watermark
    assert found is not None and found.payload == PAYLOAD


def test_a_version_before_a_release_is_named_as_that() -> None:
    word = Watermark("0.3rc1", 7).word()
    assert Watermark.of_word(word, 1.0) == Watermark("0.3", 7, 1.0)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (300, 300, 3)])
@pytest.mark.parametrize("value", [0, 255])
def test_an_empty_picture_has_none(shape: tuple[int, ...], value: int) -> None:
    assert detect([np.full(shape, value, np.uint8)]) is None
    assert detect([]) is None


def test_chance_stays_far_below_a_mark() -> None:
    scores = []
    generator = np.random.default_rng(0)
    for _ in range(20):
        noise = cv2.GaussianBlur(generator.normal(size=(300, 300, 1)).astype(np.float32), (0, 0), 2)
        picture = np.uint8(np.clip(128 + 300 * np.repeat(noise[..., None], 3, -1), 0, 255))
        scores.append(detect([picture]))
    assert scores == [None] * 20 and SURE > 30


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("made.webm", "made.png"):
        path = tmp_path / name
        if name == "made.png":
            cv2.imwrite(str(path), frames()[3][..., ::-1])
        else:
            speech = avatar().speak(demo_speech()[:16000], sample_rate=16_000, steps=1, payload=7)
            speech.save(path)
        assert cli.main(["verify", str(path)]) == 0
        assert "watermark" in capsys.readouterr().out
    assert cli.main(["verify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["watermark"]["payload"] == PAYLOAD
    assert cli.main(["verify", str(PHOTO)]) == 1
    assert "nothing" in capsys.readouterr().out
    assert verify(PHOTO).watermark is None
