"""A news rig: one recorded text in, a green-screen video or a stream out.

    python examples/news_rig.py anchor.jpg text.wav -o out.mp4
    python examples/news_rig.py anchor.jpg text.wav -o udp://192.0.2.7:1234

A file is drawn as fast as the machine can. A stream (rtmp://, rtmps://, udp://, tcp://) runs at the
pace of a clock and ends with the text.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from threading import Thread

from parlante import Avatar, Live, ParlanteError, RenderOptions
from parlante.media.sound import SoundFile
from parlante.media.stream import StreamWriter
from parlante.runtime.assets import demo
from parlante.speech.audio import unscaled

SOUND_RATE = 48_000  # Hz, of the stream
READ_AHEAD_S = 5.0  # of sound that waits in the session, which takes two minutes at most


def feed(live: Live, sound: Path) -> None:
    """Push a sound file of any length, not much faster than it is spoken."""
    try:
        for rate, samples in SoundFile(sound).blocks():
            live.push_audio(unscaled(samples), rate)
            while live.status().queued_s > READ_AHEAD_S:
                time.sleep(0.1)
    finally:
        live.close_input()


def stream(avatar: Avatar, sound: Path, url: str, options: RenderOptions) -> int:
    """Send the text to ``url``; returns how many frames that took."""
    size, fps = options.size, options.rate
    with (
        StreamWriter(url, width=size, height=size, fps=fps, sample_rate=SOUND_RATE) as out,
        avatar.live(options=options, sound_rate=SOUND_RATE) as live,
    ):
        Thread(target=feed, args=(live, sound), daemon=True).start()
        for frame in live:
            out.write(frame.image, frame.audio)
        return live.status().frames


def main(argv: list[str] | None = None) -> int:
    """Make the video, or send the stream."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path, help="of the anchor; the demo's if left out")
    parser.add_argument("sound", nargs="?", type=Path, help="the text; the demo's if left out")
    parser.add_argument("-o", "--output", default="news.mp4", help=".mp4, .mov, .mkv, or a URL")
    parser.add_argument("--background", default="green", help="green, or a picture file")
    parser.add_argument("--size", type=int, default=720, help="pixels, default 720")
    parser.add_argument("--fps", type=float, default=25, help="frames a second, default 25")
    arguments = parser.parse_args(argv)
    options = RenderOptions(size=arguments.size, fps=arguments.fps, background=arguments.background)
    with demo() as (photo, voice):
        avatar = Avatar(arguments.photo or photo)
        sound = arguments.sound or voice
        if "://" in arguments.output:
            count = stream(avatar, sound, arguments.output, options)
        else:
            speech = avatar.speak(sound, options=options)
            speech.save(arguments.output)
            count = speech.times.frames
    print(f"{count} frames in {arguments.output}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParlanteError as error:
        sys.exit(f"news_rig: {error}")
