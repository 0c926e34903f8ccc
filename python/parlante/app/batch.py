"""Many videos from one table: ``parlante batch``."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any

from parlante.app.arguments import avatar_with, bundle_of, with_texts
from parlante.app.jobs import Job, Setting
from parlante.app.signals import ENDINGS, EndedError, check, end
from parlante.avatar import Avatar
from parlante.errors import ParlanteError
from parlante.media.captions import read_transcript, write_captions
from parlante.media.files import keep_inputs
from parlante.media.folder import is_numbered, remove_pictures, written_by

LOG = "batch.jsonl"  # in the folder of the videos: a line a job
BREAKS = 3  # deaths of a process after which the jobs that are left run one by one
WATCH_S = 0.5  # between looks at whether the parent is there
Record = dict[str, Any]


def run(
    jobs: Sequence[Job], folder: Path, workers: int, *, ray: str | None = None
) -> Iterator[Record]:
    """Make the videos of all jobs, by so many processes; a record each, as they end.

    Those made before, from the same, are left as they are, unless their size is another. Each
    record is also a line of ``batch.jsonl`` in ``folder``. ``ray``: the address of a cluster whose
    machines make them instead, all with the same files at the same paths; empty for one on this
    machine.
    """
    made = _made_before(folder / LOG)
    todo = {}
    for job in jobs:
        before = made.get(str(job.output))
        if before is not None and _is_there(job, before):
            yield _record(job, state="there")
        else:
            todo[job.number] = replace(job, again=before is not None)
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


def _is_there(job: Job, before: Record) -> bool:
    """Whether a job's results are as the record says that made them before."""
    if before["of"] != job.fingerprint or not all(path.exists() for path in job.results):
        return False
    return before.get("bytes") in (None, _bytes(job))  # older logs have none


def _bytes(job: Job) -> int:
    """Size of a job's video, or of its pictures and their sound."""
    files = written_by(job.output) if is_numbered(job.output) else [job.output]
    return sum(file.stat().st_size for file in files)


def _made_before(log: Path) -> dict[str, Record]:
    """The records of the videos that a log says were made, by their outputs."""
    found: dict[str, Record] = {}
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                if record["state"] == "made" and record["of"]:
                    found[record["output"]] = record
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
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(address or None, log_to_driver=False)
        except ConnectionError as error:
            raise ParlanteError(f"no Ray cluster at {address} ({error})") from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        # A block a job. Rows are tables of plain values: jobs travel with the function.
        rows = ray.data.range(len(jobs), override_num_blocks=len(jobs))
        of_row = rows.map(lambda row: {"record": json.dumps(make(jobs[row["id"]]))}, num_cpus=1)
        for row in of_row.iter_rows():
            yield json.loads(row["record"])
    finally:
        if own:
            ray.shutdown()


def _begin() -> None:
    """In a new process: what ends the batch ends it; Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDINGS:
        signal.signal(number, end)
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, killed even: first so that it can tidy up."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * WATCH_S)
    os._exit(128 + signal.SIGTERM)  # it waits for what nobody sends any more


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
        options, coding = with_texts(job.setting.options, job.setting.coding, job.options)
        said = "" if job.transcript is None else read_transcript(job.transcript)
        for path in job.captions:
            keep_inputs(path, [job.photo, job.audio, job.transcript])
        job.results[0].parent.mkdir(parents=True, exist_ok=True)
        speech = _avatar(job.photo, job.setting).speak(job.audio, options=options)
        if job.again and is_numbered(job.output):
            remove_pictures(job.output)
        speech.save(job.output, **asdict(coding), progress=count)
        captions = speech.captions(said) if job.captions else []
        for path in job.captions:
            write_captions(path, captions)
    except EndedError as ended:
        os._exit(128 + ended.number)  # the pool would go on with the next job
    except Exception as error:
        kind = "" if isinstance(error, ParlanteError) else f"{type(error).__name__}: "
        return _record(job, state="failed", error=f"{kind}{error}")
    seconds = round(time.monotonic() - began, 2)
    return _record(
        job,
        state="made",
        frames=frames,
        bytes=_bytes(job),
        seconds=seconds,
        seed=speech.seed,
    )


@lru_cache(maxsize=4)
def _avatar(photo: Path, setting: Setting) -> Avatar:
    bundle = bundle_of(setting.bundle)
    return avatar_with([photo], setting.compute, setting.face, bundle)


def _record(job: Job, **more: Any) -> Record:
    return {"job": job.number, "output": str(job.output), "of": job.fingerprint, **more}
