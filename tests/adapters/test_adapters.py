"""The adapters against the real frameworks, where these are installed."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.support.portrait_samples import avatar, demo_speech

SOUND = np.round(demo_speech()[:9600] * 32767).astype(np.int16)


def test_livekit() -> None:
    rtc = pytest.importorskip("livekit.rtc")
    agents = pytest.importorskip("livekit.agents.voice.avatar")
    from parlante.adapters.livekit import LiveKitAvatar

    async def run() -> list[Any]:
        with avatar().live(size=128, steps=1) as live:
            generator = LiveKitAvatar(live)
            assert isinstance(generator, agents.VideoGenerator)
            stereo = np.repeat(SOUND[:, None], 2, 1)
            await generator.push_audio(rtc.AudioFrame(stereo.tobytes(), 16_000, 2, len(SOUND)))
            await generator.push_audio(agents.AudioSegmentEnd())
            got: list[Any] = []
            async for frame in generator:
                got.append(frame)
                if isinstance(frame, agents.AudioSegmentEnd):
                    generator.clear_buffer()
                    return got
            return got

    got = asyncio.run(asyncio.wait_for(run(), 30))
    pictures = [f for f in got if isinstance(f, rtc.VideoFrame)]
    sound = [f for f in got if isinstance(f, rtc.AudioFrame)]
    assert isinstance(got[-1], agents.AudioSegmentEnd)
    assert (pictures[0].width, pictures[0].height) == (128, 128)
    assert 15 <= len(sound) < len(pictures)  # idle pictures have no sound
    heard = np.concatenate([np.frombuffer(f.data, np.int16) for f in sound])
    assert np.array_equal(heard[: len(SOUND)], SOUND)


def test_pipecat() -> None:
    f = pytest.importorskip("pipecat.frames.frames")
    utils = pytest.importorskip("pipecat.tests.utils")
    from parlante.adapters.pipecat import PipecatAvatar

    async def run() -> list[Any]:
        with avatar().live(size=128, steps=1) as live:
            spoken = f.TTSAudioRawFrame(SOUND.tobytes(), 16_000, 1)
            frames = [spoken, f.TTSStoppedFrame(), utils.SleepFrame(sleep=1.5)]
            down, _ = await utils.run_test(PipecatAvatar(live), frames_to_send=frames)
            return list(down)

    got = asyncio.run(asyncio.wait_for(run(), 30))
    pictures = [x for x in got if isinstance(x, f.OutputImageRawFrame)]
    sound = [x for x in got if isinstance(x, f.OutputAudioRawFrame)]
    assert len(pictures) > len(sound) >= 15 and pictures[0].size == (128, 128)
    heard = np.concatenate([np.frombuffer(x.audio, np.int16) for x in sound])
    assert np.array_equal(heard[: len(SOUND)], SOUND)


def test_webrtc() -> None:
    """Picture and sound arrive at the other end of a real connection."""
    aiortc = pytest.importorskip("aiortc")
    from parlante.adapters.webrtc import tracks

    async def run() -> tuple[list[Any], list[Any]]:
        here, there = aiortc.RTCPeerConnection(), aiortc.RTCPeerConnection()
        seen: dict[str, list[Any]] = {"video": [], "audio": []}
        tasks = []

        async def fetch(track: Any) -> None:
            while sum(map(len, seen.values())) < 400:
                try:
                    seen[track.kind].append(await track.recv())
                except aiortc.MediaStreamError:
                    return

        there.on("track", lambda track: tasks.append(asyncio.ensure_future(fetch(track))))
        with avatar().live(size=128, steps=1) as live:
            for track in tracks(live):
                here.addTrack(track)
            await here.setLocalDescription(await here.createOffer())
            await there.setRemoteDescription(here.localDescription)
            await there.setLocalDescription(await there.createAnswer())
            await here.setRemoteDescription(there.localDescription)
            live.push_audio(SOUND, 16_000)
            live.flush()
            await asyncio.sleep(3)
        await asyncio.sleep(0.2)
        await here.close()
        await there.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        return seen["video"], seen["audio"]

    video, audio = asyncio.run(asyncio.wait_for(run(), 30))
    assert len(video) > 20
    assert (video[0].width, video[0].height) == (128, 128)
    changes = [np.abs(a.to_ndarray() - 1.0 * b.to_ndarray()).mean() for a, b in pairwise(video)]
    assert max(changes) > 0.2
    heard = np.concatenate([f.to_ndarray().ravel() for f in audio]).astype(np.float64)
    assert len(heard) > 48_000
    assert np.abs(heard).max() > 0.3 * np.abs(SOUND).max()


def test_webrtc_track_ends_with_the_session() -> None:
    aiortc = pytest.importorskip("aiortc")
    from parlante.adapters.webrtc import QUEUE, tracks

    async def run() -> int:
        with avatar().live(size=128, steps=1, realtime=False) as live:
            live.push_audio(SOUND, 16_000)
            live.close_input()
            video, audio = tracks(live)
            await video.feeder  # nobody fetches: the queues stay short
            count = 0
            with pytest.raises(aiortc.MediaStreamError):
                while True:
                    frame = await audio.recv()
                    count += 1
                    assert frame.samples == 640
                    assert frame.pts % 640 == 0
            assert audio.readyState == "ended"
            return count

    assert asyncio.run(asyncio.wait_for(run(), 30)) == QUEUE - 1
