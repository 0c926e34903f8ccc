"""The adapters against the real frameworks, where these are installed."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.portrait_samples import avatar, demo_speech

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
