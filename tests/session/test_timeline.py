"""The clock against exact fractions, written as inequalities of whole numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlante.contract import FUTURES, LOOK_AHEAD
from parlante.session.timeline import Timeline

# Frames a second as numerator and denominator, and the first samples of frames 1 to 6, by hand.
RATES = {
    (24, 1): [666, 1333, 2000, 2666, 3333, 4000],
    (25, 1): [640, 1280, 1920, 2560, 3200, 3840],
    (30_000, 1001): [533, 1067, 1601, 2135, 2669, 3203],
    (30, 1): [533, 1066, 1600, 2133, 2666, 3200],
    (50, 1): [320, 640, 960, 1280, 1600, 1920],
    (60_000, 1001): [266, 533, 800, 1067, 1334, 1601],
    (60, 1): [266, 533, 800, 1066, 1333, 1600],
}
RATE = st.sampled_from(list(RATES))
FRAME = st.integers(0, 10**9)  # a year and more
MOTION = 640  # samples


def timeline(rate: tuple[int, int], ahead: int = LOOK_AHEAD) -> Timeline:
    return Timeline(Fraction(*rate), ahead)


@pytest.mark.parametrize("rate", RATES)
def test_first_samples(rate: tuple[int, int]) -> None:
    assert [timeline(rate).begin(k) for k in range(7)] == [0, *RATES[rate]]


@pytest.mark.parametrize("rate", RATES)
def test_no_drift(rate: tuple[int, int]) -> None:
    """So many frames last so many seconds, to the sample, after years too."""
    frames, seconds = rate
    for times in (1, 7, 10**6):
        assert timeline(rate).begin(frames * times) == 16_000 * seconds * times
        assert timeline(rate).frames(16_000 * seconds * times) == frames * times
        assert timeline(rate).due(frames * times) == seconds * times


@given(RATE, FRAME)
def test_a_frame_begins_at_the_last_sample_before_it_is_due(
    rate: tuple[int, int], frame: int
) -> None:
    """begin ≤ frame · 16000 / fps < begin + 1."""
    begin = timeline(rate).begin(frame)
    assert begin * rate[0] <= frame * 16_000 * rate[1] < (begin + 1) * rate[0]


@given(RATE, st.integers(0, 10**12))
def test_frames_cover_samples_and_no_frame_is_empty(rate: tuple[int, int], samples: int) -> None:
    """(frames − 1) / fps < samples / 16000 ≤ frames / fps."""
    frames = timeline(rate).frames(samples)
    assert (frames - 1) * 16_000 * rate[1] < samples * rate[0] <= frames * 16_000 * rate[1]
    assert timeline(rate).begin(frames) >= samples
    assert samples == 0 or timeline(rate).begin(frames - 1) < samples


@given(RATE, FRAME)
def test_a_frame_is_due_at_its_time(rate: tuple[int, int], frame: int) -> None:
    # The nearest double is off by half of 2^-52 of it.
    assert timeline(rate).due(frame) * rate[0] == pytest.approx(frame * rate[1], rel=1e-15)


@given(RATE, FRAME)
def test_motion_of_a_frame(rate: tuple[int, int], frame: int) -> None:
    """before + share = frame · 25 / fps, with 0 ≤ share < 1."""
    before, share = timeline(rate).motion(frame)
    assert 0 <= share < 1
    assert before * rate[0] * share.denominator + share.numerator * rate[0] == (
        frame * 25 * rate[1] * share.denominator
    )


def needed(rate: tuple[int, int], frame: int, ahead: int = LOOK_AHEAD) -> int:
    """Samples before a frame can be drawn: the look-ahead of the motion at or after it."""
    motion = -(-frame * 25 * rate[1] // rate[0])
    return (motion + 1 + ahead) * MOTION


@pytest.mark.parametrize("ahead", FUTURES)
@pytest.mark.parametrize("rate", RATES)
def test_look_ahead_is_enough_for_every_frame_and_little_more(
    rate: tuple[int, int], ahead: int
) -> None:
    """Over a whole period, in which frames lie between motions in every way there is."""
    ends = [(k + 1) * 16_000 * rate[1] // rate[0] for k in range(rate[0])]
    least = max(needed(rate, k, ahead) - end for k, end in enumerate(ends))
    look_ahead = timeline(rate, ahead).look_ahead
    assert least <= look_ahead < least + MOTION
    assert rate != (25, 1) or look_ahead == least == ahead * MOTION


@given(RATE, st.integers(1, 10**6), st.sampled_from(list(FUTURES)))
def test_samples_to_draw(rate: tuple[int, int], frames: int, ahead: int) -> None:
    """All that the last frame needs, and at most two motions more."""
    enough = timeline(rate, ahead).samples_to_draw(frames)
    least = needed(rate, frames - 1, ahead)
    assert least <= enough <= least + 2 * MOTION
