"""Music made for training, and lips that stay shut to it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

from models.data import music
from models.evaluate.protocols import SHUT, mesh_aperture
from models.evaluate.report import UNHEARD, speechless
from models.train import hearing
from parlante.contract import MEL_BANDS, SAMPLE_RATE, SAMPLES_PER_FRAME, SILENCE, Float
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion, MotionStream
from tests.support import portrait_samples

REMEMBERED = 90  # frames: as many as lips depend on, and more
PLAIN = {
    "harmonics": 1,
    "fall": 1.0,
    "dulling": 0.0,
    "attack": 0.01,
    "decay": 10.0,
    "vibrato": 0.0,
    "rate": 5.0,
}


@pytest.mark.parametrize("midi", [45, 69, 81])
def test_tone_has_its_pitch(midi: int) -> None:
    wave = music.tone(midi, 1.0, PLAIN, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    assert np.argmax(spectrum) == pytest.approx(440 * 2 ** ((midi - 69) / 12), abs=1)


def test_high_tones_do_not_alias() -> None:
    rich = PLAIN | {"harmonics": 40, "fall": 0.0}
    wave = music.tone(100, 1.0, rich, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    pitch = 440 * 2 ** ((100 - 69) / 12)
    nearest = np.arange(len(spectrum)) / pitch
    between = (np.abs(nearest - np.round(nearest)) > 0.1) | (nearest < 0.5)
    assert spectrum[between].sum() < 1e-4 * spectrum.sum()


def test_pieces_differ_and_have_a_level() -> None:
    first, again, other = (music.piece(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (music.PIECE_SECONDS * SAMPLE_RATE,) and first.dtype == np.float32
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.3
    for seed in range(12):
        wave = music.piece(np.random.default_rng(seed))
        assert np.isfinite(wave).all()
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1, abs=1e-3)
        # It plays from beginning to end.
        assert (np.abs(wave.reshape(4, -1)).max(1) > 0.05).all()


def test_background_is_as_loud_as_told() -> None:
    """Silence with music in all windows has a log-mel between the levels asked for."""
    pieces = torch.full((2, 400, MEL_BANDS), 3.0)  # of RMS 1
    background = hearing.Background(noise=0, music=1, loudest=-8, level=-20)
    quiet = torch.full((200, 96, MEL_BANDS), SILENCE)
    torch.manual_seed(0)
    heard = hearing.augment(quiet, pieces, background)
    # The middle band has no tilt; 10 dB are ln 10 nepers of power.
    decibel = (heard[:, 0, MEL_BANDS // 2] - 3) * 10 / np.log(10)
    assert -65.5 < decibel.min() < -60 and -25 < decibel.max() < -19.5
    alone = hearing.Background(noise=0, music=0, loudest=-8, level=-20)
    assert (hearing.augment(quiet, pieces, alone) <= SILENCE + 6).all()


def test_what_is_not_speech_begins_after_a_while() -> None:
    """In half of the stretches; there is silence before, and no other in what is loud."""
    torch.manual_seed(1)
    made = hearing.unspoken(400, 120, torch.full((2, 400, MEL_BANDS), 3.0))
    silent = (made == SILENCE).all(2)
    begins = torch.where(silent.all(1), 120, (~silent).int().argmax(1))
    assert 0.4 < (begins > 0).float().mean() < 0.6
    late = begins[(begins > 0) & (begins < 120)].float()
    assert 40 < late.mean() < 80 and late.max() > 100
    loud = made.amax((1, 2)) > -15
    assert loud.float().mean() > 0.3
    for number in loud.nonzero()[:, 0]:
        assert not silent[number, begins[number] :].any()


def opening(motions: list[Motion]) -> Float:
    """Of the demo face's lips."""
    face = portrait_samples.avatar().portrait
    options = RenderOptions(size=256, steps=1)
    renderer = FrameRenderer(Bundle.default(), portrait_samples.model(), face, options)
    return mesh_aperture(renderer, face, motions)


def test_lips_stay_shut_to_music() -> None:
    """Of the weights that ship, on pieces that they were not trained with."""
    assert UNHEARD > hearing.PIECES
    openings = [
        opening(MotionStream(Bundle.default()).push(speechless(i)["music, −30 dB"]))
        for i in range(6)
    ]
    assert np.mean(np.concatenate(openings) < SHUT) > 0.99


def test_lips_rest_to_music_and_speak_after_it() -> None:
    seconds = music.piece(np.random.default_rng(99))
    speech = portrait_samples.demo_speech()[:80_000]
    samples = np.concatenate([seconds * np.float32(10 ** (-20 / 20)), speech])
    stream = MotionStream(Bundle.default())
    motions = stream.push(samples)
    lips = np.stack([m.lip for m in motions])
    during = len(seconds) // SAMPLES_PER_FRAME
    seen = opening(motions[: during - 10])  # from the first frame on
    assert seen.max() < SHUT and np.ptp(seen) < 0.01
    alone = np.stack([m.lip for m in MotionStream(Bundle.default()).push(speech)])
    # Where nothing of the music is remembered any more, lips are those of the speech.
    np.testing.assert_allclose(lips[during + REMEMBERED :], alone[REMEMBERED:], atol=1e-3)
    assert len(alone) > REMEMBERED + 20
