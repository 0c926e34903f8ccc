"""References: chosen by what they add, in the light of the portrait."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import VERTICES, Float
from parlante.face.patches import Patches
from parlante.face.pose import Pose
from parlante.media.photo import Photo
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.references import LIMIT, Look, References, references_of, shapes
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, expression, frontal, model

SIDE = 256
LIP_TOP, LIP_BOTTOM = 13, 14  # vertices: middles of the inner lips


def speaking(openings: list[float]) -> tuple[list[Float], Pose]:
    """Landmarks of a face whose jaw is open so far, and the pose of each."""
    pose = frontal(len(openings))
    faces = np.concatenate([expression(jawOpen=o) for o in openings])
    points = pose.apply(model().shape(np.zeros(100, np.float32), faces))[:, :VERTICES]
    return list(points), pose


def textured(seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).uniform(60, 190, (SIDE, SIDE, 3)).astype(np.float32)
    return np.asarray(np.round(cv2.GaussianBlur(noise, (0, 0), 1.5)), np.uint8)


def found(pictures: list[NDArray[np.uint8]], openings: list[float], base: int = 0) -> References:
    landmarks, poses = speaking(openings)
    patches = Patches.of(poses[:1].undo(landmarks[0][None])[0])
    looks = [
        Look.of(patches, pictures[i], landmarks[i], poses[i : i + 1]) for i in range(len(pictures))
    ]
    return references_of(looks.pop(base), looks)


def test_one_picture_has_none() -> None:
    assert len(found([textured()], [0.0])) == 0
    assert len(References.none()) == 0


def test_the_portrait_is_not_among_them() -> None:
    seen = found([textured(k) for k in range(3)], [0.0, 0.4, 0.8], base=1)
    landmarks, poses = speaking([0.0, 0.8])
    assert len(seen) == 2
    patches = Patches.of(poses[:1].undo(speaking([0.0])[0][0][None])[0])
    assert patches.centre.shape == (3, 3)
    openings = seen.places[:, 0, 14, 1] - seen.places[:, 0, 13, 1]
    assert sorted(openings) == pytest.approx(
        [o[14, 1] - o[13, 1] for o in (landmarks[0], landmarks[1])], rel=1.5, abs=30
    )


def test_what_adds_most_is_kept() -> None:
    """Of forty mouths, 38 of them shut, both open ones are there."""
    openings = [0.0] + [0.001 * k for k in range(38)] + [0.5, 1.0]
    seen = found([textured(k) for k in range(len(openings))], openings)
    assert len(seen) == LIMIT
    gaps = np.sort(seen.places[:, 0, 14, 1] - seen.places[:, 0, 13, 1])
    assert gaps[-1] > 1.5 * gaps[-2] > 1.5 * 3 * gaps[-3]


def test_what_is_common_is_near_to_what_is_kept() -> None:
    """Of two hundred mouths, none is far from one that is kept, and most are very near."""
    openings = [0.0, *np.random.default_rng(2).beta(1, 4, 200)]
    seen = found([textured(k % 3) for k in range(len(openings))], openings)
    assert LIMIT / 2 < len(seen) <= LIMIT
    landmarks, poses = speaking(openings)
    patches = Patches.of(poses[:1].undo(landmarks[0][None])[0])
    places = np.stack(
        [
            Look.of(patches, textured(), at, poses[i : i + 1]).places
            for i, at in enumerate(landmarks)
        ]
    )
    lips = [13, 14, 78, 308]
    away = np.linalg.norm(places[:, None, 0, lips] - seen.places[:, 0, lips], axis=-1).max(2).min(1)
    assert np.median(away) < 1  # pixels of the atlas
    assert away.max() < 4


def test_blurred_pictures_are_left_out() -> None:
    sharp = textured()
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 6), np.uint8)
    seen = found([sharp, textured(1), blurred, textured(2)], [0.0, 0.2, 0.6, 0.4])
    assert len(seen) == 2
    gaps = seen.places[:, 0, 14, 1] - seen.places[:, 0, 13, 1]
    full = found([sharp, textured(1), textured(3), textured(2)], [0.0, 0.2, 0.6, 0.4])
    assert gaps.max() < (full.places[:, 0, 14, 1] - full.places[:, 0, 13, 1]).max()


def test_a_head_that_looks_away_is_left_out() -> None:
    landmarks, poses = speaking([0.0, 0.3, 0.6])
    rotation = poses.rotation.copy()
    rotation[2, 1] = 0.9
    turned = Pose(rotation, poses.translation, poses.scale)
    patches = Patches.of(poses[:1].undo(landmarks[0][None])[0])
    looks = [Look.of(patches, textured(i), landmarks[i], turned[i : i + 1]) for i in range(3)]
    assert len(references_of(looks[0], looks[1:])) == 1


def test_light_is_the_portraits() -> None:
    """A picture of the same scene, darker and bluer, comes out as the portrait shows it."""
    bright = textured()
    dim = np.clip(bright * np.array([0.75, 0.8, 0.95]) + [0, 0, 8], 0, 255).astype(np.uint8)
    seen = found([bright, dim, bright], [0.0, 0.3, 0.3])
    assert len(seen) == 1  # the third shows nothing new
    same = found([bright, bright], [0.0, 0.3])
    off = np.abs(seen.atlases.astype(int) - same.atlases).mean()
    assert off < 2 < np.abs(dim.astype(int) - bright).mean()


def test_shapes_are_lips_and_lids() -> None:
    places = np.random.default_rng(0).uniform(0, 128, (4, 3, VERTICES, 2)).astype(np.float32)
    moved = places.copy()
    moved[:, :, 1] += 5  # the tip of the nose
    np.testing.assert_array_equal(shapes(places), shapes(moved))
    moved[2, 0, 13] += 5  # the upper lip
    changed = (shapes(places) != shapes(moved)).any(1)
    assert changed.tolist() == [False, False, True, False]


def test_photos_beside_a_video_count() -> None:
    """A mouth that only a photo shows open is there, although the video has many frames."""
    bundle = Bundle.default()
    encoder = PortraitEncoder(bundle)
    rest = avatar().portrait
    renderer = FrameRenderer(bundle, encoder.model, rest, RenderOptions(size=512))
    still = np.zeros(6, np.float32)
    shut, wide = (
        renderer.draw(rest.expression + expression(jawOpen=o)[0], still).copy() for o in (0.0, 0.7)
    )
    portrait = encoder.encode([Photo(shut, None), Photo(wide, None)], video=[shut] * 20)
    lips = portrait.reference_places[:, 0]
    openings = lips[:, LIP_BOTTOM, 1] - lips[:, LIP_TOP, 1]
    assert openings.max() > openings.min() + 10  # pixels of the atlas
