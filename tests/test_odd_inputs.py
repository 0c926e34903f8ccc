"""Odd arguments end in the SDK's own errors, before they do anything."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlante import Avatar, RenderOptions
from parlante.app import cli
from parlante.errors import AudioError, BundleError, ImageError, OutputError, ParlanteError
from parlante.media.encoder import Format, check_picture
from parlante.media.files import PartialFile, keep_inputs
from parlante.media.folder import FolderWriter
from parlante.media.writer import VideoWriter
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine
from parlante.session.live import Live
from parlante.speech.audio import check_samples
from parlante.speech.motion import MotionStream
from tests.support.portrait_samples import PHOTO, VOICE, avatar, blank, demo_speech

TOO_FINE = Fraction(10**20 + 1, 10**19)
ANY: Any = None
NO_BUNDLE: Any = "networks"


def session(**options: Any) -> Live:
    return Live(Engine(MotionStream(Bundle.default()), ANY), **options)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda: Avatar("a\0.jpg", cache=False), ImageError),
        (lambda: Avatar("a\0.npz"), ImageError),
        (lambda: Avatar("a\0.mp4", cache=False), ImageError),
        (lambda: Avatar("x" * 5000 + ".npz"), ImageError),
        (lambda: Avatar(np.zeros((200, 200, 3), np.uint8), bundle=NO_BUNDLE), BundleError),
        (lambda: RenderOptions(background="a\0"), ImageError),
        (lambda: RenderOptions(fps=TOO_FINE), ParlanteError),
        (lambda: Format(width=64, height=64, fps=TOO_FINE), OutputError),
        (lambda: PartialFile(Path("x" * 300 + ".mp4")), OutputError),
        (lambda: PartialFile(Path("a\0.mp4")), OutputError),
        (lambda: VideoWriter("x" * 300 + ".mp4", width=64, height=64), OutputError),
        (lambda: FolderWriter("x" * 300 + "/%06d.png", width=64, height=64), OutputError),
        (lambda: keep_inputs(Path("x" * 300 + ".mp4"), []), OutputError),
        (lambda: keep_inputs(Path("a\0.mp4"), []), OutputError),
        (lambda: session().push_audio(ANY), AudioError),
        (lambda: session().push_audio([0.1, 0.2]), AudioError),  # type: ignore[arg-type]
        (lambda: session().push_audio(b"\0\0"), AudioError),  # type: ignore[arg-type]
        (lambda: session(on_frame=5), ParlanteError),
        (lambda: check_samples("speech"), AudioError),  # type: ignore[arg-type]
        (lambda: check_picture([[0]], (1, 1, 3)), OutputError),  # type: ignore[arg-type]
    ],
)
def test_odd(act: Callable[[], object], error: type[ParlanteError], tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        act()
    assert str(caught.value)


def test_names_that_no_file_can_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too long, or through a link that leads to itself."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    face = tmp_path / "face.npz"
    blank().save(face)
    speech = avatar().speak(demo_speech()[:8000], sample_rate=16_000, size=128)
    for name in ("loop/x", "x" * 300):
        with pytest.raises(OutputError, match="cannot be a file"):
            speech.save(tmp_path / f"{name}.mp4")
        with pytest.raises(OutputError, match="cannot be a file"):
            avatar().save(tmp_path / f"{name}.npz")
        for command in (
            ["speak", str(face), str(VOICE), "-o", str(tmp_path / f"{name}.mp4")],
            ["encode", str(PHOTO), "-o", str(tmp_path / f"{name}.npz")],
        ):
            assert cli.main(command) == 1
            assert "OutputError" in (said := capsys.readouterr().err), said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.npz", "loop"]


def test_a_writer_refuses_what_is_no_array(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "v.mp4", width=64, height=64) as writer:
        for image, audio in ((None, None), (picture, None), (picture, [0])):
            with pytest.raises(OutputError):
                writer.write(image, audio)  # type: ignore[arg-type]
        writer.write(picture, np.zeros(640, np.int16))
    assert (tmp_path / "v.mp4").stat().st_size > 0
