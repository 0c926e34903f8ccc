"""A person's manner: read from a video, and followed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from parlante.avatar import Avatar
from parlante.contract import Float
from parlante.face.model import BLINK_MODES, FaceModel
from parlante.face.pose import Pose
from parlante.media.writer import VideoWriter
from parlante.portrait.manner import MIN_FRAMES, lid_closures, manner_of, motion_of
from parlante.runtime.bundle import Bundle
from parlante.speech.dynamics import ANYBODY
from parlante.speech.motion import MotionStream
from tests.support.portrait_samples import avatar, demo_rgb

FRAMES = 200


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.of(Bundle.default().arrays("face_model"))


def filmed(model: FaceModel, *, blinks: int = 0, turn: float = 0.0) -> list[Float | None]:
    """Landmarks of a face that blinks now and then and turns its head to and fro (radians)."""
    expression = np.zeros((FRAMES, 53), np.float32)
    modes = [model.expression_names.index(name) for name in BLINK_MODES]
    for start in np.linspace(10, FRAMES - 20, blinks).astype(int):
        expression[start : start + 6, modes] = np.float32([0.4, 0.9, 1, 1, 0.8, 0.4])[:, None]
    rotation = np.zeros((FRAMES, 3), np.float32)
    rotation[:, 1] = turn * np.sin(np.arange(FRAMES) / 8)
    pose = Pose(rotation, np.full((FRAMES, 3), 128, np.float32), np.full(FRAMES, 8.0, np.float32))
    return list(pose.apply(model.shape(np.zeros(100, np.float32), expression)[:, :468]))


def generated(manner: Float) -> tuple[float, float]:
    """Share of frames with shut lids, and spread of the head's turn, of idle motion in a manner."""
    shut, spread = [], []
    for seed in range(4):
        stream = MotionStream(Bundle.default(), seed=seed, manner=manner)
        motions = stream.push(np.zeros(16_000 * 12, np.float32))
        shut.append(np.mean([m.closure.mean() > 0.5 for m in motions]))
        spread.append(np.std([m.pose[:3] for m in motions], axis=0).sum())
    return float(np.mean(shut)), float(np.mean(spread))


def test_who_blinks_in_the_video_blinks(model: FaceModel) -> None:
    bundle = Bundle.default()
    often, never = (
        generated(manner_of(bundle, model, filmed(model, blinks=n, turn=0.02)))[0] for n in (8, 0)
    )
    assert often > 1.5 * never


def test_who_turns_in_the_video_turns(model: FaceModel) -> None:
    bundle = Bundle.default()
    lively, calm = (
        generated(manner_of(bundle, model, filmed(model, blinks=3, turn=t)))[1] for t in (0.15, 0.0)
    )
    assert lively > 1.2 * calm


def test_nothing_is_read_from_too_little(model: FaceModel) -> None:
    bundle, frames = Bundle.default(), filmed(model)
    assert manner_of(bundle, model, []) is ANYBODY
    assert manner_of(bundle, model, frames[: MIN_FRAMES - 1]) is ANYBODY
    # Long enough, but never 35 frames in a row.
    gaps = [None if i % 30 == 0 else f for i, f in enumerate(frames)]
    assert manner_of(bundle, model, gaps) is ANYBODY
    assert manner_of(bundle, model, frames[:MIN_FRAMES]).shape == ANYBODY.shape


def test_frames_without_a_face_do_not_count(model: FaceModel) -> None:
    frames = filmed(model, blinks=4, turn=0.05)
    cut = [None] * 40 + frames + [None] * 7
    bundle = Bundle.default()
    np.testing.assert_allclose(
        manner_of(bundle, model, cut), manner_of(bundle, model, frames), atol=0.2
    )


def test_motion_is_from_where_the_head_rests() -> None:
    rotation = np.zeros((9, 3), np.float32)
    rotation[:, 0] = [0.2, 0.2, 0.2, 0.2, 0.2, 0.9, 0.2, 0.2, 0.2]
    pose = Pose(rotation, np.zeros((9, 3), np.float32), np.ones(9, np.float32))
    keep = np.arange(9) != 5
    brows = np.repeat(np.float32([[0.3, 0, 0, 0, 0.1]]), 9, 0)
    motion = motion_of(pose, np.zeros((9, 2), np.float32), brows, keep)
    assert motion.shape == (9, 13)
    np.testing.assert_allclose(motion[keep], 0, atol=1e-6)
    assert motion[5, 0] == pytest.approx(0.7, abs=1e-5)


def test_lids_are_measured_against_open_ones(model: FaceModel) -> None:
    frames = np.stack(filmed(model, blinks=1))  # type: ignore[arg-type]
    closure = lid_closures(frames, np.ones(FRAMES, bool))
    assert closure.shape == (FRAMES, 2)
    assert np.median(closure) < 0.05
    assert closure.max() > 0.7


def test_only_the_largest_face_of_a_video_shows_its_manner(tmp_path: Path) -> None:
    """`PortraitEncoder.manner` follows the largest; another one that is picked moves as anybody."""
    path = tmp_path / "pair.mp4"
    small = cv2.resize(demo_rgb(), (264, 264), interpolation=cv2.INTER_AREA)
    canvas = np.full((352, 616, 3), 90, np.uint8)
    canvas[:, :352], canvas[44:308, 352:] = demo_rgb(), small
    with VideoWriter(path, width=616, height=352) as writer:
        for i in range(MIN_FRAMES + 2):
            shifted = np.roll(canvas, int(3 * np.sin(i / 5)), 1)
            writer.write(shifted, np.zeros(640, np.int16))
    largest, other = (Avatar(path, face=face, cache=False).portrait for face in (0, 1))
    assert not np.array_equal(largest.manner, ANYBODY)
    np.testing.assert_array_equal(other.manner, ANYBODY)


def test_avatar_of_a_video_has_a_manner(tmp_path: Path) -> None:
    photo = np.ascontiguousarray(demo_rgb()[:256, 48:304])
    path = tmp_path / "person.mp4"
    with VideoWriter(path, width=256, height=256) as writer:
        for i in range(60):
            shifted = np.roll(photo, int(3 * np.sin(i / 5)), 1)
            writer.write(shifted, np.zeros(640, np.int16))
    moving = Avatar(path, cache=tmp_path / "cache")
    assert not np.array_equal(moving.portrait.manner, ANYBODY)
    again = Avatar([path], cache=tmp_path / "cache")  # as the command line gives it
    np.testing.assert_array_equal(again.portrait.manner, moving.portrait.manner)
    file = tmp_path / "face.npz"
    moving.save(file)
    np.testing.assert_array_equal(Avatar.load(file).portrait.manner, moving.portrait.manner)
    np.testing.assert_array_equal(avatar().portrait.manner, ANYBODY)
