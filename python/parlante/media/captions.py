"""Captions as files: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from parlante.checks import open_file
from parlante.errors import OutputError, ParlanteError, reason
from parlante.media.codecs import STANDARD_OUTPUT
from parlante.media.files import write_whole
from parlante.media.folder import is_numbered

SUFFIXES: Final = (".srt", ".vtt")
LINE: Final = 42  # characters of a line
MOST_BYTES: Final = 4 * 2**20  # of a transcript


@dataclass(frozen=True)
class Caption:
    """A text and when it is said: seconds from the start of the sound."""

    begin: float
    end: float
    text: str


def captions_beside(video: Path) -> tuple[Path, ...]:
    """The files of captions that belong to a video's.

    Raises:
        ParlanteError: ``video`` is no file that others can lie beside.
    """
    if video == STANDARD_OUTPUT or is_numbered(video):
        raise ParlanteError(f"captions are written beside a video file; {video} is none")
    return tuple(video.with_suffix(end) for end in SUFFIXES)


def read_transcript(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        ParlanteError: it cannot be read, or is longer than 4 MiB.
    """
    try:
        with open_file(path) as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ParlanteError(
                f"{path} is longer than {MOST_BYTES} bytes; give the text of what is said alone"
            )
        return text.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ParlanteError(
            f"{path} cannot be read ({reason(error)}); give a text file, UTF-8"
        ) from error


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
