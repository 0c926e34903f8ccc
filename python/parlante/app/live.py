"""Standard input spoken as it arrives: ``parlante live``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import numpy as np
from tqdm import tqdm

from parlante.app.arguments import avatar_of, render_options
from parlante.app.signals import ENDINGS, EndedError, handled
from parlante.avatar import Avatar
from parlante.contract import SAMPLE_RATE
from parlante.errors import ParlanteError, SessionClosedError
from parlante.media.camera import CameraWriter
from parlante.media.codecs import AAC_RATES
from parlante.media.files import keep_inputs
from parlante.media.stream import StreamWriter
from parlante.media.writer import VideoWriter, rates_of
from parlante.options import RenderOptions
from parlante.provenance.manifest import seal_of
from parlante.runtime.assets import demo
from parlante.session.live import Live
from parlante.speech.audio import check_sample_rate
from parlante.speech.recording import STUDIO

READ_AHEAD_S = 5.0
CAMERA = "camera:"
_log = logging.getLogger("parlante")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns 0, or 128 and the number of the signal that ended it."""
    if "://" not in arguments.output:
        keep_inputs(Path(arguments.output), [*arguments.photo, arguments.background])
    rate, options = check_sample_rate(arguments.rate), render_options(arguments)
    if options.pixels != "rgb":
        raise ParlanteError(f"pixels={options.pixels!r}; files, streams and cameras take rgb")
    with demo() as (photo, _):
        avatar = avatar_of(arguments, arguments.photo or [photo])
    name = arguments.output
    heard = _sound_rate(name, rate)
    with (
        avatar.live(options=options, sound_rate=heard) as session,
        _output(arguments, avatar, options, heard) as out,
        tqdm(unit="frame", desc=name, disable=None) as bar,
    ):
        Thread(target=_feed, args=(session, rate), daemon=True).start()
        with _ended_by_signals(session) as came:
            for frame in session:
                out.write(frame.image, frame.audio)
                bar.update()
                if frame.pts == 0:
                    _log.info("the first frame is out")
    status = session.status()
    if repeated := status.repeated:
        print(
            f"parlante: {repeated} pictures were repeated, as this machine was too slow; a smaller "
            "--size, --precision int8 or, where others use its cores, --threads 1 is faster",
            file=sys.stderr,
        )
    if arguments.json:
        told = {
            "output": name,
            "frames": status.frames,
            "repeated": repeated,
            "seconds": round(float(status.frames / options.rate), 3),
        }
        print(json.dumps(told))
    return 128 + came[0] if came else 0


@contextmanager
def _ended_by_signals(session: Live) -> Iterator[list[int]]:
    """Signals end the session, so that what was written so far is finished.

    A second one ends the command. Yields the signals that came.
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        if came:
            raise EndedError(number)
        came.append(number)
        session.close()

    with handled(dict.fromkeys((signal.SIGINT, *ENDINGS), end)):
        yield came


def _sound_rate(name: str, rate: int) -> int:
    """Of the sound that is written: the input's, where the output can hold it."""
    if name.startswith(CAMERA):
        return SAMPLE_RATE  # nobody hears it
    rates = AAC_RATES if "://" in name else rates_of(Path(name))
    return rate if rate in rates else STUDIO


def _output(
    arguments: argparse.Namespace, avatar: Avatar, options: RenderOptions, rate: int
) -> CameraWriter | StreamWriter | VideoWriter:
    name = arguments.output
    (width, height), fps = avatar.portrait.frame_size(options.frame, options.size), options.rate
    if "://" in name:
        return StreamWriter(
            name,
            width=width,
            height=height,
            fps=fps,
            sample_rate=rate,
            patience=arguments.patience,
        )
    if name.startswith(CAMERA):
        device = name.removeprefix(CAMERA) or None
        return CameraWriter(device, width=width, height=height, fps=fps)
    seal = seal_of(Path(name), options.marks, None, avatar.portrait.key)
    return VideoWriter(name, width=width, height=height, fps=fps, sample_rate=rate, seal=seal)


def _feed(session: Live, rate: int) -> None:
    """Push standard input, no further ahead than READ_AHEAD_S, and end the session's input."""
    rest = b""
    # The session may be over before its input is; an input that cannot be read has ended.
    with suppress(SessionClosedError, OSError):
        while piece := os.read(0, 1 << 13):
            rest += piece
            whole = len(rest) // 2 * 2
            session.push_audio(np.frombuffer(rest[:whole], "<i2"), rate)
            rest = rest[whole:]
            while session.status().queued_s > READ_AHEAD_S:
                time.sleep(0.1)
    session.close_input()
