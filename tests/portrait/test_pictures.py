"""Photos and videos that an avatar is made from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from parlante import Avatar
from parlante.errors import (
    FaceNotFoundError,
)
from parlante.media.writer import VideoWriter
from parlante.portrait.pictures import _spread
from tests.support.portrait_samples import PHOTO, avatar, demo_rgb


def test_several_photos() -> None:
    blurred = cv2.GaussianBlur(demo_rgb(), (0, 0), 3)
    both = Avatar([blurred, PHOTO], cache=False)
    np.testing.assert_array_equal(both.portrait.image[..., :3], avatar().portrait.image[..., :3])
    assert both.portrait.key != avatar().portrait.key


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_video_as_source(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"person{suffix}"
    with VideoWriter(path, width=352, height=352, crf=12) as writer:
        for shift in (0, 2, 4):
            writer.write(np.roll(demo_rgb(), shift, 1), np.zeros(640, np.int16))
    portrait = Avatar(path, cache=False).portrait
    # H.264 at this quality moves landmarks by less than their own noise, 2 % of 57 pixels.
    difference = portrait.landmarks - avatar().portrait.landmarks
    assert np.linalg.norm(difference[:, :2], axis=1).mean() < 1.5
    assert abs(portrait.image.shape[0] - avatar().portrait.image.shape[0]) <= 3
    # And the picture is a part of the photo, but for the coding.
    found = cv2.matchTemplate(demo_rgb(), portrait.image[..., :3], cv2.TM_SQDIFF_NORMED)
    assert cv2.minMaxLoc(found)[0] < 1e-3


def test_video_without_a_face(tmp_path: Path) -> None:
    path = tmp_path / "nobody.mp4"
    with VideoWriter(path, width=128, height=128) as writer:
        writer.write(np.full((128, 128, 3), 90, np.uint8), np.zeros(640, np.int16))
    with pytest.raises(FaceNotFoundError):
        Avatar(path, cache=False)


@pytest.mark.parametrize("count", [1, 5, 48, 49, 500])
def test_frames_of_a_video_are_spread(count: int) -> None:
    frames = (np.full((1, 1, 3), [i // 256, i % 256, 0], np.uint8) for i in range(count))
    kept = _spread(frames, 24)
    at = [int(f[0, 0, 0]) * 256 + int(f[0, 0, 1]) for f in kept]
    assert at[0] == 0
    assert len(kept) == count if count < 48 else 24 <= len(kept) < 48
    steps = set(np.diff(at))
    assert len(steps) <= 1
    assert count - at[-1] <= (steps.pop() if steps else 1)
