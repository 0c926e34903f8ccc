"""The whole evaluation: ``python -m models.evaluate --out docs/results.md``.

Every table of the report is written here, from the bundle that ships, on the test people; the same
numbers go beside it as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.data.dataset import DEFAULT_DATA, DEFAULT_PREPARED, load
from models.evaluate import over_time, protocols, report
from models.evaluate.protocols import Evaluation, per_person
from parlante.bundle import Bundle

STEPS = (1, 2, 4, 8, 50)
LONG_SECONDS = 3  # of the clips whose lids and head are measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED)
    parser.add_argument(
        "--assets", type=Path, default=DEFAULT_DATA.parent / "assets", help="folder with SFace"
    )
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="PART=DIR",
        help="bundles trained without a part (`--without` of the training scripts)",
    )
    parser.add_argument("--frames", type=int, default=5, help="frames a clip, attributes given")
    parser.add_argument("--seconds", type=int, default=10, help="of each clip, lips from audio")
    parser.add_argument("--out", type=Path, required=True, help="Markdown; JSON goes beside it")
    arguments = parser.parse_args()
    lacking = dict(part.split("=", 1) for part in arguments.without)
    evaluation = Evaluation(arguments.assets)
    clips = load(arguments.prepared, arguments.data, "test")
    heard = [c for c in clips if c.mel is not None]
    few = per_person(heard, 3)
    long = [c for c in few if len(c) >= LONG_SECONDS * over_time.FPS]
    count = arguments.seconds * over_time.FPS
    phonemes = over_time.Phonemes()

    free = [
        protocols.free(evaluation, c, count, seed)
        for seed, c in enumerate(tqdm(long, desc="audio only"))
    ]
    result: dict[str, Any] = {
        "people": len({c.person for c in clips}),
        "options": f"--frames {arguments.frames} --seconds {arguments.seconds}",
        "attributes": report.attributes(evaluation, per_person(clips, 1), arguments.frames, STEPS),
        "audio": report.by_source(heard, lambda c: protocols.lips(evaluation, c, 0), "lips"),
        "driven": report.by_source(
            few, lambda c: protocols.driven(evaluation, c, phonemes, count), "lips from audio"
        ),
        "free": {
            name: report.interval([r[name] for r in free if r is not None])
            for name in ("generated", "true")
        },
        "silence": report.silence(evaluation, clips),
    }
    if lacking:
        rest = {
            f"without {part}": Evaluation(arguments.assets, Bundle.open(Path(folder)))
            for part, folder in lacking.items()
        }
        result["parts"] = report.parts({"whole": evaluation} | rest, clips, arguments.frames)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    arguments.out.write_text(text(result))


def parts_text(result: dict[str, Any]) -> str:
    """Its section on bundles that lack a part, if there were any."""
    if "parts" not in result:
        return ""
    return f"""
## What each part is worth

Attributes given (K = 2; 1 without diffusion), and the opening of the mesh's lips from audio over
whole clips. Every row is a training of its own.

{report.table("network", result["parts"], 3)}
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

## Lips from audio, pose and blinks the truth's

Closures: share of /p b m/ at which the drawn lips meet, and the true ones. Flicker: warped
difference over the truth's.

{table("source (clips)", result["driven"], 3)}

Whole clips, correlation of the opening of the mesh's lips with the truth:

{table("source (clips)", result["audio"], 2)}

## Audio only

Blink durations in seconds, pose range in degrees, jerk in degrees/s³, flicker in 8-bit levels.

{table("head and lids", result["free"], 2)}

Frames with shut lips:

{report.shares(result["silence"])}
{parts_text(result)}"""


if __name__ == "__main__":
    main()
