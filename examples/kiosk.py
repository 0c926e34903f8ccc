"""A kiosk's face: it idles, speaks when told to, and stops at once when told to.

    python examples/kiosk.py face.jpg -o camera:

Commands come by standard input, one a line: the path of a sound file is spoken, ``stop`` drops what
is being said. The program ends with its input, after the last word. Frames go to a virtual camera
(``camera:``, which every program that takes a webcam can show) or to a video file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

from parlante import Avatar, Live, ParlanteError
from parlante.media.camera import CameraWriter
from parlante.media.writer import VideoWriter
from parlante.runtime.assets import demo
from parlante.speech.audio import decode_audio


def obey(live: Live, commands: Iterable[str]) -> None:
    """Do what each line says, then end the session's input."""
    for command in map(str.strip, commands):
        if command == "stop":
            live.interrupt()
        elif command:
            try:
                for chunk in decode_audio(command):
                    live.push_audio(chunk)
                live.flush()
            except ParlanteError as error:
                print(f"kiosk: {error}", file=sys.stderr)  # the face goes on
    live.close_input()


def show(live: Live, output: str, size: int) -> int:
    """Show the session's frames until it ends; returns how many there were."""
    with (
        CameraWriter(output.removeprefix("camera:") or None, width=size, height=size)
        if output.startswith("camera:")
        else VideoWriter(output, width=size, height=size)
    ) as screen:
        for frame in live:
            screen.write(frame.image, frame.audio)
    return live.status().frames


def main(argv: list[str] | None = None) -> int:
    """Run the kiosk."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path, help="of the face; the demo's if left out")
    parser.add_argument("-o", "--output", default="camera:", help="camera:, or a video file")
    parser.add_argument("--size", type=int, default=512, help="pixels, default 512")
    arguments = parser.parse_args(argv)
    with demo() as (photo, _):
        avatar = Avatar(arguments.photo or photo)
    with avatar.live(size=arguments.size) as live:
        Thread(target=obey, args=(live, sys.stdin), daemon=True).start()
        count = show(live, arguments.output, arguments.size)
    print(f"{count} frames shown")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParlanteError as error:
        sys.exit(f"kiosk: {error}")
