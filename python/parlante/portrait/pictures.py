"""What an avatar is made from: photos of a person, or a short video of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from parlante.contract import NATIVE_FPS, Image, Picture
from parlante.errors import ImageError
from parlante.media.photo import Photo, load_image
from parlante.media.video import read_video
from parlante.portrait.manner import SECONDS

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
VIDEO_FRAMES = 24  # frames of a reference video that are looked at, evenly spread


@dataclass(frozen=True)
class Pictures:
    """Photos of one person, some of them frames of a video.

    photos: what may be drawn from. video: the first video among what was given; it also shows how
    the person moves.
    """

    photos: list[Photo]
    video: Path | None

    @classmethod
    def read(cls, source: Picture | Sequence[Picture]) -> Pictures:
        """Read photos (paths, bytes of image files, arrays) and videos (paths).

        Raises:
            ImageError: one of them cannot be used, or there is none.
        """
        given = as_list(source)
        if not given:
            raise ImageError("an empty list of photos; give at least one photo")
        photos = [photo for one in given for photo in _photos(one)]
        return cls(photos, next((video for one in given if (video := video_of(one))), None))

    def moving(self) -> Iterator[Image]:
        """The first `SECONDS` seconds of the video, at 25 frames a second; nothing without one."""
        if self.video is None:
            return iter(())
        return islice(read_video(self.video, fps=NATIVE_FPS), SECONDS * int(NATIVE_FPS))


def as_list(source: Picture | Sequence[Picture]) -> list[Picture]:
    """One picture or several, as a list."""
    if isinstance(source, (list, tuple)):
        return list(source)
    return [source]  # type: ignore[list-item]


def video_of(source: Picture) -> Path | None:
    """The path of a video, by its suffix; None for anything else."""
    named = isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES
    return Path(source) if named else None  # type: ignore[arg-type]


def _photos(source: Picture) -> list[Photo]:
    video = video_of(source)
    if video is not None:
        return [Photo(image, None) for image in _spread(read_video(video), VIDEO_FRAMES)]
    return [load_image(source)]


def _spread(frames: Iterator[Image], count: int) -> list[Image]:
    """At most ``2 · count`` frames, evenly spread, of a sequence of unknown length, in one pass."""
    kept: list[Image] = []
    stride = 1
    for i, frame in enumerate(frames):
        if i % stride == 0:
            kept.append(frame)
            if len(kept) == 2 * count:
                kept, stride = kept[::2], stride * 2
    return kept
