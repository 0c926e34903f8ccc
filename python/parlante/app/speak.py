"""`parlante speak`: a video of a photo that speaks, and captions of what is said."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from parlante.app.arguments import avatar_of, coding_of, render_options
from parlante.app.signals import check
from parlante.app.spool import spooled_sound
from parlante.errors import ParlanteError
from parlante.media.captions import captions_beside, read_transcript, write_captions
from parlante.media.files import keep_inputs
from parlante.runtime.assets import demo

STANDARD_INPUT = Path("-")


def run(arguments: argparse.Namespace) -> int:
    """Make the video that the command line asks for, and the captions; returns 0."""
    if arguments.demo:
        if arguments.files:
            raise ParlanteError("--demo brings its own photo and voice; leave the files out")
        with demo() as (photo, voice):
            _render(arguments, [photo], voice)
    elif len(arguments.files) < 2:
        raise ParlanteError(
            "give a photo and a speech file: parlante speak PHOTO AUDIO -o OUT.mp4 (or --demo)"
        )
    else:
        *photos, audio = arguments.files
        with spooled_sound() if audio == STANDARD_INPUT else nullcontext(audio) as sound:
            _render(arguments, photos, sound)
    return 0


def _render(arguments: argparse.Namespace, photos: list[Path], audio: Path) -> None:
    transcript: Path | None = arguments.transcript
    beside: tuple[Path, ...] = ()
    said = ""
    if transcript is not None:
        beside, said = captions_beside(arguments.output), read_transcript(transcript)
    inputs = [*photos, audio, arguments.background, transcript]
    for written in (arguments.output, *beside):
        keep_inputs(written, inputs)
    options = render_options(arguments)
    speech = avatar_of(arguments, photos).speak(audio, options=options)
    replaces = arguments.output.is_file()
    # Without a terminal there is no bar.
    with tqdm(total=speech.len_hint, unit="frame", desc=arguments.output.name, disable=None) as bar:

        def drawn(count: int) -> None:
            check()
            bar.update(count - bar.n)

        speech.save(arguments.output, **asdict(coding_of(arguments)), progress=drawn)
    tell_written(arguments.output, replaces=replaces)
    captions = speech.captions(said) if beside else []
    for path in beside:
        replaces = path.is_file()
        write_captions(path, captions)
        tell_written(path, replaces=replaces)
    if options.seed is None:
        print(
            f"parlante: --seed {speech.seed} moves head and eyes like that again", file=sys.stderr
        )
    if arguments.json:
        told = {
            "output": str(arguments.output),
            "captions": list(map(str, beside)),
            "frames": speech.times.frames,
            "fps": str(options.rate),
            "size": speech.size,
            "seed": speech.seed,
        }
        print(json.dumps(told))


def tell_written(path: Path, *, replaces: bool) -> None:
    """Tell that a file was written, or took the place of another."""
    what = "replaced" if replaces else "wrote"
    print(f"parlante: {what} {path}", file=sys.stderr)
