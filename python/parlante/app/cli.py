"""Command line: ``parlante speak | batch | live | serve | encode | bench | doctor``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from tqdm import tqdm

from parlante.app import logs
from parlante.app.arguments import (
    avatar_of,
    avatars_of,
    bundle_of,
    coding_of,
    compute_of,
    render_options,
)
from parlante.app.parsers import parser_of
from parlante.app.signals import EndedError, check, ended_by_signals
from parlante.errors import ParlanteError, reason
from parlante.media.codecs import STANDARD_OUTPUT
from parlante.runtime.assets import demo

READER_GONE = 128 + 13  # as shells have it of SIGPIPE


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns 0; 1 after printing a `ParlanteError`, or where it cannot print; 128 and its number when
    a signal ended it; `READER_GONE` where nobody reads what it prints any more.
    """
    code = 0
    try:
        code = _run(argv)
        print(end="", flush=True)
    except OSError as error:
        # What is still held back is not for anybody; Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return code or READER_GONE
        where = error.filename or "where this command prints"
        print(f"parlante: {reason(error)} ({where})", file=sys.stderr)
        return 1
    return code


def _run(argv: list[str] | None) -> int:
    parser = parser_of(RUNS)
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "run"):
        parser.print_help(sys.stderr)
        return 2
    told, serves = getattr(arguments, "json", False), arguments.run is _serve
    as_json, told = told and serves, told and not serves  # what it logs, or what it prints
    logs.begin(verbose=arguments.verbose, as_json=as_json)
    # Standard output may be where the video goes.
    taken = told and Path(getattr(arguments, "output", "")) == STANDARD_OUTPUT
    try:
        if taken:
            raise ParlanteError(
                "--json prints on standard output, where the video goes; name a file"
            )
        with ended_by_signals():
            try:
                return int(arguments.run(arguments))
            except Exception:
                check()  # a library may make an error of its own of what a signal raised
                raise
    except ParlanteError as error:
        logs.failed(error, as_json=as_json)
        if told and not taken:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        return 1
    except EndedError as ended:
        return 128 + ended.number


def _speak(arguments: argparse.Namespace) -> int:
    from parlante.app.speak import run

    return run(arguments)


def _batch(arguments: argparse.Namespace) -> int:
    from parlante.app.batch import run
    from parlante.app.jobs import Setting, jobs_of

    setting = Setting(
        render_options(arguments),
        coding_of(arguments),
        compute_of(arguments),
        arguments.face,
        arguments.bundle,
    )
    jobs = jobs_of(arguments.table, arguments.output, setting)
    arguments.output.mkdir(parents=True, exist_ok=True)
    failed, told = 0, sys.stdout
    records = run(jobs, arguments.output, max(1, arguments.workers), ray=arguments.ray)
    with redirect_stdout(sys.stderr):  # Ray and other libraries print, too
        for record in tqdm(records, total=len(jobs), unit="video", disable=None):
            print(json.dumps(record), file=told, flush=True)
            failed += record["state"] == "failed"
    return 1 if failed else 0


def _live(arguments: argparse.Namespace) -> int:
    from parlante.app.live import run

    return run(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    from parlante.app.serve import serve
    from parlante.app.viewer import Attraction

    options = render_options(arguments)
    attraction = None
    if arguments.attract is not None:
        attraction = Attraction.read(arguments.attract, arguments.attract_after)
    with demo() as (photo, _):
        faces = avatars_of(arguments, arguments.photo or [photo])
    serve(
        faces,
        host=arguments.host,
        port=arguments.port,
        options=options,
        sessions=arguments.sessions,
        voices=list(filter(None, arguments.voice.split(","))),
        attraction=attraction,
        token=os.environ.get("PARLANTE_TOKEN"),
        certificate=arguments.certificate,
    )
    return 0


def _encode(arguments: argparse.Namespace) -> int:
    from parlante.app.speak import tell_written
    from parlante.media.files import keep_inputs

    keep_inputs(arguments.output, arguments.photo)
    avatar, replaces = avatar_of(arguments, arguments.photo), arguments.output.exists()
    avatar.save(arguments.output)
    tell_written(arguments.output, replaces=replaces)
    if arguments.json:
        print(json.dumps({"output": str(arguments.output)}))
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from parlante.app.bench import measure, table

    result = measure(
        render_options(arguments),
        compute_of(arguments),
        bundle_of(arguments.bundle),
        arguments.photo,
    )
    print(json.dumps(result, indent=1) if arguments.json else table(result))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from parlante.app.verify import run

    return run(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from parlante.app.doctor import report, text

    found = report()
    print(json.dumps(found, indent=1) if arguments.json else text(found))
    return 0 if found["ok"] else 1


def _completion(arguments: argparse.Namespace) -> int:
    from parlante.app.completion import script

    print(script(parser_of(RUNS), arguments.shell))
    return 0


RUNS = {
    "speak": _speak,
    "batch": _batch,
    "live": _live,
    "serve": _serve,
    "encode": _encode,
    "bench": _bench,
    "verify": _verify,
    "doctor": _doctor,
    "completion": _completion,
}


if __name__ == "__main__":
    sys.exit(main())
