"""The face of a LiveKit agent.

    python examples/livekit_agent.py                                # a stand-in room, no server
    python examples/livekit_agent.py --url wss://… --token …        # joins that room

Needs livekit-agents (``pip install "parlante[adapters]"``). The face says one sound file, and the
agent is told when it has been heard. Where there is a real agent, leave `say` out and give its
session the same queue: ``agent_session.output.audio = voice``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np

try:
    from livekit import rtc
    from livekit.agents.voice.avatar import AvatarOptions, AvatarRunner, QueueAudioOutput

    from parlante.adapters.livekit import LiveKitAvatar
except ImportError:
    raise SystemExit('this needs livekit-agents: pip install "parlante[adapters]"') from None

from parlante import Avatar, ParlanteError
from parlante.contract import SAMPLE_RATE
from parlante.runtime.assets import demo
from parlante.speech.audio import decode_audio


class StandIn:
    """A room without a server, for trying things out: it takes the tracks and shows them nobody."""

    def __init__(self) -> None:
        self.local_participant = self
        self.tracks: list[str] = []

    def isconnected(self) -> bool:
        return True

    def on(self, *_: Any) -> None:
        """Nothing ever happens here."""

    off = on

    async def publish_track(self, track: rtc.Track, _: Any) -> StandIn:
        self.tracks.append(track.name)
        return self

    async def wait_for_subscription(self) -> None:
        """Everybody is there already."""


async def say(voice: QueueAudioOutput, sound: Path) -> float:
    """What an agent's text-to-speech does; returns the seconds that were heard."""
    for chunk in decode_audio(sound):
        pcm = np.round(chunk * 32767).astype(np.int16)
        await voice.capture_frame(rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, len(pcm)))
    voice.flush()
    return (await voice.wait_for_playout()).playback_position


async def run(avatar: Avatar, sound: Path, room: Any, size: int) -> float:
    """Put the face into the room and let it speak; returns the seconds that were heard."""
    voice = QueueAudioOutput(sample_rate=SAMPLE_RATE)
    options = AvatarOptions(
        video_width=size,
        video_height=size,
        video_fps=25,
        audio_sample_rate=SAMPLE_RATE,
        audio_channels=1,
    )
    with avatar.live(size=size) as live:
        runner = AvatarRunner(
            room, audio_recv=voice, video_gen=LiveKitAvatar(live), options=options
        )
        await runner.start()
        try:
            return await say(voice, sound)
        finally:
            live.close()
            await runner.aclose()


async def main(argv: list[str] | None = None) -> int:
    """Join a room, or the stand-in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path, help="of the face; the demo's if left out")
    parser.add_argument("sound", nargs="?", type=Path, help="what it says; the demo's if left out")
    parser.add_argument("--url", help="of a LiveKit server; without, no server is needed")
    parser.add_argument("--token", default="", help="that lets the face into a room")
    parser.add_argument("--size", type=int, default=512, help="pixels, default 512")
    arguments = parser.parse_args(argv)
    with demo() as (photo, speech):
        avatar = Avatar(arguments.photo or photo)
        sound = arguments.sound or speech
        if arguments.url is None:
            room: Any = StandIn()
            heard = await run(avatar, sound, room, arguments.size)
            print(f"published {' and '.join(room.tracks)}")
        else:
            room = rtc.Room()
            await room.connect(arguments.url, arguments.token)
            try:
                heard = await run(avatar, sound, room, arguments.size)
            finally:
                await room.disconnect()
    print(f"{heard:.1f} s were heard")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except ParlanteError as error:
        sys.exit(f"livekit_agent: {error}")
