"""How a video is drawn: each option by itself, and every way to give them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from parlante import Avatar
from parlante import avatar as avatar_module
from parlante.app import cli
from parlante.backdrop import GREEN, Backdrop
from parlante.errors import ImageError, ParlanteError
from parlante.options import RenderKeywords, RenderOptions, frame_rate
from tests.support.portrait_samples import PHOTO, VOICE, avatar, demo_speech

NTSC = Fraction(30_000, 1001)
NAMES = [field.name for field in fields(RenderOptions)]


# Fields


def test_defaults() -> None:
    made = RenderOptions()
    assert {name: getattr(made, name) for name in NAMES} == {
        "steps": 2,
        "seed": None,
        "size": 512,
        "frame": "head",
        "fps": Fraction(25),
        "look_ahead": 160,
        "pose": 1.0,
        "nod": 0.0,
        "blink": 1.0,
        "brows": 1.0,
        "eyes": 1.0,
        "gaze": (0.0, 0.0),
        "mood": ("neutral", 1.0),
        "neutral": 0.0,
        "expression": 1.0,
        "breath": 1.0,
        "pixels": "rgb",
        "background": None,
        "marks": ("manifest", "watermark"),
        "payload": 0,
    }
    assert made.rate == 25
    assert made.backdrop is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 0}, "steps=0.* 1 to 50"),
        ({"steps": 51}, "steps=51"),
        ({"steps": 2.0}, "steps=2.0"),
        ({"steps": True}, "steps=True"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**64}, "seed=18446744073709551616"),
        ({"seed": "7"}, "seed='7'"),
        ({"size": 255}, "size=255.*even"),
        ({"size": 126}, "size=126.* 128 to 1080"),
        ({"size": 1082}, "size=1082"),
        ({"size": 256.0}, "size=256.0"),
        ({"size": (256, 256)}, r"size=\(256, 256\)"),
        ({"look_ahead": 120}, "look_ahead=120.* 40, 80, 160"),
        ({"look_ahead": 80.0}, "look_ahead=80.0"),
        ({"look_ahead": 0}, "look_ahead=0"),
        ({"gaze": (0, 26)}, r"gaze=\(0, 26\).* -25 to 25"),
        ({"gaze": (1, 2, 3)}, "gaze="),
        ({"gaze": "left"}, "gaze='left'"),
        ({"gaze": 3}, "gaze=3"),
        ({"mood": "grim"}, "mood='grim'.* friendly, serious"),
        ({"mood": ("sad", 1.5)}, "mood="),
        ({"mood": "sad,1,2"}, "mood="),
        ({"mood": ()}, "mood="),
        ({"mood": None}, "mood=None"),
        ({"neutral": 1.1}, "neutral=1.1.* 0 .* to 1"),
        ({"gaze": (0, float("nan"))}, "gaze="),
        ({"fps": 0}, "fps=0.* 1 to 120"),
        ({"fps": -25}, "fps=-25"),
        ({"fps": 0.99}, "fps=0.99"),
        ({"fps": 120.01}, "fps=120.01"),
        ({"fps": Fraction(121)}, "fps=Fraction"),
        ({"fps": float("nan")}, "fps=nan"),
        ({"fps": float("inf")}, "fps=inf"),
        ({"fps": "25"}, "fps='25'"),
        ({"fps": None}, "fps=None"),
        ({"fps": True}, "fps=True"),
        ({"pose": -0.1}, "pose=-0.1.* 0 .*2"),
        ({"blink": 2.1}, "blink=2.1"),
        ({"expression": float("nan")}, "expression=nan"),
        ({"expression": float("inf")}, "expression=inf"),
        ({"pose": "1"}, "pose='1'"),
        ({"pose": True}, "pose=True"),
        ({"pixels": "yuv"}, "pixels='yuv'.* nv12"),
        ({"pixels": None}, "pixels=None"),
        ({"background": (0, 0)}, "background=.*red, green and blue"),
        ({"background": (0, 0, 256)}, "background=256"),
        ({"background": (0, 0, 1.0)}, "background=1.0"),
        ({"marks": "stamp"}, "marks=.*stamp.* manifest, watermark, or none"),
        ({"marks": ""}, "marks="),
        ({"marks": [["manifest"]]}, "marks="),
        ({"marks": None}, "marks=None"),
        ({"payload": -1}, "payload=-1"),
        ({"payload": 2**48}, "payload=281474976710656"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ParlanteError, match=says):
        RenderOptions(**options)


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        ("none", ()),
        ((), ()),
        ("watermark", ("watermark",)),
        ("watermark,manifest", ("manifest", "watermark")),
        (["manifest"], ("manifest",)),
    ],
)
def test_marks(given: Any, marks: tuple[str, ...]) -> None:
    assert RenderOptions(marks=given).marks == marks


@pytest.mark.parametrize(
    "background", ["nowhere.png", b"no picture", [0, 177, 64], 7, np.zeros((200, 200), np.float32)]
)
def test_backgrounds_that_are_none(background: Any) -> None:
    with pytest.raises(ImageError):
        RenderOptions(background=background)


def test_values_at_the_ends_of_their_ranges_are_kept() -> None:
    for name, low, high in (
        ("steps", 1, 50),
        ("seed", 0, 2**64 - 1),
        ("size", 128, 1080),
        ("fps", 1, 120),
        ("pose", 0.0, 2.0),
        ("blink", 0.0, 2.0),
        ("expression", 0.0, 2.0),
    ):
        for value in (low, high):
            assert getattr(RenderOptions(**{name: value}), name) == value


def test_numbers_of_numpy_become_those_of_python() -> None:
    made = RenderOptions(
        steps=np.int64(4), size=np.int32(256), pose=np.float32(0.5), fps=np.float32(29.97)
    )
    assert (made.steps, made.size, made.pose, made.fps) == (4, 256, 0.5, NTSC)
    assert [type(v) for v in (made.steps, made.size, made.pose, made.fps)] == [
        *(int, int, float, Fraction)
    ]


def test_options_do_not_change() -> None:
    made = RenderOptions()
    with pytest.raises(FrozenInstanceError):
        made.seed = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (25, Fraction(25)),
        (25.0, Fraction(25)),
        (29.97, NTSC),
        (np.float32(29.97), NTSC),
        (29.97003, NTSC),
        (30_000 / 1001, NTSC),
        (23.976, Fraction(24_000, 1001)),
        (23.98, Fraction(24_000, 1001)),
        (59.94, Fraction(60_000, 1001)),
        (119.88, Fraction(120_000, 1001)),
        (30, Fraction(30)),
        (np.int64(50), Fraction(50)),
        (12.5, Fraction(25, 2)),
        (Fraction(15, 2), Fraction(15, 2)),
        (NTSC, NTSC),
        (1, Fraction(1)),
        (120, Fraction(120)),
    ],
)
def test_frame_rate(given: Any, exact: Fraction) -> None:
    assert frame_rate(given) == exact


# Backgrounds


def two_halves() -> NDArray[np.uint8]:
    """A tall picture, uint8 [300, 200, 3]: red at the left, blue at the right."""
    picture = np.zeros((300, 200, 3), np.uint8)
    picture[:, :100] = (250, 20, 20)
    picture[:, 100:] = (20, 20, 250)
    return picture


def test_a_picture_may_be_a_path_bytes_or_an_array(tmp_path: Path) -> None:
    file, buffer = tmp_path / "wall.png", io.BytesIO()
    Image.fromarray(two_halves()).save(file)
    Image.fromarray(two_halves()).save(buffer, "PNG")
    wanted = np.repeat(two_halves()[50:250:2, ::2], 2, 0).repeat(2, 1)  # its middle square
    for given in (file, str(file), buffer.getvalue(), two_halves(), Backdrop(two_halves())):
        backdrop = RenderOptions(background=given).backdrop
        assert isinstance(backdrop, Backdrop)
        np.testing.assert_array_equal(backdrop.filling(200, 200), wanted)


@pytest.mark.parametrize("shape", [(128, 128), (400, 400), (300, 720), (500, 40)])
def test_a_picture_of_another_size_keeps_its_halves(shape: tuple[int, int]) -> None:
    backdrop = Backdrop(two_halves()).filling(*shape)
    assert (backdrop.shape, backdrop.dtype) == ((*shape, 3), np.uint8)
    edge = shape[1] // 2 - 5  # where a cubic kernel sees both
    assert np.abs(backdrop[:, :edge].astype(int) - (250, 20, 20)).max() <= 1
    assert np.abs(backdrop[:, -edge:].astype(int) - (20, 20, 250)).max() <= 1


def test_colours() -> None:
    assert RenderOptions(background="green").backdrop == (0, 177, 64) == GREEN
    assert RenderOptions(background=(1, 2, 3)).backdrop == (1, 2, 3)
    assert RenderOptions(background="1, 2,3").backdrop == (1, 2, 3)
    assert RenderOptions(background="#0b1C2d").backdrop == (11, 28, 45)
    for text in ("purple", "10,20", "#12345", "nowhere.png"):
        with pytest.raises(ImageError, match=r"R,G,B.*rrggbb.*picture"):
            RenderOptions(background=text)
    with pytest.raises(ParlanteError, match="background=256"):
        RenderOptions(background="0,0,256")
    colour = RenderOptions(background=tuple(np.uint8([9, 8, 7]))).backdrop  # type: ignore[arg-type]
    assert colour == (9, 8, 7)


def test_backgrounds_are_behind_the_person() -> None:
    def corners(background: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        made = avatar().speak(
            demo_speech()[:640], sample_rate=16_000, size=128, steps=1, background=background
        )
        image = next(iter(made)).image
        return image[4, 4].astype(int), image[4, -5].astype(int)

    left, right = corners(two_halves())
    assert np.abs(left - (250, 20, 20)).max() < 12
    assert np.abs(right - (20, 20, 250)).max() < 12
    assert all(np.abs(corner - (0, 177, 64)).max() < 12 for corner in corners("green"))
    assert all(np.abs(corner - (200, 100, 0)).max() < 12 for corner in corners((200, 100, 0)))


# Ways to give them


def test_keywords_are_the_fields() -> None:
    hints = get_type_hints(RenderOptions)
    assert get_type_hints(RenderKeywords) == {name: hints[name] for name in NAMES}


def test_keywords_take_the_place_of_fields() -> None:
    base = RenderOptions(size=256, seed=4, background="green")
    assert RenderOptions.of(base) == base
    assert RenderOptions.of(base, seed=5) == replace(base, seed=5)
    assert RenderOptions.of(base, background=None).backdrop is None
    assert RenderOptions.of(seed=5) == RenderOptions(seed=5)
    assert base.seed == 4
    with pytest.raises(ParlanteError, match="size=7"):
        RenderOptions.of(base, size=7)


def test_unknown_keywords_are_named() -> None:
    with pytest.raises(ParlanteError, match="unknown option colour, sice; there are steps, seed"):
        RenderOptions.of(sice=256, colour=1)  # type: ignore[call-arg]
    with pytest.raises(ParlanteError, match="unknown option guidance"):
        avatar().speak(VOICE, guidance=2.0)  # type: ignore[call-arg]
    with pytest.raises(ParlanteError, match="unknown option guidance"):
        avatar().live(guidance=2.0)  # type: ignore[call-arg]


KEYWORDS: dict[str, Any] = {
    "steps": 4,
    "seed": 9,
    "size": 300,
    "fps": 29.97,
    "look_ahead": 80,
    "pose": 0.5,
    "blink": 0.0,
    "expression": 1.5,
    "pixels": "rgb",
    "background": (1, 2, 3),
}


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


ARGUMENTS = [
    word
    for name, value in KEYWORDS.items()
    for word in (flag(name), str(value).strip("()").replace(" ", ""))
]


class EnoughError(ParlanteError):
    """What is asked for is known."""


@pytest.fixture
def drawn_with(monkeypatch: pytest.MonkeyPatch) -> list[RenderOptions]:
    """The options that reach the renderer, which is not made."""
    seen: list[RenderOptions] = []

    def renderer(
        bundle: object, model: object, portrait: object, options: RenderOptions, *_: object
    ) -> None:
        seen.append(options)
        raise EnoughError

    monkeypatch.setattr(avatar_module, "FrameRenderer", renderer)
    return seen


@pytest.mark.parametrize(
    "ask",
    [
        lambda avatar: next(iter(avatar.speak(VOICE, **KEYWORDS))),
        lambda avatar: next(iter(avatar.speak(VOICE, options=RenderOptions(**KEYWORDS)))),
        lambda avatar: avatar.live(**KEYWORDS),
        lambda avatar: avatar.live(options=RenderOptions(size=300), **KEYWORDS),
    ],
)
def test_python(ask: Callable[[Avatar], object], drawn_with: list[RenderOptions]) -> None:
    with pytest.raises(EnoughError):
        ask(avatar())
    assert drawn_with == [RenderOptions(**KEYWORDS)]


@pytest.mark.parametrize("command", ["speak", "live"])
def test_command_line(
    command: str,
    drawn_with: list[RenderOptions],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = [str(PHOTO), str(VOICE)] if command == "speak" else [str(PHOTO)]
    assert cli.main([command, *files, "-o", str(tmp_path / "a.mp4"), *ARGUMENTS]) == 1
    assert drawn_with == [RenderOptions(**KEYWORDS)]


def test_command_line_of_serve_and_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    seen: list[RenderOptions] = []

    def serve(avatar: Avatar, *, options: RenderOptions, **_: object) -> None:
        seen.append(options)

    def measure(options: RenderOptions, *_: object) -> None:
        seen.append(options)
        raise EnoughError

    monkeypatch.setattr("parlante.app.serve.serve", serve)
    monkeypatch.setattr("parlante.app.bench.measure", measure)
    assert cli.main(["serve", str(PHOTO), *ARGUMENTS]) == 0
    assert cli.main(["bench", *ARGUMENTS]) == 1
    assert seen == [RenderOptions(**KEYWORDS)] * 2


@pytest.mark.parametrize("command", ["speak", "live", "serve", "bench"])
def test_every_command_has_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    shown = capsys.readouterr().out
    assert [name for name in KEYWORDS if f"{flag(name)} {name.upper()}" not in shown] == []
    assert "--device DEVICE" in shown and "--threads THREADS" in shown


@pytest.mark.parametrize(
    ("text", "backdrop"),
    [("green", GREEN), ("1,2,3", (1, 2, 3)), ("0, 0, 255", (0, 0, 255))],
)
def test_backgrounds_on_the_command_line(
    text: str, backdrop: object, drawn_with: list[RenderOptions], tmp_path: Path
) -> None:
    out = str(tmp_path / "a.mp4")
    assert cli.main(["speak", str(PHOTO), str(VOICE), "-o", out, "--background", text]) == 1
    assert [options.backdrop for options in drawn_with] == [backdrop]


def test_a_picture_on_the_command_line(
    drawn_with: list[RenderOptions], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["speak", str(PHOTO), str(VOICE), "-o", str(tmp_path / "a.mp4"), "--background"]
    assert cli.main([*arguments, str(PHOTO)]) == 1
    wanted, given = RenderOptions(background=PHOTO).backdrop, drawn_with[0].backdrop
    assert isinstance(wanted, Backdrop) and isinstance(given, Backdrop)
    np.testing.assert_array_equal(given.rgb, wanted.rgb)
    assert cli.main([*arguments, "0,0,300"]) == 1
    assert cli.main([*arguments, "1,2"]) == 1
    said = capsys.readouterr().err
    assert "background=300" in said and "background='1,2' is no file and no colour" in said
    assert len(drawn_with) == 1


def test_web_page() -> None:
    """Its JPEG encoder takes BGR; everything else is as it was asked for."""
    pytest.importorskip("aiohttp")
    from aiohttp.test_utils import TestClient, TestServer

    from parlante.app.serve import SOUND_RATE, application

    seen: list[RenderOptions] = []

    class Recorder:
        def live(self, *, options: RenderOptions, sound_rate: int) -> None:
            assert sound_rate == SOUND_RATE
            seen.append(options)
            raise EnoughError

    async def visit(**given: Any) -> None:
        server = TestServer(application(Recorder(), **given))  # type: ignore[arg-type]
        async with TestClient(server) as client, client.ws_connect("/live") as socket:
            await socket.receive()

    asyncio.run(visit(**KEYWORDS))
    asyncio.run(visit(options=RenderOptions(**KEYWORDS)))
    assert seen == [RenderOptions(**{**KEYWORDS, "pixels": "bgr"})] * 2
    with pytest.raises(ParlanteError, match="the page is made from rgb"):
        application(avatar(), pixels="nv12")


def test_moods_and_gaze_as_text() -> None:
    assert RenderOptions(mood="friendly,0.5").mood == ("friendly", 0.5)
    assert RenderOptions(mood="sad").mood == RenderOptions(mood=("sad", 1)).mood == ("sad", 1.0)
    assert RenderOptions(gaze="-5,3").gaze == (-5.0, 3.0)


def test_what_may_change_in_a_session() -> None:
    options = RenderOptions(size=256, seed=3)
    changed = options.changed(mood="sad", gaze=(3, 4), pose=0.5)
    assert (changed.mood, changed.gaze, changed.pose) == (("sad", 1.0), (3.0, 4.0), 0.5)
    assert (changed.size, changed.seed) == (256, 3)
    with pytest.raises(ParlanteError, match="seed, size cannot change"):
        options.changed(size=512, seed=1)
    with pytest.raises(ParlanteError, match="pose=3"):
        options.changed(pose=3)
