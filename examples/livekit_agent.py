"""The face of a LiveKit agent.

    python examples/livekit_agent.py                                # a stand-in room, no server
    python examples/livekit_agent.py --url wss://… --token …        # joins that room

Needs livekit-agents (``pip install "parlante[adapters]"``). The agent here has no models: it says
one sound file, and tells how much of it was heard. To an agent of yours, in its job, add the two
lines that make a face and start it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

try:
    from livekit import rtc
    from livekit.agents import Agent, AgentSession

    from parlante.adapters.livekit import AvatarSession
except ImportError:
    raise SystemExit('this needs livekit-agents: pip install "parlante[adapters]"') from None

from parlante import Avatar, ParlanteError
from parlante.contract import SAMPLE_RATE
from parlante.runtime.assets import demo
from parlante.speech.audio import decode_audio


class Publication:
    """A track in a stand-in room."""

    def __init__(self, sid: str, track: Any) -> None:
        self.sid, self.track, self.name, self.kind = sid, track, track.name, track.kind

    async def wait_for_subscription(self) -> None:
        """Everybody is there already."""


class StandIn(rtc.EventEmitter):
    """A room without a server, for trying things out, and the participant in it.

    It takes tracks, and shows them nobody.
    """

    def __init__(self) -> None:
        super().__init__()
        self.local_participant, self.identity = self, "agent"
        self.remote_participants: dict[str, Any] = {}
        self.track_publications: dict[str, Publication] = {}
        self.published: list[str] = []  # names of tracks, also of those that are gone

    def isconnected(self) -> bool:
        return True

    async def publish_track(self, track: Any, _: Any) -> Publication:
        self.published.append(track.name)
        made = Publication(f"TR_{len(self.published)}", track)
        self.track_publications[made.sid] = made
        self.emit("local_track_published", made, track)
        return made

    async def unpublish_track(self, sid: str) -> None:
        del self.track_publications[sid]


async def spoken(sound: Path) -> AsyncIterator[rtc.AudioFrame]:
    """What an agent's text-to-speech gives: the sound in pieces."""
    for chunk in decode_audio(sound):
        pcm = np.round(chunk * 32767).astype(np.int16)
        yield rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, len(pcm))


async def run(avatar: Avatar, sound: Path, room: Any, size: int) -> float:
    """Put an agent with a face into the room and let it speak; returns the seconds heard."""
    interruption = {"resume_false_interruption": False}  # a face is not paused, but interrupted
    session = AgentSession(
        vad=None, turn_handling={"turn_detection": None, "interruption": interruption}
    )
    face = AvatarSession(avatar, size=size)
    await face.start(session, room=room)
    heard: list[float] = []
    assert session.output.audio is not None
    session.output.audio.on(
        "playback_finished", lambda event: heard.append(event.playback_position)
    )
    agent = Agent(instructions="")
    if isinstance(room, StandIn):
        await session.start(agent)  # listens to nobody
    else:
        await session.start(agent, room=room)
    await session.say("(what the sound says)", audio=spoken(sound))
    await session.aclose()
    await face.aclose()
    return sum(heard)


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
            print(f"published {' and '.join(room.published)}")
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
