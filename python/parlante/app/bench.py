"""`parlante bench`: what this machine does, with everything that `speak` does included.

The demo portrait, or another photo, speaks the demo voice: once by `speak`, which draws as many
frames at once as there are threads; and once frame by frame with all threads, as a live session
does, for how long a frame takes. Decoding and resampling the sound, motion, warp, networks and
composition count; encoding the video file is a line of its own.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from parlante.avatar import Avatar
from parlante.contract import SAMPLE_RATE, SAMPLES_PER_FRAME, Float
from parlante.media.photo import load_image
from parlante.media.writer import VideoWriter
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.runtime.assets import demo
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.runtime.machine import rss_mb
from parlante.speech.audio import decode_audio

ENCODED = 50  # frames whose encoding into a file is timed
WARM_UP = 10  # frames not counted: ONNX Runtime plans its memory in the first ones


def measure(
    options: RenderOptions | None = None,
    compute: Compute | None = None,
    bundle: Bundle | None = None,
    photo: Path | None = None,
) -> dict[str, Any]:
    """Figures of one run over the demo, or its voice and a ``photo``; at 256² without options.

    fps of `speak`; p50_ms, p95_ms, p99_ms of a frame drawn alone, first_frame_ms (compute after the
    look-ahead is in), rss_mb after all of these, real_time_factor (time over duration of speech, of
    `speak`; below 1 is faster than real time), stages (ms of a frame drawn alone), encode_photo_ms,
    and the machine.
    """
    options, compute = options or RenderOptions(size=256), compute or Compute()
    with demo() as (face, voice):
        photo = photo or face
        began = time.perf_counter()
        avatar = Avatar(
            photo,
            device=compute.device,
            precision=compute.precision,
            threads=compute.threads,
            cache=False,
            bundle=bundle,
        )
        loaded = time.perf_counter()
        encoder = PortraitEncoder(avatar.bundle, device=compute.device, threads=compute.threads)
        encoder.encode([load_image(photo)])
        del encoder
        encode_ms = (time.perf_counter() - loaded) * 1e3
        samples = np.concatenate(list(decode_audio(voice)))
        each = _spoken(avatar, voice, options)
        milliseconds, stages = _alone(avatar, samples, options)
    first_frame_ms, memory = _first_frame_ms(avatar, samples, options), rss_mb()
    width, height = avatar.portrait.frame_size(options.frame, options.size)
    if options.pixels == "rgb":
        stages["video_encoder"] = _video_encoder_ms(avatar, samples, options)
    return {
        "fps": round(1e3 / each, 2),
        **{f"p{p}_ms": round(float(np.percentile(milliseconds, p)), 2) for p in (50, 95, 99)},
        "first_frame_ms": round(first_frame_ms, 2),
        "rss_mb": round(memory, 1),
        "real_time_factor": round(each * float(options.rate) / 1e3, 4),
        "stages": stages,
        "encode_photo_ms": round(encode_ms, 1),
        "load_ms": round((loaded - began) * 1e3 - encode_ms, 1),
        "frames": WARM_UP + len(milliseconds),
        "size": options.size,
        "picture": [width, height],
        "steps": options.steps,
        "device": compute.device,
        "precision": compute.precision,
        "threads": compute.threads,
        "machine": ", ".join((platform.machine(), f"{os.cpu_count()} CPUs", platform.system())),
    }


def _spoken(avatar: Avatar, voice: Path, options: RenderOptions) -> float:
    """Mean time from one frame of the demo to the next after the warm-up, ms."""
    stamps = [time.perf_counter() for _ in avatar.speak(voice, options=options)]
    return (stamps[-1] - stamps[WARM_UP]) / (len(stamps) - 1 - WARM_UP) * 1e3


def _alone(
    avatar: Avatar, samples: Float, options: RenderOptions
) -> tuple[Float, dict[str, float]]:
    """What each frame took that was drawn alone, after the warm-up, and its stages; ms."""
    speech = avatar.speak(samples, sample_rate=SAMPLE_RATE, options=options)
    engine = speech.engine()
    stamps = [time.perf_counter()]
    for start in range(0, len(samples), SAMPLES_PER_FRAME):
        for _ in engine.push(samples[start : start + SAMPLES_PER_FRAME]):
            stamps.append(time.perf_counter())
    for _ in engine.flush():
        stamps.append(time.perf_counter())
    drawn = speech.times.frames
    stages = {k: round(v / drawn * 1e3, 3) for k, v in speech.times.seconds.items()}
    whole = (stamps[-1] - stamps[0]) / drawn * 1e3
    stages["audio_and_motion"] = round(whole - sum(stages.values()), 3)
    return np.asarray(np.diff(stamps)[WARM_UP:] * 1e3, np.float32), stages


def table(result: dict[str, Any]) -> str:
    """The figures of `measure` as text."""
    r = result
    lines = [
        f"{'x'.join(map(str, r['picture']))}, K = {r['steps']}, {r['device']}, {r['precision']}, "
        f"{r['threads']} threads; {r['machine']}",
        f"  {r['fps']:.1f} fps   real-time factor {r['real_time_factor']:.3f}",
        f"  ms of a frame drawn alone: p50 {r['p50_ms']:.1f}   p95 {r['p95_ms']:.1f}   "
        f"p99 {r['p99_ms']:.1f}",
        f"  first frame {r['first_frame_ms']:.0f} ms after its look-ahead",
        f"  photo encoded in {r['encode_photo_ms']:.0f} ms, RSS {r['rss_mb']:.0f} MB",
        "  stage               ms a frame     fps",
    ]
    for stage, ms in r["stages"].items():
        lines.append(f"  {stage:<18} {ms:>11.2f} {1e3 / max(ms, 1e-6):>7.0f}")
    return "\n".join(lines)


def _first_frame_ms(avatar: Avatar, samples: Float, options: RenderOptions) -> float:
    """Median over five sessions: from the last sample the first frame needs to its picture."""
    needed = samples[: (options.ahead + 1) * SAMPLES_PER_FRAME]
    times = []
    for _ in range(5):
        engine = avatar.speak(needed, sample_rate=SAMPLE_RATE, options=options).engine()
        began = time.perf_counter()
        next(engine.push(needed))
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


def _video_encoder_ms(avatar: Avatar, samples: Float, options: RenderOptions) -> float:
    speech = avatar.speak(samples, sample_rate=SAMPLE_RATE, options=options)
    frames, (width, height) = list(islice(speech, ENCODED)), speech.size
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        path = Path(folder) / "bench.mp4"
        with VideoWriter(path, width=width, height=height, fps=options.rate) as writer:
            for frame in frames:
                writer.write(frame.image, frame.audio)
        return round((time.perf_counter() - began) / len(frames) * 1e3, 3)
