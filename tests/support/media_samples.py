"""Media files for the tests: a known signal in every container that people use."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray


def chirp(seconds: float, rate: int, *, top_hz: float = 1500.0) -> NDArray[np.float64]:
    """Sweep from 200 Hz to `top_hz`, peak 0.5: the same signal at any rate, never repeating."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * (200.0 * t + (top_hz - 200.0) / (2 * seconds) * t**2))


def write_audio(
    path: Path,
    mono: NDArray[Any],
    rate: int,
    *,
    codec: str,
    container: str,
    layout: str = "mono",
    options: dict[str, str] | None = None,
    video_fps: int | None = None,
) -> None:
    """Encode `mono` into every channel of `layout`; `video_fps` adds a grey video beside it."""
    channels = av.AudioLayout(layout).nb_channels
    if codec == "vorbis":  # FFmpeg's own encoder is experimental; libsndfile has the reference one
        soundfile.write(
            path, np.tile(mono[:, None], channels), rate, format="OGG", subtype="VORBIS"
        )
        return
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        picture = None
        if video_fps:
            picture = output.add_stream("libx264", rate=video_fps)
            assert isinstance(picture, av.VideoStream)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        block = 1000
        for start in range(0, len(mono), block):
            part = np.tile(mono[None, start : start + block].astype(np.float32), (channels, 1))
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if picture is not None and video_fps:
            for _ in range(len(mono) * video_fps // rate):
                grey = np.full((64, 64, 3), 128, np.uint8)
                output.mux(picture.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            output.mux(picture.encode(None))
