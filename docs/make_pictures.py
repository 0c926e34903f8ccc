"""Draw the strip of frames that the README shows: ``python docs/make_pictures.py``.

The demo's default settings and seed, so anybody gets the same frames.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from parlante import Avatar
from parlante.runtime.assets import demo

SHOWN = (12, 22, 31, 70, 90)  # frames with shut and open mouth, a blink, a turned head
SIDE = 256  # pixels
JPEG_QUALITY = 88


def strip(side: int = SIDE) -> Image.Image:
    """The frames `SHOWN` of the demo, side by side."""
    with demo() as (photo, voice):
        speech = Avatar(photo, cache=False).speak(voice, size=side)
        drawn = islice(speech, max(SHOWN) + 1)
        shown = [frame.image for number, frame in enumerate(drawn) if number in SHOWN]
    return Image.fromarray(np.hstack(shown))


def main(argv: list[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description="Draw the pictures of README and docs.")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "assets" / "demo.jpg"
    )
    parser.add_argument("--side", type=int, default=SIDE, help=f"pixels, default {SIDE}")
    arguments = parser.parse_args(argv)
    strip(arguments.side).save(arguments.output, quality=JPEG_QUALITY)


if __name__ == "__main__":
    main()
