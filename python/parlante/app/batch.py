"""Many videos from one table: ``parlante batch``."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from parlante import __version__
from parlante.app.arguments import avatar_with, bundle_of, option_of_text
from parlante.app.signals import ENDINGS, EndedError, check, end
from parlante.avatar import Avatar
from parlante.errors import ParlanteError, reason
from parlante.media.captions import captions_beside, read_transcript, write_captions
from parlante.media.files import keep_inputs
from parlante.options import RenderOptions
from parlante.runtime.compute import Compute

COLUMNS = ("photo", "audio", "output", "transcript")
LOG = "batch.jsonl"  # in the folder of the videos: a line a job
BREAKS = 3  # deaths of a process after which the jobs that are left run one by one
Record = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What all jobs share: options where a row has none, and what avatars are made with."""

    options: RenderOptions
    compute: Compute
    face: int | None
    bundle: Path | None


@dataclass(frozen=True)
class Job:
    """A row of the table, numbered from 1; options as texts; why it cannot be done, if so.

    ``captions`` are made of the ``transcript``, a file with a text, where there is one.
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

    @property
    def fingerprint(self) -> str:
        """Of all that decides the video, as far as can be told without reading it."""
        stats = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else ()
            for path in (self.photo, self.audio, self.transcript)
            if path is not None
        ]
        setting = f"{self.setting.options} {self.setting.face} {self.setting.bundle}"
        what = f"{__version__} {stats} {self.options} {setting}"
        return hashlib.sha256(what.encode()).hexdigest()[:16]


def jobs_of(table: Path, folder: Path, setting: Setting) -> list[Job]:
    """The rows of a CSV file; videos go to ``folder``, other paths are relative to the table.

    Columns: photo, audio, output (else a name is made up), transcript (a text file that captions
    are made of) and fields of `RenderOptions`.

    Raises:
        ParlanteError: the file is no such table.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # Excel begins with a mark
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
        photo, audio = (table.parent / row[name] for name in COLUMNS[:2])
        output = folder / (row.get("output") or f"{number:04d}-{audio.stem}.mp4")
        given = {k: v for k, v in row.items() if v and k and k not in COLUMNS}
        backdrop = table.parent / given.get("background", "")
        if backdrop.is_file():
            given["background"] = str(backdrop)
        empty = [name for name in COLUMNS[:2] if not row[name]]
        wrong = f"{', '.join(empty)}: nothing is given" if empty else ""
        said = table.parent / row["transcript"] if row.get("transcript") else None
        captions: tuple[Path, ...] = ()
        try:
            captions = () if said is None else captions_beside(output)
        except ParlanteError as error:
            wrong = str(error)
        for path in written.intersection((output, *captions)):
            wrong = f"{path.name} is the output of another row, too"
        written.update((output, *captions))
        jobs.append(
            Job(
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
        )
    return jobs


def run(
    jobs: Sequence[Job], folder: Path, workers: int, *, ray: str | None = None
) -> Iterator[Record]:
    """Make the videos of all jobs, by so many processes; a record each, as they end.

    Those made before, from the same, are left as they are. Each record is also a line of
    ``batch.jsonl`` in ``folder``. ``ray``: the address of a cluster whose machines make them
    instead, all with the same files at the same paths; empty for one on this machine.
    """
    made = _made_before(folder / LOG)
    todo = {}
    for job in jobs:
        there = all(path.exists() for path in (job.output, *job.captions))
        if there and made.get(str(job.output)) == job.fingerprint:
            yield _record(job, state="there")
        else:
            todo[job.number] = job
    with (folder / LOG).open("a", encoding="utf-8") as log:
        breaks = 0
        while todo:
            alone = breaks >= BREAKS
            some = list(todo.values())[:1] if alone else list(todo.values())
            records = (
                _by_processes(some, 1 if alone else workers) if ray is None else by_ray(some, ray)
            )
            try:
                for record in records:
                    del todo[record["job"]]
                    log.write(f"{json.dumps(record)}\n")
                    log.flush()
                    yield record
            except BrokenProcessPool:
                breaks += 1
                if alone:
                    del todo[some[0].number]
                    yield _record(some[0], state="failed", error="its process was killed")


def _made_before(log: Path) -> dict[str, str]:
    """Fingerprints of the videos that a log says were made."""
    found: dict[str, str] = {}
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                if record["state"] == "made":
                    found[record["output"]] = record["of"]
            except (ValueError, KeyError, TypeError):
                continue  # cut short, when the machine stopped
    return found


def _by_processes(jobs: Sequence[Job], workers: int) -> Iterator[Record]:
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin)
    try:
        futures = [pool.submit(make, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def by_ray(jobs: Sequence[Job], address: str) -> Iterator[Record]:
    """As `run`, on a cluster: Ray gives the jobs of a worker that died to another one.

    Ray tells its makers nothing of it, unless ``RAY_USAGE_STATS_ENABLED`` is set to 1.

    Raises:
        ParlanteError: Ray is not installed, or nobody answers at ``address``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ParlanteError("Ray is not installed; pip install 'parlante[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address or None, log_to_driver=False)
        except ConnectionError as error:
            raise ParlanteError(f"no Ray cluster at {address} ({error})") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    # A block a job. Rows are tables of plain values: jobs travel with the function.
    rows = ray.data.range(len(jobs), override_num_blocks=len(jobs))
    of_row = rows.map(lambda row: {"record": json.dumps(make(jobs[row["id"]]))}, num_cpus=1)
    for row in of_row.iter_rows():
        yield json.loads(row["record"])


def _begin() -> None:
    """In a new process: what ends the batch ends it; Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDINGS:
        signal.signal(number, end)


def make(job: Job) -> Record:
    """Make the video of one job; what is wrong with it is in the record."""
    began = time.monotonic()
    frames = 0

    def count(written: int) -> None:
        nonlocal frames
        frames = written
        check()

    try:
        if job.wrong:
            raise ParlanteError(job.wrong)
        given = {name: option_of_text(name, text) for name, text in job.options}
        options = RenderOptions.of(job.setting.options, **given)
        said = "" if job.transcript is None else read_transcript(job.transcript)
        for path in job.captions:
            keep_inputs(path, [job.photo, job.audio, job.transcript])
        job.output.parent.mkdir(parents=True, exist_ok=True)
        speech = _avatar(job.photo, job.setting).speak(job.audio, options=options)
        speech.save(job.output, progress=count)
        captions = speech.captions(said) if job.captions else []
        for path in job.captions:
            write_captions(path, captions)
    except EndedError as ended:
        os._exit(128 + ended.number)  # the pool would go on with the next job
    except Exception as error:
        kind = "" if isinstance(error, ParlanteError) else f"{type(error).__name__}: "
        return _record(job, state="failed", error=f"{kind}{error}")
    seconds = round(time.monotonic() - began, 2)
    return _record(job, state="made", frames=frames, seconds=seconds, seed=speech.seed)


@lru_cache(maxsize=4)
def _avatar(photo: Path, setting: Setting) -> Avatar:
    bundle = bundle_of(setting.bundle)
    return avatar_with([photo], setting.compute, setting.face, bundle)


def _record(job: Job, **more: Any) -> Record:
    return {"job": job.number, "output": str(job.output), "of": job.fingerprint, **more}
