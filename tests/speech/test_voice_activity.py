"""Voice activity: the detector, and how long lips follow it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.runtime.bundle import Bundle
from parlante.speech.voice_activity import CHUNK, HOLD, VoiceActivity
from tests.support.portrait_samples import demo_speech

FRAME, AHEAD = 640, 2560


class Marked:
    """Stands for the detector: speech where the chunk's first sample is 1."""

    def run(self, _: list[str], seen: dict[str, NDArray[np.float32]]) -> list[NDArray[Any]]:
        return [seen["input"][:, 64:65], seen["state"]]


def followed(samples: NDArray[np.float32], frames: int, cuts: tuple[int, ...] = ()) -> list[float]:
    voice = VoiceActivity(Marked(), samples_per_frame=FRAME, look_ahead=AHEAD)  # type: ignore[arg-type]
    for piece in np.split(samples, cuts):
        voice.push(piece)
    return [voice.next(0.0) for _ in range(frames)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_detector_is_the_published_one() -> None:
    torch = pytest.importorskip("torch")
    model = pytest.importorskip("silero_vad").load_silero_vad(onnx=False)
    rng = np.random.default_rng(0)
    speech = demo_speech()[:64_000]
    samples = np.concatenate([speech, 0.05 * rng.standard_normal(16_000)]).astype(np.float32)
    voice = VoiceActivity(
        Bundle.default().session("voice_activity"), samples_per_frame=FRAME, look_ahead=AHEAD
    )
    voice.push(samples)
    with torch.no_grad():
        wanted = [
            model(torch.from_numpy(samples[i : i + CHUNK]), 16_000).item()
            for i in range(0, len(samples) - CHUNK + 1, CHUNK)
        ]
    assert max(wanted) > 0.9
    assert min(wanted) < 0.1
    np.testing.assert_allclose(voice._speech, wanted, atol=2e-3)


def test_follows_from_the_first_frame_on_only_if_somebody_speaks() -> None:
    assert followed(np.zeros(40 * FRAME, np.float32), 30) == [0] * 30
    got = followed(np.ones(40 * FRAME, np.float32), 30)
    assert got == [1] * 30


@pytest.mark.parametrize("chunk", [60, 61, 65])
def test_follows_from_the_look_ahead_on_and_half_a_second_longer(chunk: int) -> None:
    samples = np.zeros(150 * FRAME, np.float32)
    samples[chunk * CHUNK : (chunk + 1) * CHUNK] = 1
    got = np.array(followed(samples, 140))
    # Frames whose look-ahead holds the whole chunk, until it lies more than HOLD behind.
    first = -(-((chunk + 1) * CHUNK - AHEAD - FRAME) // FRAME)
    last = ((chunk + 1) * CHUNK + HOLD - 1) // FRAME
    assert np.all(got[first - 8 : first] < 1e-6)
    np.testing.assert_allclose(got[first : first + 3], [1 / 3, 2 / 3, 1], atol=1e-6)
    np.testing.assert_allclose(got[first + 2 : last + 1], 1, atol=1e-6)
    np.testing.assert_allclose(got[last + 1 : last + 4], [2 / 3, 1 / 3, 0], atol=1e-6)


def test_pieces_do_not_matter() -> None:
    samples = (np.random.default_rng(0).random(100 * FRAME) < 0.03).astype(np.float32)
    whole = followed(samples, 90)
    assert 0 < np.mean(whole) < 1
    assert followed(samples, 90, (1, 511, 512, 5000, 5003, 33_333)) == whole


def test_follows_lips_that_open_wide_and_half_a_second_longer() -> None:
    """Though nothing is heard; as far as they open less than that, not at all."""
    voice = VoiceActivity(Marked(), samples_per_frame=FRAME, look_ahead=AHEAD)  # type: ignore[arg-type]
    voice.push(np.zeros(60 * FRAME, np.float32))
    openings = np.full(50, 0.29)
    openings[10], openings[30] = 0.35, 0.5
    got = np.array([voice.next(float(opening)) for opening in openings])
    held = HOLD // FRAME
    assert not got[:10].any()
    np.testing.assert_allclose(got[11 : 11 + held], 0.5, atol=1e-6)
    assert not got[14 + held : 30].any()
    np.testing.assert_allclose(got[30:33], [1 / 3, 2 / 3, 1], atol=1e-6)
    np.testing.assert_allclose(got[32 : 31 + held], 1, atol=1e-6)
    assert got[-1] == 0
