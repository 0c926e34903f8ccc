"""Live sessions: ``python -m benchmarks.live``, or ``--hours 24`` of simulated time.

In real time, for ``--seconds``: speech and pauses through the demo portrait; how late frames were
begun, how long speech takes from the microphone to its first frame, and from `interrupt` to the
first frame with a shut mouth; and memory. In simulated time pictures are not drawn, everything else
runs: samples out against frames out, and memory after the first hour and at the end.
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from parlante import Avatar
from parlante.audio import decode_audio
from parlante.bench import _rss_mb
from parlante.bundle import Bundle
from parlante.engine import SAMPLE_RATE, Engine
from parlante.live import Live
from parlante.motion import Motion, MotionStream

FPS = 25


class _Simulated:
    """A clock that stands still while nobody sleeps."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class _Lips:
    """A renderer that draws nothing: its picture is the lip code."""

    def render(self, motion: Motion) -> Any:
        return np.frombuffer(motion.lip.tobytes(), np.uint8)


def realtime(avatar: Avatar, voice: Any, seconds: float, size: int) -> dict[str, float]:
    """Figures of one session of ``seconds`` at ``size``², K = 2."""
    late, heard, shut, spoke_at, stopped_at = [], [], [], 0.0, 0.0
    with avatar.live(size=size, pose=0, blink=0) as live:
        began = time.perf_counter()
        rest = None
        for number, frame in enumerate(live):
            now = time.perf_counter()
            if now - began > seconds:
                break
            if number == 1:
                rest = frame.image
            late.append(live.status().late_s)
            if spoke_at and frame.audio.any():
                heard.append(now - spoke_at)
                spoke_at = 0.0
            if stopped_at and np.abs(frame.image.astype(int) - rest).mean() < 0.5:
                shut.append(now - stopped_at)
                stopped_at = 0.0
            if number % 100 == 20:
                live.push_audio(voice)
                spoke_at = time.perf_counter()
            elif number % 100 == 70:
                live.interrupt()
                stopped_at = time.perf_counter()
        status = live.status()
        alone = _rss_mb()
        with avatar.live(size=size) as second:
            for _ in range(FPS):
                next(second)
            together = _rss_mb()
    return {
        "frames": status.frames,
        "repeated": status.repeated,
        "late p50, ms": 1e3 * float(np.median(late)),
        "late p99, ms": 1e3 * float(np.percentile(late, 99)),
        "speech to its first frame, median ms": 1e3 * float(np.median(heard)),
        "speech to its first frame, most ms": 1e3 * max(heard),
        "interrupt to a shut mouth, median ms": 1e3 * float(np.median(shut)),
        "interrupt to a shut mouth, most ms": 1e3 * max(shut),
        "RSS of one session, MB": alone,
        "RSS that a second one adds, MB": together - alone,
    }


def simulated(voice: Any, hours: float) -> dict[str, float]:
    """Figures of ``hours`` of speech, silence and interrupts."""
    engine = Engine(MotionStream(Bundle.default()), _Lips())  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    samples = drift = 0
    first_hour = 0.0
    with Live(engine, Fraction(FPS), clock=_Simulated()) as live:
        total = round(hours * 3600 * FPS)
        for number in tqdm(range(total), unit="frame"):
            frame = next(live)
            drift = max(drift, abs(frame.pts - samples))
            samples += len(frame.audio)
            chance = random.random()
            if chance < 0.002 and live.status().queued_s < 60:
                live.push_audio(voice[: random.integers(1, len(voice))])
                live.flush()
            elif chance < 0.003:
                live.interrupt()
            if number == min(3600 * FPS, total // 2):
                first_hour = _rss_mb()
    return {
        "hours": hours,
        "drift, samples": drift + abs(samples - total * SAMPLE_RATE // FPS),
        "RSS after the first hour (or half), MB": first_hour,
        "RSS at the end, MB": _rss_mb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--hours", type=float, help="of simulated time, instead")
    parsed = parser.parse_args()
    with as_file(files("parlante") / "demo") as demo:
        voice = np.concatenate(list(decode_audio(Path(demo) / "speech.flac")))
        if parsed.hours is not None:
            result = simulated(voice, parsed.hours)
        else:
            avatar = Avatar(Path(demo) / "portrait.jpg", cache=False)
            result = realtime(avatar, voice, parsed.seconds, parsed.size)
    for name, value in result.items():
        print(f"{name:<40} {value:10.1f}")


if __name__ == "__main__":
    main()
