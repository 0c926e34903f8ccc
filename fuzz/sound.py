"""Damaged sound files against the reader: ``python -m fuzz.sound --files 12000``.

One small file of every container, codec and channel layout that can be written here is damaged at
random, by flipped bits, overwritten bytes or a cut, and read in child processes. A file that cannot
be read has to end in an `AudioError`. Everything else is counted and, with ``--keep DIR``, kept: a
child that is killed by a signal, one that takes longer than `LIMIT_S` for a file, any other
exception. The same seed damages the same files in the same way.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

RATE = 48_000
LIMIT_S = 20  # for one file; whole ones take milliseconds
# suffix, container, codec. Left out: formats that FFmpeg reads and does not write (ape, amr).
CODINGS = (
    *((".wav", "wav", f"pcm_{kind}") for kind in ("u8", "s16le", "s24le", "s32le", "s64le")),
    *((".wav", "wav", f"pcm_{kind}") for kind in ("f32le", "f64le", "alaw", "mulaw")),
    (".wav", "wav", "adpcm_ms"),
    (".w64", "w64", "pcm_s16le"),
    (".aiff", "aiff", "pcm_s16be"),
    (".au", "au", "pcm_s16be"),
    (".caf", "caf", "pcm_s24le"),
    (".flac", "flac", "flac"),
    (".mp3", "mp3", "libmp3lame"),
    (".ogg", "ogg", "flac"),
    (".opus", "ogg", "libopus"),
    (".m4a", "ipod", "aac"),
    (".m4a", "ipod", "alac"),
    (".mp4", "mp4", "aac"),
    (".mp4", "mp4", "libopus"),
    (".mov", "mov", "pcm_s16le"),
    (".mov", "mov", "aac"),
    (".mkv", "matroska", "aac"),
    (".mkv", "matroska", "flac"),
    (".mkv", "matroska", "wavpack"),
    (".mkv", "matroska", "tta"),
    (".webm", "webm", "libopus"),
    (".aac", "adts", "aac"),
    (".ac3", "ac3", "ac3"),
    (".eac3", "eac3", "eac3"),
    (".wma", "asf", "pcm_s16le"),
    (".wma", "asf", "aac"),
    (".avi", "avi", "pcm_s16le"),
    (".avi", "avi", "aac"),
    (".flv", "flv", "aac"),
    (".flv", "flv", "libmp3lame"),
    (".mpg", "mpeg", "mp2"),
    (".mpg", "mpeg", "pcm_dvd"),
    (".ts", "mpegts", "aac"),
    (".ts", "mpegts", "libopus"),
    (".wv", "wv", "wavpack"),
    (".tta", "tta", "tta"),
)
LAYOUTS = ("mono", "stereo", "5.1", "7.1", "9 channels", "hexadecagonal")

# A QuickTime file says which channel is which by a tag; these two differ in the order of three
# channels: left, right, centre; and centre, left, right.
_TAG_LRC, _TAG_CLR = (tag.to_bytes(4, "big") for tag in ((113 << 16) | 3, (114 << 16) | 3))


def signal(channels: int, seconds: float) -> NDArray[np.int16]:
    """Samples [n, channels] at `RATE`, each channel another tone and loudness."""
    t = np.arange(round(seconds * RATE))[:, None] / RATE
    channel = np.arange(channels)
    tones = np.sin(2 * np.pi * (220 + 60 * channel) * t + channel) * (0.9 - 0.7 * channel / 16)
    return np.round(tones * 20_000).astype(np.int16)


def write(path: Path, samples: NDArray[np.int16], layout: str, container: str, codec: str) -> None:
    """Write samples [n, channels] at `RATE` with FFmpeg.

    Raises:
        ValueError, av.FFmpegError: the codec or container does not take that layout.
    """
    with av.open(f"file:{path}", "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE, layout=layout)
        for start in range(0, len(samples), 1000):
            part = samples[start : start + 1000]
            frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), "s16", layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def write_listed(path: Path, samples: NDArray[np.int16]) -> None:
    """A QuickTime file, PCM, of samples [n, 3] whose order of channels has no name."""
    write(path, samples, "3.0", "mov", "pcm_s16le")
    data = path.read_bytes()
    if data.count(_TAG_LRC) != 1:
        raise ValueError("this FFmpeg writes another channel tag")
    path.write_bytes(data.replace(_TAG_LRC, _TAG_CLR))


def corpus(folder: Path, seconds: float = 0.2) -> list[Path]:
    """Write a whole file of every coding and layout that can be written; the files, sorted."""
    for number, (suffix, container, codec) in enumerate(CODINGS):
        for layout in LAYOUTS:
            channels = av.AudioLayout(layout).nb_channels
            path = folder / f"{number:02}-{codec}-{channels:02}{suffix}"
            try:
                write(path, signal(channels, seconds), layout, container, codec)
            except (ValueError, av.FFmpegError):
                path.unlink(missing_ok=True)  # a layout that this codec does not know
    write_listed(folder / "listed.mov", signal(3, seconds))
    return sorted(folder.iterdir())


def damaged(data: bytes, seed: int, number: int) -> bytes:
    """One of endlessly many damaged copies of a file."""
    random = np.random.default_rng((seed, number))
    out = bytearray(data)
    # Half of the damage is where the headers are.
    reach = min(len(out), 600) if random.random() < 0.5 else len(out)
    for _ in range(int(random.integers(1, 9))):
        at = int(random.integers(reach))
        out[at] ^= 1 << int(random.integers(8))
    if random.random() < 0.25:
        at = int(random.integers(reach))
        many = int(random.integers(1, 16))
        out[at : at + many] = random.bytes(many)
    if random.random() < 0.25:
        del out[int(random.integers(1, len(out))) :]
    return bytes(out)


@dataclass
class Outcome:
    """What became of the files.

    counts: files by what they did; found: number of each file that has to be mended, and what it
    did.
    """

    counts: Counter[str] = field(default_factory=Counter)
    found: list[tuple[int, str]] = field(default_factory=list)


def run(folder: Path, seed: int, numbers: range) -> Outcome:
    """Read the damaged files of those numbers in child processes."""
    outcome, left = Outcome(), numbers
    while left:
        command = [sys.executable, "-m", "fuzz.sound", "--child", str(folder), "--seed", str(seed)]
        command += ["--first", str(left.start), "--files", str(len(left))]
        # File after file, the child says what came of each.
        child = subprocess.run(command, capture_output=True, text=True, errors="replace")
        lines = child.stdout.splitlines()
        for number, line in zip(left, lines, strict=False):
            outcome.counts[line.partition(":")[0]] += 1
            if line.startswith("exception"):
                outcome.found.append((number, line))
        left = left[len(lines) :]
        if child.returncode and left:
            what = f"signal {-child.returncode}" if child.returncode < 0 else child.stderr[-500:]
            outcome.counts[what.partition(":")[0]] += 1
            outcome.found.append((left[0], what))
            left = left[1:]
    return outcome


def _child(folder: Path, seed: int, numbers: range) -> None:
    # Here, not above: the parent needs neither.
    import signal as signals

    from parlante.errors import AudioError
    from parlante.speech.audio import decode_audio

    av.logging.set_level(av.logging.PANIC)
    files = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        for number, data in _all_damaged(files, seed, numbers):
            path = Path(scratch) / f"damaged{files[number % len(files)].suffix}"
            path.write_bytes(data)
            if hasattr(signals, "alarm"):
                signals.alarm(LIMIT_S)  # its default is to end the process
            try:
                count = sum(len(chunk) for chunk in decode_audio(path))
                line = "read" if count else "exception: no samples and no error"
            except AudioError:
                line = "refused"
            except Exception as error:
                line = f"exception: {type(error).__name__}: {error}"
            print(line.replace("\n", " "), flush=True)


def _all_damaged(files: list[Path], seed: int, numbers: range) -> Iterator[tuple[int, bytes]]:
    for number in numbers:
        yield number, damaged(files[number % len(files)].read_bytes(), seed, number)


def _keep(folder: Path, files: list[Path], seed: int, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, _ in outcome.found:
        source = files[number % len(files)]
        data = damaged(source.read_bytes(), seed, number)
        (folder / f"{seed}-{number}-{source.name}").write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=12_000, help="damaged files to read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=500, help="files a child process")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where files to mend are kept")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        _child(given.child, given.seed, range(given.first, given.first + given.files))
        return 0
    total = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        files = corpus(Path(folder))
        with tqdm(total=given.files, unit="file") as bar:
            for start in range(0, given.files, given.batch):
                numbers = range(start, min(start + given.batch, given.files))
                part = run(Path(folder), given.seed, numbers)
                total.counts += part.counts
                total.found += part.found
                bar.update(len(numbers))
        if given.keep is not None:
            _keep(given.keep, files, given.seed, total)
        print(f"{len(files)} whole files; damaged: {dict(total.counts)}")
        for number, what in total.found:
            print(f"{number} {files[number % len(files)].name}: {what}")
    return 1 if total.found else 0


if __name__ == "__main__":
    sys.exit(main())
