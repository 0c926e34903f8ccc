"""What a few minutes can measure on the test people: ``python -m models.evaluate.quick``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import get_args

from models.data.dataset import DEFAULT_DATA, DEFAULT_PREPARED, load
from models.evaluate import protocols, report
from models.evaluate.protocols import Evaluation, per_person
from parlante.contract import Precision
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED)
    parser.add_argument(
        "--assets", type=Path, default=DEFAULT_DATA.parent / "assets", help="folder with SFace"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[2])
    parser.add_argument("--clips", type=int, default=1, help="clips a person, attributes given")
    parser.add_argument("--frames", type=int, default=5, help="frames a clip, attributes given")
    parser.add_argument("--drawn", type=int, default=30, help="frames a clip drawn from audio only")
    parser.add_argument("--bundle", type=Path, help="networks instead of the built-in ones")
    parser.add_argument("--device", default="cpu", help="of the renderer")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips = load(arguments.prepared, arguments.data, "test")
    bundle = None if arguments.bundle is None else Bundle.open(arguments.bundle)
    evaluation = Evaluation(
        arguments.assets,
        bundle,
        compute=Compute(device=arguments.device, precision=arguments.precision),
    )

    chosen = per_person(clips, arguments.clips)
    given = report.attributes(evaluation, chosen, arguments.frames, arguments.steps)
    people = len({c.person for c in chosen})
    print(f"\nAttributes given: {len(chosen)} clips of {people} test people, mean ± 95 %\n")
    print(report.table("method", given, 3))

    heard = report.by_source(
        [c for c in clips if c.mel is not None],
        lambda clip: protocols.lips(evaluation, clip, arguments.drawn),
        "audio only",
    )
    print("\nAudio only: correlation of the lip opening with the truth over whole clips\n")
    print(report.table("source (clips)", heard, 2))

    silence = report.silence(evaluation, clips)
    print("\nSilence: share of drawn frames with shut lips\n")
    print(report.shares(silence))
    if arguments.json is not None:
        result = {"given": given, "audio": heard, "silence": silence}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
