"""What the command line takes: the parser of each command."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from parlante import __version__
from parlante.app.arguments import (
    add_avatar_options,
    add_coding_options,
    add_compute_options,
    add_render_options,
)
from parlante.app.parser import Parser
from parlante.contract import SAMPLE_RATE

PHOTOS = "one or more photos of a person, a short video, or a face made by encode"
FACES = "faces to choose from, each a photo, a short video, or one made by encode"


def parser_of(runs: Mapping[str, Callable[[argparse.Namespace], int]]) -> Parser:
    """The parser of all commands; ``runs`` has what runs each."""
    parser = Parser(
        prog="parlante",
        description="One portrait and any speech in, a talking video out.",
        epilog="Begin with: parlante speak --demo -o demo.mp4",
    )
    parser.add_argument("--version", action="version", version=f"parlante {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what is done")
    commands = parser.add_subparsers(metavar="COMMAND")
    _speak_parser(commands.add_parser("speak", help="make a video of a photo speaking"))
    _batch_parser(commands.add_parser("batch", help="make many videos from a table, on all cores"))
    _live_parser(
        commands.add_parser(
            "live", help="speak standard input, as it arrives, into a file, a stream or a camera"
        )
    )
    _serve_parser(
        commands.add_parser("serve", help="a web page on which the face listens and speaks")
    )
    encode = commands.add_parser("encode", help="encode a face once, for the other commands")
    encode.add_argument("photo", nargs="+", type=Path, help="one or more photos, or a short video")
    encode.add_argument("-o", "--output", type=Path, required=True, help=".npz")
    _add_json(encode)
    add_avatar_options(encode)

    bench = commands.add_parser("bench", help="measure this machine with the built-in demo")
    bench.add_argument("photo", nargs="?", type=Path, help="of a face; the demo's if left out")
    _add_json(bench)
    add_render_options(bench, size=256)
    add_compute_options(bench.add_argument_group("the networks"))

    verify = commands.add_parser("verify", help="does a video say that it was made, unchanged?")
    verify.add_argument("file", type=Path, help="a video or a picture")
    _add_json(verify)

    doctor = commands.add_parser(
        "doctor", help="what is installed, which devices there are, is the bundle whole"
    )
    _add_json(doctor)

    completion = commands.add_parser(
        "completion", help="print what makes a shell complete these commands"
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    for name, command in commands.choices.items():
        command.set_defaults(run=runs[name])
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print what came of it, or the error, as JSON"
    )


def _speak_parser(speak: argparse.ArgumentParser) -> None:
    speak.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="PHOTO … AUDIO",
        help=f"{PHOTOS}; then the speech, - for standard input",
    )
    speak.add_argument("--demo", action="store_true", help="use the built-in photo and voice")
    speak.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("speech.mp4"),
        help=".mp4, .mov, .mkv or .webm; shot/%%06d.png, a folder of pictures and sound; -, "
        "standard output as Matroska (default: speech.mp4)",
    )
    _add_json(speak)
    coding = add_coding_options(speak)
    coding.add_argument(
        "--transcript",
        type=Path,
        metavar="FILE",
        help="text that is said, UTF-8; captions of it are written beside the video, .srt and .vtt",
    )
    add_render_options(speak)
    add_avatar_options(speak)


def _batch_parser(batch: argparse.ArgumentParser) -> None:
    batch.add_argument(
        "table", type=Path, help="CSV with the columns photo, audio, output, and options"
    )
    batch.add_argument("-o", "--output", type=Path, required=True, help="folder of the videos")
    batch.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes (default: one a core)",
    )
    batch.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="make them on this Ray cluster (auto: the one that runs); without ADDRESS on a new "
        "one of this machine",
    )
    add_coding_options(batch)
    add_render_options(batch)
    add_avatar_options(batch)
    batch.set_defaults(threads=1)


def _live_parser(live: argparse.ArgumentParser) -> None:
    live.add_argument("photo", nargs="*", type=Path, help=f"{PHOTOS}; none for the demo")
    live.add_argument(
        "-o",
        "--output",
        required=True,
        help="rtmp://, rtmps://, udp://, tcp://, or srt:// where `parlante doctor` lists it; "
        "camera: or camera:DEVICE (virtual); or a video file",
    )
    live.add_argument(
        "--rate",
        type=int,
        default=SAMPLE_RATE,
        metavar="HZ",
        help=f"of the input, which is int16, mono, without header (default: {SAMPLE_RATE})",
    )
    live.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds for which a stream that is lost is tried again (default: 30)",
    )
    _add_json(live)
    add_render_options(live)
    add_avatar_options(live)


def _serve_parser(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("photo", nargs="*", type=Path, help=f"{FACES}; none for the demo")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="default: 127.0.0.1; another one asks for a token: PARLANTE_TOKEN of the environment, "
        "or a new one",
    )
    serve.add_argument("--port", type=int, default=8080, help="default: 8080")
    serve.add_argument(
        "--sessions", type=int, default=2, metavar="N", help="at a time (default: 2)"
    )
    serve.add_argument("--voice", default="", metavar="NAMES", help="of espeak-ng: de,en-gb …")
    serve.add_argument(
        "--attract", type=Path, metavar="SOUND", help="the face says it while nobody speaks to it"
    )
    serve.add_argument(
        "--attract-after",
        type=float,
        default=45.0,
        metavar="S",
        help="seconds of silence before it (default: 45)",
    )
    serve.add_argument(
        "--certificate",
        type=Path,
        nargs=2,
        metavar=("CERT", "KEY"),
        help="PEM files, to serve https; other machines' browsers then give the microphone",
    )
    serve.add_argument("--json", action="store_true", help="log as JSON, a line an event")
    add_render_options(serve)
    add_avatar_options(serve)
