"""Strangers' sound files, decoded in a process of its own: what goes wrong in there ends only it.

``python -m parlante.app.decoding`` is that process. It reads the path of one file from standard
input, and writes to standard output a line of JSON and, where that says no ``error``, the samples
as float32. It may take so much memory and time, and writes to no file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Lock, Timer
from typing import Final

import numpy as np

from parlante._core import Resampler
from parlante.contract import Float
from parlante.errors import AudioError, ParlanteError
from parlante.speech.audio import check_sample_rate, read_audio

if sys.platform != "win32":
    import resource

LONGEST_S: Final = 120  # of sound
FASTEST: Final = 48_000  # Hz: as finely as a session plays it
TIME_S: Final = 30.0  # until the process is killed
CPU_S: Final = 20
# Bytes of addresses: twice the longest sound at the highest rate, and code.
MEMORY: Final = 3 * 2**30
_HEAD: Final = 4096  # bytes of the line of JSON, at most
_MOST: Final = _HEAD + LONGEST_S * FASTEST * 4
_SECRET: Final = "PARLANTE_TOKEN"  # nothing that the process needs


class Decoder:
    """Decodes files, each in a new process; one is kept ready. Any thread may use it."""

    def __init__(self, time_s: float = TIME_S) -> None:
        """``time_s``: seconds after which a process is killed."""
        self._time_s, self._lock = time_s, Lock()
        self._ready: subprocess.Popen[bytes] | None = None
        self._open = False

    def open(self) -> None:
        """Have a process ready from now on."""
        self._open = True
        self._prepare()

    def decode(self, body: bytes) -> tuple[Float, int]:
        """All sound of a file with these contents, as `read_audio` gives it, at 48 kHz at most.

        Raises:
            AudioError: the file cannot be used, or to decode it takes too much time or memory.
        """
        with self._lock:
            process, self._ready = self._ready or _started(), None
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "sound"
                path.write_bytes(body)
                answer = _answer(process, path, self._time_s)
        finally:
            _end(process)
            self._prepare()
        return _understood(answer)

    def close(self) -> None:
        """End the process that is ready."""
        with self._lock:
            process, self._ready, self._open = self._ready, None, False
        if process is not None:
            _end(process)

    def _prepare(self) -> None:
        with self._lock:
            if self._open and self._ready is None:
                self._ready = _started()


def _started() -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != _SECRET}
    return subprocess.Popen(
        [sys.executable, "-m", "parlante.app.decoding"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _answer(process: subprocess.Popen[bytes], path: Path, time_s: float) -> bytes:
    """All that a process says of a file; it is killed after ``time_s`` seconds."""
    assert process.stdin is not None and process.stdout is not None
    timer = Timer(time_s, process.kill)
    timer.start()
    try:
        process.stdin.write(f"{path}\n".encode())
        process.stdin.close()
        return process.stdout.read(_MOST)
    except OSError:
        return b""  # it is gone
    finally:
        timer.cancel()


def _understood(answer: bytes) -> tuple[Float, int]:
    """Samples and rate; the process that read a stranger's file is not trusted."""
    head, _, data = answer.partition(b"\n")
    try:
        told = json.loads(head[:_HEAD])
        if "error" in told:
            raise AudioError(str(told["error"]))
        if len(data) == told["bytes"]:
            return np.frombuffer(data, "<f4"), check_sample_rate(told["rate"])
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # it ended before its answer did
    raise AudioError(
        "the file takes too much time or memory to decode, or is damaged; convert it to a short WAV"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(OSError), process:
        pass


def confine() -> None:
    """Give this process limits, as far as the system has them; none on Windows.

    Of addresses, processor time and files, and, where Linux and Python 3.12 allow it, no network.
    """
    if sys.platform != "win32":
        for kind, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_CPU, CPU_S),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of addresses
                resource.setrlimit(kind, (most, most))
    if sys.version_info >= (3, 12) and sys.platform == "linux":
        with contextlib.suppress(OSError):  # of the kernel, or the container's rules
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)


def _slower(samples: Float, rate: int) -> tuple[Float, int]:
    """The same sound at 48 kHz, where its rate is higher: others would need much memory for it."""
    if rate <= FASTEST:
        return samples, rate
    resampler = Resampler(rate, FASTEST)
    return np.concatenate([resampler.process(samples), resampler.flush()]), FASTEST


def main() -> None:
    """Decode one file."""
    confine()
    path = sys.stdin.buffer.readline().decode().rstrip("\n")
    if not path:
        return  # the server has gone
    out = sys.stdout.buffer
    try:
        samples, rate = _slower(*read_audio(Path(path), LONGEST_S))
    except ParlanteError as error:
        said = str(error).replace(path, "the file")  # where it lay is nobody's business
        out.write(json.dumps({"error": said}).encode() + b"\n")
    else:
        out.write(json.dumps({"rate": rate, "bytes": samples.nbytes}).encode() + b"\n")
        out.write(samples.astype("<f4", copy=False).data)
    out.flush()
    os._exit(0)  # nothing is left to be done


if __name__ == "__main__":
    main()
