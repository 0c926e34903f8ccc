"""SMPTE timecode (ST 12-1) of the first frame of a file."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

from parlante.errors import OutputError

CONTAINERS: Final = ("mp4", "mov")  # that have a track for it
# Frames a second that are counted as 30 and 60, and how many numbers a minute leaves out.
_DROPPED: Final = {Fraction(30_000, 1001): 2, Fraction(60_000, 1001): 4}


def check_timecode(text: str | None, fps: Fraction | int, container: str) -> None:
    """OutputError unless ``text`` is None, HH:MM:SS:FF, or HH:MM:SS;FF where numbers are dropped.

    And unless there is such a frame at ``fps`` frames a second, and a place in the container, by
    FFmpeg's name.
    """
    if text is None:
        return
    if container not in CONTAINERS:
        raise OutputError(f"{container} has no place for timecode; name a .mp4 or .mov")
    pattern = r"(\d\d):(\d\d):(\d\d)([:;])(\d\d)"
    found = re.fullmatch(pattern, text, re.ASCII) if isinstance(text, str) else None
    if found is None:
        raise OutputError(f"timecode is {text!r}; give HH:MM:SS:FF, such as 10:00:00:00")
    hours, minutes, seconds, frame = (int(found[k]) for k in (1, 2, 3, 5))
    a_second = math.ceil(fps)
    if hours > 23 or minutes > 59 or seconds > 59 or frame >= a_second:
        raise OutputError(
            f"timecode is {text!r}; of a day at {fps} frames a second it goes from 00:00:00:00 to "
            f"23:59:59:{a_second - 1:02}"
        )
    if found[4] == ":":
        return
    dropped = _DROPPED.get(Fraction(fps))
    if dropped is None:
        raise OutputError(
            f"timecode is {text!r}; numbers are dropped at 29.97 and 59.94 frames a second only, "
            "write : before the frame"
        )
    if seconds == 0 and minutes % 10 and frame < dropped:
        raise OutputError(f"timecode is {text!r}, a number that is dropped; take frame {dropped}")
