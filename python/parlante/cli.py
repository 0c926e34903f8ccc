"""Command line: ``parlante speak | live | serve | encode | bench | doctor``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from parlante import __version__
from parlante.errors import OutputError, ParlanteError

if TYPE_CHECKING:
    from parlante.avatar import Avatar
    from parlante.bundle import Bundle
    from parlante.live import Live
    from parlante.video import CameraWriter, StreamWriter, VideoWriter

READ_AHEAD_S = 5.0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0, or 1 after printing a `ParlanteError`, or 130 when
    interrupted."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except ParlanteError as error:
        print(f"parlante: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parlante", description="One portrait and any speech in, a talking video out."
    )
    parser.add_argument("--version", action="version", version=f"parlante {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what is done")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    speak = commands.add_parser("speak", help="make a video of a photo speaking")
    speak.add_argument(
        "photo",
        nargs="*",
        help="PHOTO … AUDIO: one or more photos, or a short video, then the speech",
    )
    speak.add_argument("--demo", action="store_true", help="use the built-in photo and voice")
    speak.add_argument(
        "-o", "--output", type=Path, default=Path("speech.mp4"), help=".mp4, .mov or .mkv"
    )
    _render_options(speak)
    speak.add_argument("--fps", type=float, default=25)
    speak.add_argument(
        "--face", type=int, help="which face, where there are several; 0 is the largest"
    )
    for gain, what in (("pose", "head motion"), ("blink", "blinks"), ("expression", "lip motion")):
        speak.add_argument(f"--{gain}", type=float, default=1.0, help=f"strength of {what}, 0 to 2")
    speak.set_defaults(run=_speak)

    live = commands.add_parser(
        "live", help="speak standard input, as it arrives, into a file, a stream or a camera"
    )
    live.add_argument("photo", nargs="*", help="photos, or a short video; none for the demo")
    live.add_argument(
        "-o",
        "--output",
        required=True,
        help="rtmp://, udp://, tcp://, srt://, camera: or camera:DEVICE (virtual), or a video file",
    )
    live.add_argument(
        "--rate", type=int, default=16_000, help="Hz of the input: int16, mono, no header"
    )
    live.add_argument("--fps", type=float, default=25)
    live.add_argument("--green", action="store_true", help="a chroma-key background")
    _render_options(live)
    live.set_defaults(run=_live)

    serve = commands.add_parser("serve", help="a web page on which the face listens and speaks")
    serve.add_argument("photo", nargs="*", help="photos, or a short video; none for the demo")
    serve.add_argument("--host", default="127.0.0.1", help="another one asks for a token")
    serve.add_argument("--port", type=int, default=8080)
    _render_options(serve)
    serve.set_defaults(run=_serve)

    encode = commands.add_parser("encode", help="encode a face once, for Avatar.load")
    encode.add_argument("photo", nargs="+")
    encode.add_argument("-o", "--output", type=Path, required=True, help=".npz")
    encode.add_argument("--face", type=int)
    encode.add_argument("--device", default="cpu")
    encode.set_defaults(run=_encode)

    bench = commands.add_parser("bench", help="measure this machine")
    _render_options(bench)
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    bench.set_defaults(run=_bench)

    doctor = commands.add_parser(
        "doctor", help="what is installed, which devices there are, is the bundle whole"
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _render_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        type=int,
        default=256 if parser.prog.endswith("bench") else 512,
        help="side of the picture, pixels",
    )
    parser.add_argument("--steps", type=int, default=2, help="diffusion steps a frame")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, openvino, cuda or auto")
    parser.add_argument(
        "--precision", default="float32", help="of the renderer: float32, int8 or float16"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="networks to use instead of the built-in ones"
    )


def _speak(arguments: argparse.Namespace) -> int:
    if arguments.demo:
        if arguments.photo:
            raise ParlanteError("--demo brings its own photo and voice; leave the files out")
        with as_file(files("parlante") / "demo") as demo:
            _render(arguments, [demo / "portrait.jpg"], demo / "speech.flac")
    elif len(arguments.photo) < 2:
        raise ParlanteError(
            "give a photo and a speech file: parlante speak PHOTO AUDIO -o OUT.mp4 (or --demo)"
        )
    else:
        *photos, audio = (Path(name) for name in arguments.photo)
        _render(arguments, photos, audio)
    return 0


def _bundle(arguments: argparse.Namespace) -> Bundle | None:
    from parlante.bundle import Bundle

    return None if arguments.bundle is None else Bundle.open(arguments.bundle)


def _render(arguments: argparse.Namespace, photos: list[Path], audio: Path) -> None:
    from parlante.avatar import Avatar

    avatar = Avatar(
        photos,
        face=arguments.face,
        device=arguments.device,
        precision=arguments.precision,
        threads=arguments.threads,
        bundle=_bundle(arguments),
    )
    speech = avatar.speak(
        audio,
        steps=arguments.steps,
        seed=arguments.seed,
        size=arguments.size,
        fps=arguments.fps,
        pose=arguments.pose,
        blink=arguments.blink,
        expression=arguments.expression,
    )
    with tqdm(total=speech.len_hint, unit="frame", desc=arguments.output.name) as bar:
        speech.save(arguments.output, progress=lambda count: bar.update(count - bar.n))


def _live(arguments: argparse.Namespace) -> int:
    from parlante.audio import check_sample_rate
    from parlante.avatar import frame_rate

    rate = check_sample_rate(arguments.rate)
    avatar = _avatar(arguments)
    fps = frame_rate(arguments.fps)
    with (
        avatar.live(
            steps=arguments.steps,
            seed=arguments.seed,
            size=arguments.size,
            fps=fps,
            background="green" if arguments.green else None,
        ) as session,
        _output(arguments.output, arguments.size, fps) as out,
        tqdm(unit="frame", desc=arguments.output) as bar,
    ):
        Thread(target=_feed, args=(session, rate), daemon=True).start()
        for frame in session:
            out.write(frame.image, frame.audio)
            bar.update()
    return 0


def _output(name: str, size: int, fps: Fraction) -> CameraWriter | StreamWriter | VideoWriter:
    from parlante.video import CameraWriter, StreamWriter, VideoWriter

    if "://" in name:
        return StreamWriter(name, width=size, height=size, fps=fps)
    if name.startswith("camera:"):
        device = name.removeprefix("camera:") or None
        return CameraWriter(device, width=size, height=size, fps=fps)
    return VideoWriter(name, width=size, height=size, fps=fps)


def _feed(session: Live, rate: int) -> None:
    """Push standard input, no further ahead than READ_AHEAD_S, and end the session's input."""
    rest = b""
    while piece := os.read(0, 1 << 13):
        rest += piece
        whole = len(rest) // 2 * 2
        session.push_audio(np.frombuffer(rest[:whole], "<i2"), rate)
        rest = rest[whole:]
        while session.status().queued_s > READ_AHEAD_S:
            time.sleep(0.1)
    session.close_input()


def _avatar(arguments: argparse.Namespace) -> Avatar:
    """Of the photos given, or the demo's."""
    from parlante.avatar import Avatar

    with as_file(files("parlante") / "demo") as demo:
        photos = arguments.photo or [demo / "portrait.jpg"]
        return Avatar(
            photos,
            device=arguments.device,
            precision=arguments.precision,
            threads=arguments.threads,
            bundle=_bundle(arguments),
        )


def _serve(arguments: argparse.Namespace) -> int:
    from parlante.serve import serve

    serve(
        _avatar(arguments),
        host=arguments.host,
        port=arguments.port,
        steps=arguments.steps,
        seed=arguments.seed,
        size=arguments.size,
    )
    return 0


def _encode(arguments: argparse.Namespace) -> int:
    from parlante.avatar import Avatar

    avatar = Avatar(arguments.photo, face=arguments.face, device=arguments.device)
    avatar.save(arguments.output)
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from parlante.bench import measure, table

    if arguments.json is not None and not arguments.json.parent.is_dir():
        raise OutputError(f"{arguments.json.parent} is no folder; create it for the figures first")
    result = measure(
        size=arguments.size,
        steps=arguments.steps,
        seed=arguments.seed,
        device=arguments.device,
        precision=arguments.precision,
        threads=arguments.threads,
        bundle=_bundle(arguments),
    )
    print(table(result))
    if arguments.json is not None:
        try:
            arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        except OSError as error:
            raise OutputError(f"{arguments.json} cannot be written: {error.strerror}") from error
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from parlante.doctor import report, text

    found = report()
    print(text(found))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
