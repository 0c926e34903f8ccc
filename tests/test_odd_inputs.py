"""Odd arguments end in the SDK's own errors, before they do anything."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlante import Avatar, RenderOptions
from parlante.errors import AudioError, BundleError, ImageError, OutputError, ParlanteError
from parlante.media.encoder import Format, check_picture
from parlante.media.files import PartialFile
from parlante.media.writer import VideoWriter
from parlante.runtime.bundle import Bundle
from parlante.session.engine import Engine
from parlante.session.live import Live
from parlante.speech.audio import check_samples
from parlante.speech.motion import MotionStream

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


def test_a_writer_refuses_what_is_no_array(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "v.mp4", width=64, height=64) as writer:
        for image, audio in ((None, None), (picture, None), (picture, [0])):
            with pytest.raises(OutputError):
                writer.write(image, audio)  # type: ignore[arg-type]
        writer.write(picture, np.zeros(640, np.int16))
    assert (tmp_path / "v.mp4").stat().st_size > 0
