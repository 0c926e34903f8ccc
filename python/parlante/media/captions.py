"""Captions as files: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from parlante.errors import OutputError
from parlante.media.files import write_whole

SUFFIXES: Final = (".srt", ".vtt")
LINE: Final = 42  # characters of a line


@dataclass(frozen=True)
class Caption:
    """A text and when it is said: seconds from the start of the sound."""

    begin: float
    end: float
    text: str


def write_captions(path: Path, captions: Sequence[Caption]) -> None:
    """Write ``captions`` as the end of the name says, UTF-8, whole or not at all.

    Raises:
        OutputError: the name ends in neither .srt nor .vtt, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} ends in {path.suffix!r}; name captions .srt or .vtt")
    web = path.suffix.lower() == ".vtt"
    blocks = ["WEBVTT\n"] if web else []
    for number, caption in enumerate(captions, 1):
        times = " --> ".join(_time(t, "." if web else ",") for t in (caption.begin, caption.end))
        text = textwrap.fill(caption.text, LINE)
        blocks.append(f"{number}\n{times}\n{escape(text, quote=False) if web else text}\n")
    write_whole(path, "\n".join(blocks).encode("utf-8", "replace"))


def _time(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{point}{thousandths:03}"
