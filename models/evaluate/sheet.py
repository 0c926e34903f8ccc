"""Contact sheet to look at: ``python -m models.evaluate.sheet --out sheet.png``.

One row a person (the demo photo first, then test people): photo, mouth shut, half open, wide open,
teeth, blink, head turned left, right and down, and five frames of the demo speech. Rows of people
other than the demo's must not leave the machine: see the data's licences.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.dataset import clips_parser, load, read_frames
from parlante.media.photo import Photo, load_image
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.render.renderer import FrameRenderer
from parlante.runtime.assets import demo
from parlante.runtime.bundle import Bundle
from parlante.speech.audio import decode_audio
from parlante.speech.motion import Motion, MotionStream

POSES: dict[str, tuple[dict[str, float], tuple[float, float, float]]] = {
    "shut": ({}, (0, 0, 0)),
    "half open": ({"jawOpen": 0.25}, (0, 0, 0)),
    "wide open": ({"jawOpen": 0.6}, (0, 0, 0)),
    "teeth": (
        {
            "jawOpen": 0.12,
            "mouthSmile_L": 0.6,
            "mouthSmile_R": 0.6,
            "mouthUpperUp_L": 0.5,
            "mouthUpperUp_R": 0.5,
            "mouthLowerDown_L": 0.4,
            "mouthLowerDown_R": 0.4,
        },
        (0, 0, 0),
    ),
    "blink": ({"blink": 1.0}, (0, 0, 0)),
    "left": ({}, (0, 0.3, 0)),
    "right": ({}, (0, -0.3, 0)),
    "down": ({}, (0.2, 0, 0)),
}
SPOKEN = (20, 45, 60, 75, 100)


def row(
    encoder: PortraitEncoder, bundle: Bundle, photo: Photo, size: int, steps: int
) -> NDArray[np.uint8]:
    """The pictures of one person side by side."""
    portrait = encoder.encode([photo], face=0)
    renderer = FrameRenderer(bundle, encoder.model, portrait, RenderOptions(size=size, steps=steps))
    names = encoder.model.expression_names
    rest = Motion(renderer.shut, np.zeros(6, np.float32), np.zeros(2, np.float32))
    pictures = [portrait.at(size)[..., :3]]
    for modes, turn in POSES.values():
        closure = np.full(2, modes.get("blink", 0.0), np.float32)
        expression = renderer.expression(replace(rest, closure=closure))
        for name in modes.keys() - {"blink"}:
            expression[names.index(name)] += modes[name]
        pictures.append(renderer.draw(expression, np.array([*turn, 0, 0, 0], np.float32)))
    with demo() as (_, voice):
        samples = np.concatenate(list(decode_audio(voice)))
    motions = MotionStream(bundle).push(samples)
    pictures += [renderer.render(motions[i]) for i in SPOKEN]
    return np.hstack(pictures)


def main() -> None:
    parser = clips_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2)
    arguments = parser.parse_args()
    bundle = Bundle.default()
    encoder = PortraitEncoder(bundle)
    with demo() as (path, _):
        photos = [load_image(path)]
    people: set[str] = set()
    clips = load(arguments.prepared, arguments.data, "test")
    by_source = sorted(clips, key=lambda c: [c.source, c.person])
    order = by_source[:: max(1, len(by_source) // 40)]
    for clip in order:
        if len(people) < arguments.people and clip.person not in people:
            people.add(clip.person)
            photos.append(Photo(read_frames(clip.path, clip.source_frames[:1])[0], None))
    sheet = np.vstack(
        [row(encoder, bundle, photo, arguments.size, arguments.steps) for photo in photos]
    )
    cv2.imwrite(str(arguments.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
