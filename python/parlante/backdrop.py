"""What is behind the person instead of the photo's own background."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parlante.checks import whole
from parlante.contract import Image
from parlante.errors import ImageError, ParlanteError, shown

Color = tuple[int, int, int]

GREEN: Color = (0, 177, 64)  # chroma-key green


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A picture to put behind the person: uint8 [H, W, 3] RGB of any size."""

    rgb: Image

    def filling(self, height: int, width: int) -> Image:
        """As much of its middle as has this shape, scaled to it: uint8 [height, width, 3]."""
        import cv2  # when it is needed: options are made before anything is drawn

        scale = max(height / self.rgb.shape[0], width / self.rgb.shape[1])
        shown = [max(1, round(length / scale)) for length in (height, width)]
        top, left = ((a - b) // 2 for a, b in zip(self.rgb.shape[:2], shown, strict=True))
        cut = self.rgb[top : top + shown[0], left : left + shown[1]]
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(cut, (width, height), interpolation=how), np.uint8)


def background_of(given: object) -> Color | Backdrop | None:
    """What is behind the person, as `RenderOptions.background` has it.

    Raises:
        ImageError: it is no colour and no picture.
        ParlanteError: a colour has other numbers than 0 to 255.
    """
    if given is None or isinstance(given, Backdrop):
        return given
    if isinstance(given, str) and (color := _named_color(given)) is not None:
        return color
    if isinstance(given, tuple):
        if len(given) != 3:
            raise ParlanteError(f"background={shown(given)}; a colour has red, green and blue")
        red, green, blue = (whole("background", v, 0, 255) for v in given)
        return red, green, blue
    from parlante.media.photo import load_image  # as above

    if isinstance(given, str) and not _is_there(given):
        raise ImageError(
            f"background={shown(given)} is no file and no colour; give 'green', 'R,G,B' with 0 to "
            "255 each, '#rrggbb', or a picture"
        )
    return Backdrop(load_image(given).rgb)  # type: ignore[arg-type]


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        return False


def _named_color(text: str) -> Color | None:
    """The colour that ``green``, ``R,G,B`` or ``#rrggbb`` stands for; None for any other text."""
    if text == "green":
        return GREEN
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    parts = text.split(",")
    if len(parts) == 3 and all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        red, green, blue = (whole("background", int(part), 0, 255) for part in parts)
        return red, green, blue
    return None
