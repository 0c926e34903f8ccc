"""Music by dice, for lips to stay shut to: chords, bass, melody and drums of simple tones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from parlante.contract import SAMPLE_RATE, Float

PIECE_SECONDS = 12
NYQUIST = SAMPLE_RATE / 2
SCALE = np.array([0, 2, 3, 5, 7, 8, 10])  # semitones of the minor scale
MODES = 7


def tone(midi: float, seconds: float, timbre: dict[str, float], rng: Generator) -> Float:
    """One note: harmonics that fall off, an attack, a decay and vibrato."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 440 * 2 ** ((midi - 69) / 12)
    sway = timbre["vibrato"] * np.sin(2 * np.pi * timbre["rate"] * t + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch * 2 ** (sway / 12)) / SAMPLE_RATE
    harmonics = np.arange(1, max(2, int(min(timbre["harmonics"], NYQUIST / pitch))))
    strengths = harmonics ** -timbre["fall"] * rng.uniform(0.3, 1, len(harmonics))
    wave = sum(
        a * np.sin(h * phase + rng.uniform(0, 6)) * np.exp(-t * h * timbre["dulling"])
        for h, a in zip(harmonics, strengths, strict=True)
    )
    envelope = np.minimum(1, t / timbre["attack"]) * np.exp(-t / timbre["decay"])
    envelope *= np.minimum(1, (seconds - t) / 0.03)
    return np.asarray(wave * envelope / np.linalg.norm(strengths), np.float32)


def beat(kind: int, rng: Generator) -> Float:
    """A kick, a snare or a hat."""
    t = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    if kind == 0:
        wave = np.sin(2 * np.pi * (45 * t + 4 * (1 - np.exp(-t * 25)))) * np.exp(-t * 12)
    else:
        hiss = rng.standard_normal(len(t))
        wave = (np.diff(hiss, prepend=0) if kind == 2 else hiss) * np.exp(-t * (60, 18)[kind == 1])
    return np.asarray(wave, np.float32)


def piece(rng: Generator) -> Float:
    """PIECE_SECONDS of one piece at 16 kHz, RMS 1: one to four parts and some of a room's echo."""
    out = np.zeros(PIECE_SECONDS * SAMPLE_RATE, np.float32)

    def add(wave: Float, second: float, level: float) -> None:
        first = int(second * SAMPLE_RATE)
        room = out[first : first + len(wave)]
        room += np.float32(level) * wave[: len(room)]

    root, spacing = rng.uniform(40, 62), 60 / rng.uniform(60, 170)  # beats in seconds
    chords = rng.integers(0, MODES, 4)
    parts = rng.random(4) < (0.6, 0.5, 0.6, 0.5)  # chords, bass, melody, drums
    parts[rng.integers(4)] = True
    beats = int(PIECE_SECONDS / spacing)
    for part in np.flatnonzero(parts[:3]):
        timbre = {
            "harmonics": rng.integers(2, 30),
            "fall": rng.uniform(0.3, 2),
            "dulling": rng.choice([0.0, 10 ** rng.uniform(-1, 0.8)]),
            "attack": 10 ** rng.uniform(-2.7, -0.8),
            "decay": 10 ** rng.uniform(-0.9, 1.0),
            "vibrato": rng.choice([0.0, rng.uniform(0, 0.6)]),
            "rate": rng.uniform(4, 7),
        }
        length = spacing * rng.choice([0.25, 0.5, 1, 2, 4])
        overhang = rng.choice([1.0, 1.0, 2.0])  # notes that ring on
        loudness = rng.uniform(0.3, 1)
        octave = (0, -12, 12)[part]
        at, degree = 0.0, 0
        while at < PIECE_SECONDS:
            chord = chords[int(at / spacing / 4) % len(chords)]
            if part == 2:
                degree += rng.integers(-2, 3)
            degrees = ([0, 2, 4], [0], [degree])[part]
            for step in degrees:
                up, within = divmod(int(chord) + int(step), MODES)
                midi = min(root + octave + 12 * up + SCALE[within], 108)
                if rng.random() < 0.9:
                    add(tone(midi, length * overhang, timbre, rng), at, loudness)
            at += length
    if parts[3]:
        pattern = rng.random((3, 8)) < np.array([[0.4], [0.25], [0.5]])
        loudness = rng.uniform(0.1, 1, 3)
        for half in range(2 * beats):
            for kind in np.flatnonzero(pattern[:, half % 8]):
                add(beat(int(kind), rng), half * spacing / 2, loudness[kind])
    if rng.random() < 0.5:
        t = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
        echo = rng.standard_normal(len(t)) * np.exp(-t / rng.uniform(0.03, 0.3))
        size = len(out) + len(echo)
        wet = np.fft.irfft(np.fft.rfft(out, size) * np.fft.rfft(echo, size), size)[: len(out)]
        out += np.float32(rng.uniform(0.1, 1)) * np.asarray(wet / np.linalg.norm(echo), np.float32)
    return out / np.float32(np.sqrt(np.mean(np.square(out)) + 1e-12))
