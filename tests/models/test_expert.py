"""The Sync expert and what is read off it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from torch import Tensor

from models.expert import OFFSETS, SHAPE, SIDE, WINDOW, Expert, distances, lip_shape, synchrony
from parlante.face.topology import LIPS_INNER, LIPS_OUTER


def landmarks(seed: int, frames: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 256, (frames, 478, 3)).astype(np.float32)


def test_lip_shape_does_not_see_where_the_head_is() -> None:
    points = landmarks(0)
    turn = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]], np.float32)
    moved = points.copy()
    moved[..., :2] = 0.4 * points[..., :2] @ turn + [30, -8]
    np.testing.assert_allclose(lip_shape(moved), lip_shape(points), rtol=2e-3)


@pytest.mark.parametrize(("ring", "first"), [(LIPS_INNER, 0), (LIPS_OUTER, SIDE)])
def test_lip_shape_is_widths_and_openings(ring: tuple[int, ...], first: int) -> None:
    points = landmarks(1)
    before = lip_shape(points)
    assert before.shape == (5, SHAPE)
    points[:, ring[3]] = points[:, ring[-3]]  # two points opposite each other meet
    changed = np.flatnonzero((lip_shape(points) != before).any(0))
    assert changed.tolist() == [first + 3]
    assert np.all(lip_shape(points)[:, first + 3] == 0)
    points[:, ring[0]] = points[:, ring[SIDE]]
    assert np.all(lip_shape(points)[:, first] == 0)


def test_rest_shape_and_level_of_lips_do_not_matter() -> None:
    torch.manual_seed(0)
    expert = Expert().eval()
    shape = torch.rand(3, WINDOW, SHAPE)
    torch.testing.assert_close(
        expert.lips(shape), expert.lips(shape + torch.rand(3, 1, SHAPE)), atol=1e-5, rtol=1e-4
    )


class Clock(Expert):
    """Reads the same running number out of sound and lips, ``late`` frames apart."""

    def __init__(self, late: int) -> None:
        super().__init__()
        self._late = late

    def audio(self, mel: Tensor) -> Tensor:
        return self._code(mel[:, 0, 0] + self._late)

    def lips(self, shape: Tensor) -> Tensor:
        return self._code(shape[:, 0, 0])

    @staticmethod
    def _code(number: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(number.long() + OFFSETS, 200).float()


@pytest.mark.parametrize("late", [-4, 0, 1, 10])
def test_distances_are_least_where_sound_and_lips_belong(late: int) -> None:
    frames = 70
    clock = np.arange(frames, dtype=np.float32)
    mel = np.repeat(clock, 4)[:, None] * np.ones(80, np.float32)
    shape = clock[:, None] * np.ones(SHAPE, np.float32)
    apart = distances(Clock(late), mel, shape)
    assert apart.shape == (frames - WINDOW + 1 - 2 * OFFSETS, 2 * OFFSETS + 1)
    assert np.all(apart.argmin(1) == OFFSETS - late)
    scores = synchrony(Clock(late), mel, shape)
    assert scores["distance"] == 0
    assert scores["confidence"] == pytest.approx(np.sqrt(2))
    assert scores["found"] == float(abs(late) <= 1)


def test_members_learn_apart_and_answer_together() -> None:
    torch.manual_seed(1)
    expert = Expert().eval()
    audio, lips = expert.audio(torch.randn(4, 100, 80)), expert.lips(torch.rand(4, WINDOW, SHAPE))
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(expert.agreement(audio, lips).mean(0), audio @ lips.T)
    loss = expert.agreement(audio, lips)[1].sum()
    loss.backward()  # type: ignore[no-untyped-call]
    reached = [
        any(p.grad is not None and p.grad.any() for p in m.parameters()) for m in expert.members
    ]
    assert reached == [False, True, False]


def test_clip_too_short_for_a_search_has_no_scores() -> None:
    frames = WINDOW + 2 * OFFSETS - 1
    mel, shape = np.zeros((4 * frames, 80), np.float32), np.zeros((frames, SHAPE), np.float32)
    assert synchrony(Expert().eval(), mel, shape) == {}
    mel, shape = np.zeros((4 * frames + 4, 80), np.float32), np.zeros((frames + 1, SHAPE))
    assert synchrony(Expert().eval(), mel, shape.astype(np.float32))["found"] in (0.0, 1.0)
