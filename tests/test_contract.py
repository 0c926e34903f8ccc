"""The contract's numbers against what computes with them: the native op, and the bundle's files."""

from __future__ import annotations

import librosa
import numpy as np

from parlante import _core
from parlante import contract as c
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import demo_speech, model


def test_log_mel_is_made_with_these_numbers() -> None:
    """By librosa in float64; the first column ends with the first hop."""
    samples = demo_speech()[:32_000]
    spectrum = librosa.stft(
        np.pad(samples.astype(np.float64), (c.FFT_SIZE - c.HOP_LENGTH, 0)),
        n_fft=c.FFT_SIZE,
        hop_length=c.HOP_LENGTH,
        center=False,
    )
    filters = librosa.filters.mel(
        sr=c.SAMPLE_RATE,
        n_fft=c.FFT_SIZE,
        n_mels=c.MEL_BANDS,
        fmin=c.MEL_LOW_HZ,
        fmax=c.MEL_HIGH_HZ,
        dtype=np.float64,
    )
    wanted = np.log(np.maximum(filters @ np.abs(spectrum) ** 2, c.MEL_FLOOR)).T
    # The budget of the op; its own tests are stricter.
    np.testing.assert_allclose(_core.log_mel(samples), wanted, rtol=0, atol=1e-4)


def test_silence_is_what_the_op_makes_of_it() -> None:
    quiet = _core.log_mel(np.zeros(c.SAMPLES_PER_FRAME, np.float32))
    assert np.array_equal(quiet, np.full((c.MEL_PER_FRAME, c.MEL_BANDS), c.SILENCE, np.float32))


def test_numbers_are_those_of_the_shipped_networks() -> None:
    codes = {"lip": [1, c.LIP], "blink": [1, c.BLINK], "residual": [1, c.RESIDUAL]}
    motion, cells = c.POSE + c.BLINK + c.BROWS, list(c.CELLS)
    wanted = {
        "audio_encode": (
            {"mel": [1, c.MEL_WINDOW, c.MEL_BANDS], "future": [c.LAYERS]}
            | {name: [c.MEMORY, c.TOKEN] for name in c.REMEMBERED},
            {
                "embedding": [1, 1, c.EMBEDDING],
                "fresh": [len(c.REMEMBERED), c.TOKENS, c.TOKEN],
            },
        ),
        "lip_decode": ({"embeddings": [1, c.CONTEXT, c.EMBEDDING]}, {"lip": [1, 1, c.LIP]}),
        "attributes_encode": ({"expression": [1, c.EXPRESSION]}, codes),
        "dynamics_decode": (
            {
                "latent": [1, c.LATENT],
                "tail": [1, c.TAIL, motion],
                "audio": [1, c.TAIL + c.WINDOW, c.EMBEDDING],
            },
            {"motion": [1, c.WINDOW, motion]},
        ),
    }
    networks = Bundle.default().manifest.networks
    for name, signature in wanted.items():
        made = tuple(
            {key: value["shape"] for key, value in networks[name][side].items()}
            for side in ("inputs", "outputs")
        )
        assert made == signature, name
    condition = networks["condition"]["inputs"]
    assert condition["condition"]["shape"] == [1, c.CONDITION, *cells]
    assert condition["attributes"]["shape"] == [1, c.ATTRIBUTES]
    assert networks["denoise"]["outputs"]["residual"]["shape"] == [1, c.COLOR_PLANES, *cells]
    assert model().expression.shape[0] == c.EXPRESSION
    assert model().identity.shape[0] == c.IDENTITY
    assert model().face_triangles.max() == c.VERTICES - 1


def test_look_ahead_is_no_longer_than_the_design_promises() -> None:
    assert c.LOOK_AHEAD * c.SAMPLES_PER_FRAME <= 0.160 * c.SAMPLE_RATE
