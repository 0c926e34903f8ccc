"""Video in: the upright frames of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.container
import numpy as np
from av.video.reformatter import Colorspace

from parlante.contract import Image
from parlante.errors import ImageError, reason
from parlante.media.container import Unchanged, open_media
from parlante.media.photo import check_size

_HD_LINES: Final = 720
_MOST_PIXELS: Final = 1920 * 1080  # of a frame; larger ones are scaled down, for many are held
# A clip may end this much before the length in its header, which is rounded.
_MISSING_TOLERANCE_S: Final = 0.1


def read_video(path: str | Path, *, fps: Fraction | None = None) -> Iterator[Image]:
    """Frames of the best video stream of a file, upright and with square pixels, lazily.

    Those of more pixels than 1920 × 1080 are scaled down to that many. With ``fps`` they are
    repeated or left out so that they come at that rate (the file's rate being even).

    Yields:
        RGB, u8 [H, W, 3], arrays of their own.

    Raises:
        ImageError: at once for a file that cannot be used, while iterating for a damaged one, one
            that changes meanwhile and one without frames.
    """
    source = Path(path)
    unchanged = Unchanged(source, ImageError)
    container = open_media(source, ImageError)
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        container.close()
        raise ImageError(f"{source} has no video stream; give a video or, as a photo, an image")
    if stream.codec_context is None:
        container.close()
        raise ImageError(f"{source} has pictures in a coding unknown here; convert it to H.264")
    try:
        width = round(stream.codec_context.width * (stream.sample_aspect_ratio or 1))
        check_size(width, stream.codec_context.height, str(source))
    except ImageError:
        container.close()
        raise
    frames = _upright_frames(source, container, stream, unchanged)
    if fps is None or not stream.average_rate:
        return frames
    return _at_rate(frames, fps / stream.average_rate)


def _at_rate(frames: Iterator[Image], ratio: Fraction) -> Iterator[Image]:
    made = 0
    for i, frame in enumerate(frames):
        while made < (i + 1) * ratio:
            made += 1
            yield frame


def _upright_frames(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    unchanged: Unchanged,
) -> Iterator[Image]:
    length_s = None
    if "mov" in container.format.name and stream.duration and stream.time_base:
        length_s = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    count = 0
    end_s = 0.0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise ImageError(_cut_message(path, end_s))
            if packet.pts is not None and packet.duration:
                end_s = max(end_s, float((packet.pts + packet.duration) * packet.time_base))
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                unchanged.check()
                count += 1
                yield _upright(frame, stream.sample_aspect_ratio or Fraction(1))
    except (av.FFmpegError, ValueError, IndexError) as error:  # IndexError: a new stream
        raise ImageError(
            f"{path} is damaged near {end_s:.2f} s ({reason(error)}); export or copy it again"
        ) from error
    finally:
        container.close()
    unchanged.check()
    if count == 0:
        raise ImageError(f"{path} holds no frames; give a video of at least one")
    if length_s is not None and end_s < length_s - _MISSING_TOLERANCE_S:
        raise ImageError(_cut_message(path, end_s))


def _upright(frame: av.VideoFrame, pixel_aspect: Fraction) -> Image:
    # HD without a tag is BT.709; FFmpeg takes BT.601 for everything without one.
    untagged_hd = frame.colorspace == Colorspace.DEFAULT and frame.height >= _HD_LINES
    width, height = float(frame.width * pixel_aspect), frame.height
    scale = min(1.0, (_MOST_PIXELS / (width * height)) ** 0.5)
    image = frame.to_ndarray(
        format="rgb24",
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
    )
    return np.ascontiguousarray(np.rot90(image, k=round(frame.rotation / 90)))


def _cut_message(path: Path, end_s: float) -> str:
    return (
        f"{path} ends before its time, after {end_s:.2f} s; it is damaged or was cut short: copy "
        "or export it again"
    )
