"""How good is it? ``python -m models.evaluate.quick``: what a few minutes can measure on the test
people."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.data.dataset import DEFAULT_DATA, DEFAULT_PREPARED, load
from models.evaluate import protocols
from models.evaluate.protocols import Evaluation, Scores, per_person
from models.evaluate.report import interval, table

ROOM_NOISE = 10 ** (-50 / 20)


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
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips = load(arguments.prepared, arguments.data, "test")
    evaluation = Evaluation(arguments.assets)

    by_method: dict[str, list[Scores]] = {}
    chosen = per_person(clips, arguments.clips)
    for clip in tqdm(chosen, desc="attributes given"):
        rows = protocols.attributes(evaluation, clip, arguments.frames, arguments.steps)
        for method, row in rows.items():
            if row:
                by_method.setdefault(method, []).append(row)
    given = {method: interval(rows) for method, rows in by_method.items()}
    people = len({c.person for c in chosen})
    print(f"\nAttributes given: {len(chosen)} clips of {people} test people, mean ± 95 %\n")
    print(table("method", given, 3))

    by_source: dict[str, list[Scores]] = {}
    for clip in tqdm([c for c in clips if c.mel is not None], desc="audio only"):
        lips = protocols.lips(evaluation, clip, arguments.drawn)
        if lips is not None:
            by_source.setdefault(clip.source, []).append(lips)
    heard = {f"{s} ({len(rows)})": interval(rows) for s, rows in sorted(by_source.items())}
    print("\nAudio only: correlation of the lip opening with the truth over whole clips\n")
    print(table("source (clips)", heard, 2))

    print("\nSilence: share of drawn frames with shut lips\n")
    voices = [c for c in clips if c.mel is not None and c.source in ("grid", "talkvid", "dhface")]
    silence = {}
    for label, level in (("digital silence", 0.0), ("room noise, −50 dB", ROOM_NOISE)):
        shares = [protocols.silence(evaluation, c, level) for c in per_person(voices, 1)[:8]]
        silence[label] = float(np.nanmean(shares))
        print(f"- {label}: {100 * silence[label]:.1f} % of {len(shares)} people's frames")
    if arguments.json is not None:
        result: dict[str, Any] = {"given": given, "audio": heard, "silence": silence}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
