"""The rows of a table of videos, as `parlante batch` makes them."""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

from parlante import __version__
from parlante.app.arguments import Coding
from parlante.checks import open_file
from parlante.errors import ParlanteError, reason
from parlante.media.captions import captions_beside
from parlante.media.folder import is_numbered
from parlante.options import RenderOptions
from parlante.runtime.compute import Compute

COLUMNS = ("photo", "audio", "output", "transcript")


@dataclass(frozen=True)
class Setting:
    """What all jobs share: options where a row has none, and what avatars are made with."""

    options: RenderOptions
    coding: Coding
    compute: Compute
    face: int | None
    bundle: Path | None


@dataclass(frozen=True)
class Job:
    """A row of the table, numbered from 1; options as texts; why it cannot be done, if so.

    ``captions`` are made of the ``transcript``, a file with a text, where there is one. ``again``:
    what is there was made by a batch before.
    """

    number: int
    photo: Path
    audio: Path
    output: Path
    transcript: Path | None
    captions: tuple[Path, ...]
    options: tuple[tuple[str, str], ...]
    setting: Setting
    wrong: str = ""
    again: bool = False

    @property
    def results(self) -> tuple[Path, ...]:
        """What is made: a video, or a folder of pictures; and captions."""
        made = self.output.parent if is_numbered(self.output) else self.output
        return (made, *self.captions)

    @property
    def fingerprint(self) -> str:
        """Of all that decides the video, as far as can be told without reading it."""
        stats = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else ()
            for path in (self.photo, self.audio, self.transcript)
            if path is not None
        ]
        setting = f"{self.setting.options} {self.setting.face} {self.setting.bundle}"
        if self.setting.coding != Coding():
            setting += f" {self.setting.coding}"
        what = f"{__version__} {stats} {self.options} {setting}"
        return hashlib.sha256(what.encode()).hexdigest()[:16]


def jobs_of(table: Path, folder: Path, setting: Setting) -> list[Job]:
    """The rows of a CSV file; videos go to ``folder``, other paths are relative to the table.

    Columns: photo, audio, output (else a name is made up), transcript (a text file that captions
    are made of) and fields of `RenderOptions` and `Coding`.

    Raises:
        ParlanteError: the file is no such table.
    """
    try:
        # Excel begins with a mark.
        with TextIOWrapper(open_file(table), encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, ValueError, csv.Error) as error:
        raise ParlanteError(
            f"{table} cannot be read ({reason(error)}); give a CSV file in UTF-8"
        ) from error
    missing = [name for name in COLUMNS[:2] if rows and name not in rows[0]]
    if missing or not rows:
        raise ParlanteError(
            f"{table}: the first line has to name the columns {','.join(COLUMNS)} (and options), "
            f"and a row a video follows; there is no {', '.join(missing) or 'row'}"
        )
    jobs: list[Job] = []
    written: set[Path] = set()  # by the rows before
    for number, row in enumerate(rows, 1):
        job = _job(number, row, table.parent, folder, setting)
        for path in written.intersection(job.results):
            job = replace(job, wrong=f"{path.name} is the output of another row, too")
        written.update(job.results)
        jobs.append(job)
    return jobs


def _job(number: int, row: dict[str, str], beside: Path, folder: Path, setting: Setting) -> Job:
    """The job of a row of the table, which lies in the folder ``beside``."""
    photo, audio = (beside / row[name] for name in COLUMNS[:2])
    output = folder / (row.get("output") or f"{number:04d}-{audio.stem}.mp4")
    given = {k: v for k, v in row.items() if v and k and k not in COLUMNS}
    backdrop = beside / given.get("background", "")
    if backdrop.is_file():
        given["background"] = str(backdrop)
    said = beside / row["transcript"] if row.get("transcript") else None
    captions: tuple[Path, ...] = ()
    wrong = ""
    try:
        captions = () if said is None else captions_beside(output)
    except ParlanteError as error:
        wrong = str(error)
    if not Path(os.path.abspath(output)).is_relative_to(os.path.abspath(folder)):  # noqa: PTH100
        wrong = f"the output {row['output']} is outside of {folder}; name one in it"
    if empty := [name for name in COLUMNS[:2] if not row[name]]:
        wrong = f"{', '.join(empty)}: nothing is given"
    return Job(
        number=number,
        photo=photo,
        audio=audio,
        output=output,
        transcript=said,
        captions=captions,
        options=tuple(given.items()),
        setting=setting,
        wrong=wrong,
    )
