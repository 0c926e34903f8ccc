"""Many videos from one table.

    python examples/batch.py work.csv

The CSV has a line of names, then a row a video: ``photo,audio,output`` and, if wanted, fields of
`RenderOptions` (``size``, ``seed``, ``background``, …). Paths are relative to the CSV. A row that
fails is reported, the others are made.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from parlante import Avatar, ParlanteError, RenderOptions
from parlante.options import GAINS

PATHS = ("photo", "audio", "output")
WHOLE, REAL = ("steps", "seed", "size"), ("fps", "neutral", *GAINS)


def options_of(row: dict[str, str], **defaults: Any) -> RenderOptions:
    """The columns of a row that are options; an empty cell means the default."""
    given: dict[str, Any] = {k: v for k, v in row.items() if v and k not in PATHS}
    for name in given.keys() & {*WHOLE, *REAL}:
        try:
            given[name] = (int if name in WHOLE else float)(given[name])
        except ValueError:
            raise ValueError(f"{name}={given[name]!r}; give a number") from None
    return RenderOptions.of(**{**defaults, **given})


def read(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; ValueError where it is none, or lacks a column."""
    with table.open(newline="", encoding="utf-8-sig") as file:  # Excel begins with a mark
        rows = list(csv.DictReader(file, restval=""))
    missing = [name for name in PATHS if rows and name not in rows[0]]
    if missing or not rows:
        raise ValueError(
            f"{table}: the first line has to name the columns {','.join(PATHS)}, separated by "
            f"commas, and a row a video follows; there is no {', '.join(missing) or 'row'}"
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Make all videos; returns 1 where one of them failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="the CSV file")
    parser.add_argument("--size", type=int, default=512, help="where a row says none; default 512")
    arguments = parser.parse_args(argv)
    folder = arguments.table.resolve().parent
    failed = 0
    try:
        rows = read(arguments.table)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    for number, row in enumerate(rows, 1):
        try:
            empty = [name for name in PATHS if not row[name]]
            if empty:
                raise ValueError(f"{', '.join(empty)}: nothing is given")
            photo, audio, output = (folder / row[name] for name in PATHS)
            options = options_of(row, size=arguments.size)
            Avatar(photo).speak(audio, options=options).save(output)
            print(f"{number}: {output}")
        except (ParlanteError, ValueError) as error:
            failed += 1
            print(f"{number}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
