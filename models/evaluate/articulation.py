"""Do lips do what a sound needs? ``python -m models.evaluate.articulation`` (needs espeak-ng).

Nonsense words in synthetic voices, words that nothing is trained with: lips meet in the middle of
"apa", "aba" and "ama", and do not in "ata" … "asa"; in "afa" and "ava" the lower lip nears the
teeth; vowels open the mouth in their order, and round it. Measured on the mesh of the demo's photo,
by voice and by language; with ``--drawn`` for some voices also on landmarks of the drawn frames. No
video of a person is needed, so no language lacks one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.data.synthetic import HELD_OUT, Spoken, speak
from models.evaluate.protocols import SHUT, motions_of
from parlante import Avatar
from parlante.contract import NATIVE_FPS, SAMPLE_RATE, VERTICES, Float
from parlante.face.detection import FaceDetector
from parlante.face.landmarks import FaceLandmarks, LandmarkTracker
from parlante.face.topology import LIP_CORNERS, lip_aperture
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from parlante.runtime.assets import demo
from parlante.runtime.bundle import Bundle

# Languages, with the letters of other alphabets for those of Latin; and those in which a vowel's
# letter does not say how it sounds.
CYRILLIC = str.maketrans("apbmtdnkgsfveiou", "апбмтднкгсфвэиоу")
LANGUAGES: dict[str, dict[int, int]] = {
    **{code: {} for code in ("de", "es", "it", "pl", "tr", "pt", "id", "sw", "fi", "en", "fr")},
    "ru": CYRILLIC,
}
IRREGULAR = ("en", "fr")
# espeak-ng's variants and their pitch; the last of each kind are children's.
MALE = [(f"m{k}", 45) for k in range(1, 9)] + [("Alex", 40), ("m3", 95)]
FEMALE = [(f"f{k}", 55) for k in range(1, 6)]
FEMALE += [(name, 55) for name in ("Alicia", "Annie", "anika", "belinda")] + [("f4", 95)]
MEET, APART, TEETH, VOWELS = "pbm", "tdnkgs", "fv", "aeiou"
NEAR = 0.12  # inner-lip opening over mouth width under which the lower lip may be at the teeth
SPEED = 130  # words a minute
# Ways of speaking, beside: voices with pitch and speed.
MANNERS = {
    "whispered": [("whisper", 50, SPEED), ("whisperf", 50, SPEED)],
    "slow, 90 words a minute": [("m3", 45, 90), ("f3", 55, 90)],
    "fast, 190 words a minute": [("m3", 45, 190), ("f3", 55, 190)],
}
PAUSE = "_"
REST = 0.5  # seconds of silence between words


@dataclass(frozen=True)
class Voice:
    """Of espeak-ng: language, variant and pitch."""

    language: str
    variant: str
    pitch: int
    speed: int = SPEED

    @property
    def name(self) -> str:
        return f"{self.variant}{'+' if self.pitch > 90 else ''}"

    def say(self, word: str) -> Spoken:
        """A word."""
        text = word.translate(LANGUAGES[self.language])
        voice = f"{self.language}+{self.variant}"
        return speak(text, voice, pitch=self.pitch, speed=self.speed)


@dataclass(frozen=True)
class Sound:
    """What lips do in a phoneme, espeak-ng's ``name``: opening and width in each frame."""

    name: str
    opening: Float
    width: Float


@cache
def tracker(bundle: Bundle) -> LandmarkTracker:
    return LandmarkTracker(
        FaceDetector(bundle.session("face_detector")),
        FaceLandmarks(bundle.session("face_landmarks")),
    )


@cache
def mouth(bundle: Bundle) -> FrameRenderer:
    with demo() as (photo, _):
        avatar = Avatar(photo, bundle=bundle, cache=False)
    return FrameRenderer(bundle, avatar._model, avatar.portrait, RenderOptions())


def words(
    voice: Voice, bundle: Bundle, said: list[str], *, drawn: bool = False
) -> list[list[Sound]]:
    """What lips do in each sound of each word, one word after the other in one stream.

    ``drawn``: as landmarks in the drawn frames have it, not the mesh.
    """
    rest = np.zeros(round(REST * SAMPLE_RATE), np.float32)
    spoken = [voice.say(word) for word in said]
    samples = np.concatenate([rest, *(part for one in spoken for part in (one.samples, rest))])
    renderer = mouth(bundle)
    motions = [replace(m, pose=0 * m.pose) for m in motions_of(bundle, samples)]
    if drawn:
        found = tracker(bundle).track([renderer.render(m) for m in motions])
        nowhere = np.full((VERTICES, 3), np.nan, np.float32)
        vertices = np.stack([nowhere if own is None else own[0][:VERTICES] for own in found])
    else:
        expressions = np.stack([renderer.expression(m) for m in motions])
        pose = renderer._scene._pose.changed_by(np.stack([m.pose for m in motions]))
        vertices = renderer.mesh.move(expressions, pose).vertices
    corners = vertices[:, list(LIP_CORNERS), 0]
    opening, width = lip_aperture(vertices), np.abs(corners[:, 0] - corners[:, 1])
    out, begin = [], REST
    for one in spoken:
        seconds = len(one.samples) / SAMPLE_RATE
        ends = [at for _, at in one.phonemes[1:]] + [seconds]
        sounds = []
        for (name, start), end in zip(one.phonemes, ends, strict=True):
            first, last = (round((begin + at) * float(NATIVE_FPS)) for at in (start, end))
            frames = slice(first, max(last, first + 1))
            if not name.startswith(PAUSE):
                sounds.append(Sound(name, opening[frames], width[frames]))
        out.append(sounds)
        begin += seconds + REST
    return out


def articulation(voice: Voice, bundle: Bundle, *, drawn: bool = False) -> dict[str, list[bool]]:
    """What was right, by kind: ``meet``, ``apart`` (where lips must not), ``teeth``, ``vowels``."""
    consonants = MEET + APART + TEETH
    lips = words(
        voice,
        bundle,
        [f"a{c}a" for c in consonants] + [f"s{v}s{v}" for v in VOWELS],
        drawn=drawn,
    )
    least = dict.fromkeys(consonants, np.inf)
    for consonant, sounds in zip(consonants, lips, strict=False):
        inner = [np.nanmin(sound.opening) for sound in sounds[1:-1] if len(sound.opening)]
        least[consonant] = min(inner, default=np.inf)
    right = {
        "meet": [bool(least[c] < SHUT) for c in MEET],
        "apart": [bool(least[c] >= SHUT) for c in APART],
        "teeth": [bool(least[c] < NEAR) for c in TEETH],
    }
    if voice.language not in IRREGULAR:
        # Of the first vowel, whatever it is called in that language.
        vowels = [sounds[1] for sounds in lips[-len(VOWELS) :]]
        a, e, i = (np.nanmean(sound.opening) for sound in vowels[:3])
        _, wide_e, wide_i, wide_o, wide_u = (np.nanmean(sound.width) for sound in vowels)
        order = [a > e, e > i, wide_o < wide_e, wide_u < wide_i]
        right["vowels"] = [bool(one) for one in order]
    return right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="networks instead of the built-in ones")
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    parser.add_argument(
        "--drawn", type=int, default=0, help="voices of each language measured in drawn frames, too"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.default() if arguments.bundle is None else Bundle.open(arguments.bundle)
    voices = [Voice(code, *own) for code in arguments.languages for own in MALE + FEMALE]
    rows = measured(voices, bundle)
    table: dict[str, dict[str, dict[str, float]]] = {
        "language": by(lambda voice: voice.language, rows),
        "voice": by(lambda voice: voice.name, rows),
        "manner": {
            manner: shares(
                measured([Voice(c, *o) for c in arguments.languages for o in own], bundle)
            )
            for manner, own in MANNERS.items()
        },
        "voices": {
            "nothing was trained with": shares([r for r in rows if r[0].variant in HELD_OUT]),
            f"all {len(rows)}": shares(rows),
        },
    }
    if arguments.drawn:
        some = [
            voices[k]
            for first in range(0, len(voices), len(MALE + FEMALE))
            for k in range(first, first + len(MALE + FEMALE), len(MALE + FEMALE) // arguments.drawn)
        ]
        pairs = ((False, "on the mesh"), (True, "in drawn frames"))
        table["drawn"] = {
            f"{len(some)} voices {where}": shares(measured(some, bundle, drawn=drawn))
            for drawn, where in pairs
        }
    for label, lines in table.items():
        kinds = ("/p b m/ meet", "/t d n k g s/ do not", "/f v/ at the teeth", "vowels in order")
        print(f"\n| {label} | " + " | ".join(kinds) + " |")
        print("|---|---|---|---|---|")
        for name, right in lines.items():
            print(f"| {name} | " + " | ".join(f"{100 * v:.0f} %" for v in right.values()) + " |")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


Row = tuple[Voice, dict[str, list[bool]]]


def measured(voices: list[Voice], bundle: Bundle, *, drawn: bool = False) -> list[Row]:
    """`articulation` of each voice."""
    return [
        (voice, articulation(voice, bundle, drawn=drawn)) for voice in tqdm(voices, desc="voices")
    ]


def by(label: Callable[[Voice], str], rows: list[Row]) -> dict[str, dict[str, float]]:
    """Shares of the voices of each label."""
    names = dict.fromkeys(label(voice) for voice, _ in rows)
    return {name: shares([row for row in rows if label(row[0]) == name]) for name in names}


def shares(rows: list[Row]) -> dict[str, float]:
    """Of each kind the share that was right."""
    kinds = ("meet", "apart", "teeth", "vowels")
    held = {kind: [one for _, right in rows for one in right.get(kind, [])] for kind in kinds}
    return {kind: round(float(np.mean(own)), 3) for kind, own in held.items() if own}


if __name__ == "__main__":
    main()
