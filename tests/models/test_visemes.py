"""What lips have to do in synthetic speech, and how it is asked of a network."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch

import models.train.loop as loop
from models import sync
from models.audio import AudioEncoder
from models.data import synthetic, visemes
from models.data.dataset import PreparedClip
from models.evaluate.articulation import FEMALE, LANGUAGES, MALE
from models.train import hearing, voices
from models.train import sync as train_sync
from models.train.lips import LipError, Natural
from parlante.contract import HEARD, MEL_BANDS, SAMPLE_RATE, SILENCE
from tests.support import portrait_samples

needs_voices = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng")
AROUND = 0.4  # seconds


def said(word: str, voice: str) -> tuple[synthetic.Spoken, visemes.Lesson]:
    spoken = synthetic.speak(word, voice).within_silence(AROUND)
    return spoken, visemes.lesson(spoken, voice[:2])


def span(spoken: synthetic.Spoken, sound: str) -> tuple[float, float]:
    """When the first phoneme of that name begins and ends, seconds."""
    names = [name for name, _ in spoken.phonemes]
    k = next(i for i, name in enumerate(names) if name.startswith(sound))
    return spoken.phonemes[k][1], spoken.phonemes[k + 1][1]


@needs_voices
@pytest.mark.parametrize("voice", ["de+m4", "ru+m1", "en+f2", "pl+Alex"])
def test_a_stop_begins_with_its_silence(voice: str) -> None:
    word = "apa".translate(synthetic.CYRILLIC) if voice.startswith("ru") else "apa"
    spoken = synthetic.speak(word, voice)
    start, end = span(spoken, "p")
    samples = spoken.samples
    first, last = (round(at * SAMPLE_RATE) for at in (start, start + 0.02))
    loud = np.sqrt(np.square(samples).mean())
    assert np.sqrt(np.square(samples[first:last]).mean()) < 0.1 * loud
    assert np.sqrt(np.square(samples[first - 320 : first]).mean()) > 0.1 * loud
    assert 0.05 < end - start < 0.2


@needs_voices
@pytest.mark.parametrize("voice", ["de+m4", "es+f2", "fi+Annie"])
@pytest.mark.parametrize("sound", ["p", "m"])
def test_lips_meet_where_the_sound_is(voice: str, sound: str) -> None:
    spoken, lesson = said(f"a{sound}a", voice)
    start, end = span(spoken, sound)
    centres = (np.arange(len(lesson)) + 0.5) / 25
    assert lesson.touch.any()
    assert (lesson.opening[lesson.touch] < 0.03).all()
    assert (centres[lesson.touch] > start - 0.02).all()
    assert (centres[lesson.touch] < end + 0.02).all()
    assert not (lesson.touch & lesson.apart).any()
    assert lesson.opening.max() > 0.25  # of the vowels


@needs_voices
def test_a_closure_is_never_between_two_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        delay = rng.uniform(0, 0.04)
        fast = synthetic.speak("ababa", "es+m1", speed=200).within_silence(AROUND + delay)
        runs = np.diff(np.r_[0, visemes.lesson(fast, "es").touch.astype(int)]) == 1
        assert runs.sum() == 2


@needs_voices
def test_lips_stay_apart_and_vowels_differ() -> None:
    _, lesson = said("ata", "de+m4")
    assert lesson.apart.any() and not lesson.touch.any()
    assert lesson.opening[lesson.apart].min() > 0.1
    middle = {}
    for vowel in "aeiou":
        spoken, own = said(f"s{vowel}s{vowel}", "es+m1")
        start, end = span(spoken, vowel)
        middle[vowel] = own, int((start + end) / 2 * 25)
    opening = {v: own.opening[at] for v, (own, at) in middle.items()}
    rounding = {v: own.rounding[at] for v, (own, at) in middle.items()}
    assert opening["a"] > opening["e"] > opening["i"]
    assert rounding["u"] > rounding["o"] > rounding["a"] > rounding["i"]


@needs_voices
def test_lips_rest_in_silence() -> None:
    _, lesson = said("mama, mama", "it+f1")
    assert (lesson.mel[:36] == SILENCE).all()
    assert (lesson.opening[:6] < 0).all() and (lesson.opening[-4:] < 0).all()


@needs_voices
def test_every_sound_is_known() -> None:
    rng = np.random.default_rng(0)
    unknown = []
    for _ in range(60):
        language, spoken = synthetic.somebody(rng)
        letters = [name for name, _ in spoken.phonemes if any(c.isalpha() for c in name)]
        sounds = [name for name in letters if not name.startswith("(")]  # another language begins
        unknown += [(language, name) for name in sounds if not visemes.visemes_of(name, language)]
    assert not unknown


def test_what_is_measured_is_held_out() -> None:
    measured = {variant for variant, _ in MALE + FEMALE}
    assert set(synthetic.HELD_OUT) <= measured
    assert not set(synthetic.HELD_OUT) & set(synthetic.VARIANTS)
    assert set(LANGUAGES) <= set(synthetic.LANGUAGES)
    rng = np.random.default_rng(0)
    heard = {word.strip(".,") for _ in range(500) for word in synthetic.nonsense(rng).split()}
    assert not heard & synthetic.MEASURED


def test_a_recording_keeps_time() -> None:
    click = np.zeros(16_000, np.float32)
    click[8_000:8_100] = 0.5
    for seed in range(5):
        heard = synthetic.recorded(click, np.random.default_rng(seed))
        assert heard.shape == click.shape and heard.dtype == np.float32
        assert abs(int(np.abs(heard).argmax()) - 8_050) < 160


def test_codes_open_lips_as_far_as_asked(error: LipError) -> None:
    before = loop.load_weights(sync.Sync(), "sync")
    shapes = voices.Shapes(error, portrait_samples.model(), before.lip_shut)
    opening = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.15, 0.15])
    rounding = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, -0.7])
    code = shapes.codes(opening, rounding, torch.zeros(6))
    torch.testing.assert_close(shapes.opening(code), opening, rtol=0, atol=0.02)
    demands = torch.zeros(1, 6, 2)
    demands[0, :2, 0] = 1  # one of them is not shut
    demands[0, 2:, 1] = 1  # all of them are apart
    wrong = voices.misses(code[None], code[None], demands, error, shapes)
    assert float(wrong["touch"]) == pytest.approx(0.05 - voices.MEET, abs=0.01)
    assert float(wrong["apart"]) == pytest.approx(0, abs=0.01)
    assert float(wrong["lips"]) == float(wrong["velocity"]) == 0
    demands[0, 0] = torch.tensor([0.0, 1.0])  # the shut one must not be
    assert voices.misses(code[None], code[None], demands, error, shapes)["apart"] > 0.02


def test_other_tracts_move_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    mel = torch.arange(float(MEL_BANDS)).expand(3, 8, -1)
    moved = hearing.other_tracts(mel)
    ratio = moved[:, 0, 40] / 40
    assert ((ratio - 1).abs() <= hearing.TRACT + 1e-6).all() and ratio.std() > 0
    torch.testing.assert_close(moved[:, 0, 20], 20 * ratio)
    monkeypatch.setattr(hearing, "TRACT", 0.0)
    torch.testing.assert_close(hearing.other_tracts(mel), mel)


def test_what_is_played_keeps_its_parts_together() -> None:
    """Sound and lips of a stretch, faster or slower, are those of the same moments."""
    frames = 50
    clock = torch.arange(frames * 4.0)[:, None] / 4
    for _ in range(20):
        speed = hearing.other_speed(frames)
        assert hearing.MIN_SPEED * 0.98 < speed < hearing.MAX_SPEED * 1.02
        sound = hearing.played(clock, speed, 4)
        lips = hearing.played(clock[::4], speed)
        assert len(sound) == 4 * len(lips)
        torch.testing.assert_close(sound[::4], lips)
        torch.testing.assert_close(lips[-1], clock[-4])  # it ends with the last frame


@needs_voices
def test_a_batch_teaches_the_whole_network(error: LipError, long_clip: PreparedClip) -> None:
    encoder = AudioEncoder().eval()
    before = loop.load_weights(sync.Sync(), "sync").requires_grad_(False)
    pieces = torch.full((2, 400, MEL_BANDS), -8.0)
    speech = train_sync.join([long_clip], encoder, pieces, 2)
    shapes = voices.Shapes(error, portrait_samples.model(), before.lip_shut)
    taught = voices.Lessons.of(visemes.lessons(30), shapes, pieces, encoder)
    natural = Natural(error.code(speech.expression))
    quiet = torch.randn(3, voices.FRAMES + 2, HEARD)
    course = train_sync.Course(
        speech, quiet, error, train_sync.Voices(taught, shapes, natural, before)
    )
    module = loop.load_weights(sync.Sync(), "sync").train()
    losses = course.losses(module, 5)
    assert all(torch.isfinite(v) for v in losses.values())
    for part in train_sync.PARTS.values():
        assert set(part) <= set(losses)
    sum(v for k, v in losses.items() if k.startswith("lesson")).backward()  # type: ignore[union-attr]
    for name, parameter in (
        *module.embedding.named_parameters(),
        *module.decoder.named_parameters(),
    ):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
