"""The whole evaluation: ``python -m models.evaluate --out docs/results.md``.

Every table of the report is written here, from the bundle that ships, on the test people; the same
numbers go beside it as JSON, section by section.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.data.dataset import DEFAULT_DATA, clips_parser, load
from models.evaluate import over_time, picture, protocols, report
from models.evaluate.protocols import Evaluation, per_person
from models.expert import OFFSETS
from models.train import parts
from parlante.runtime.bundle import Bundle

LONG_MINUTES = 10
STEPS = (1, 2, 4, 8, 50)
SHARP_SIZE, SHARP_STEPS = 512, (1, 2, 4)


def main() -> None:
    parser = clips_parser(__doc__, sharp=True)
    parser.add_argument(
        "--assets", type=Path, default=DEFAULT_DATA.parent / "assets", help="folder with SFace"
    )
    parser.add_argument(
        "--parts", type=Path, help="bundles that lack a part, of `models.train.parts`"
    )
    parser.add_argument("--frames", type=int, default=5, help="frames a clip, attributes given")
    parser.add_argument("--seconds", type=int, default=10, help="of each clip, lips from audio")
    parser.add_argument("--out", type=Path, required=True, help="Markdown; JSON goes beside it")
    parser.add_argument(
        "--only", nargs="+", default=[], help="sections to measure anew, the others from the JSON"
    )
    arguments = parser.parse_args()
    evaluation = Evaluation(arguments.assets)
    clips = load(arguments.prepared, arguments.data, "test")
    heard = [c for c in clips if c.mel is not None]
    few = per_person(heard, 3)
    long = [c for c in few if len(c) >= report.LONG_FRAMES]
    count = arguments.seconds * over_time.FPS
    phonemes = over_time.Phonemes()

    result: dict[str, Any] = {
        "people": len({c.person for c in clips}),
        "options": f"--frames {arguments.frames} --seconds {arguments.seconds}",
    }
    sections: dict[str, Callable[[], Any]] = {
        "attributes": lambda: report.attributes(
            evaluation, per_person(clips, 1), arguments.frames, STEPS
        ),
        "sharp": lambda: picture.measured(
            Evaluation(arguments.assets, size=SHARP_SIZE),
            per_person(load(arguments.sharp_prepared, arguments.sharp, "test"), 1),
            arguments.sharp_prepared,
            arguments.frames,
            SHARP_STEPS,
        ),
        "audio": lambda: report.lips(evaluation, heard),
        "sync": lambda: report.real_synchrony(evaluation, heard, arguments.prepared),
        "driven": lambda: report.by_source(
            few, lambda c: protocols.driven(evaluation, c, phonemes, count), "lips from audio"
        ),
        "free": lambda: report.free(evaluation, long, count),
        "manners": lambda: report.manners(evaluation, clips, arguments.prepared),
        "long": lambda: report.long(evaluation, few, LONG_MINUTES),
        "silence": lambda: report.silence(evaluation, clips),
    }
    if arguments.parts is not None:
        sections["parts"] = lambda: report.parts(
            lacking(arguments.assets, arguments.parts), clips, arguments.frames
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    stored = arguments.out.with_suffix(".json")
    if arguments.only:
        result = json.loads(stored.read_text()) | result
    for name in arguments.only or sections:
        result[name] = sections[name]()
        stored.write_text(json.dumps(result, indent=1) + "\n")
    arguments.out.write_text(text(result))


def lacking(assets: Path, folder: Path) -> dict[str, Evaluation]:
    """An evaluation of each bundle of `models.train.parts` that is there, by the part it lacks."""
    bundles = {part: folder / part / "bundle" for part in parts.PARTS}
    return {
        part: Evaluation(assets, Bundle.open(bundle), part)
        for part, bundle in bundles.items()
        if bundle.exists()
    }


def parts_text(result: dict[str, Any]) -> str:
    """Its section on bundles that lack a part, if there were any."""
    if "parts" not in result:
        return ""
    return f"""
## What each part is worth

Attributes given (K = 2; 1 without diffusion), the opening of the mesh's lips from audio over whole
clips, and lids and head from audio; blank where the part has no say. Every row is a training of its
own, for the same few steps ({", ".join(f"{k} {v:,}" for k, v in parts.STEPS.items())}): compare
them with each other, not with the weights that ship.

{report.table("without", result["parts"], 3)}
"""


def text(result: dict[str, Any]) -> str:
    """The report."""
    table = report.table
    return f"""# Results

Written by `python -m models.evaluate {result["options"]}`, on {result["people"]} people never
trained on; mean ± 95 % over clips.

## Attributes given

The truth's 3DMM coefficients and pose drive one source frame.

{table("method", result["attributes"], 3)}

Sharp clips of other test people, at {SHARP_SIZE}²: the second half of each is drawn from one
frame of the first half, or from that and references among its others. Shimmer: how much what is
fine in the mouth changes from frame to frame, over the truth's; seam: how much edge there is along
that of what was drawn, over the truth's.

{table("method", result["sharp"]["given"], 3)}

A photo with nothing moved (dB), and how far the channels of a grey one are apart (levels, 99.9 %):

{table("", {"photo": result["sharp"]["unchanged"]}, 2)}

## Lips from audio, pose and blinks the truth's

Closures: share of /p b m/ at which the drawn lips meet, and the true ones. Flicker: warped
difference over the truth's. Sync: as below, for drawn lips and for the true ones.

{table("source (clips)", result["driven"], 3)}

Whole clips, correlation of the opening of the mesh's lips with the truth, over clips and (*of
people*) over people, each of whom counts once:

{table("source (clips)", result["audio"], 2)}

The Sync expert on real videos: confidence, least distance, share of one-second windows whose sound
it finds to the frame (± 1, of {2 * OFFSETS + 1}), and the same with another clip's sound.

{table("source (clips)", result["sync"], 2)}

## Audio only

Blink durations in seconds, pose range in degrees, jerk in degrees/s³, flicker in 8-bit levels.

{table("head and lids", result["free"], 2)}

In the manner of another clip of the same person, and of nobody in particular; *r*: correlation with
the truth over people.

{table("head and lids", result["manners"], 2)}

{LONG_MINUTES} minutes on end; *nearest_repeat*: distance of the two most alike ten seconds of the
head's turn over the median one, 0 for a loop.

{table("sound", result["long"], 2)}

Frames with shut lips:

{report.shares(result["silence"])}
{parts_text(result)}"""


if __name__ == "__main__":
    main()
