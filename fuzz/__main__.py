"""Random inputs against everything that takes them: ``python -m fuzz [NAME …] --seconds 60``.

The harnesses are programs of libFuzzer: C++ of `fuzz/native` for the native ops, built with the
sanitizers into `build/fuzz`; Python of `fuzz/python`, by atheris. What they find out about inputs
is kept in `build/fuzz/corpus`, so that the next run goes on from there; an input that ends one with
a crash, a hang, more memory than `MEMORY_MB` or an error that nobody raised on purpose, lies in
`build/fuzz/found`. ``python -m fuzz NAME --again FILE`` shows what it does.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "fuzz"
NATIVE = tuple(sorted(path.stem for path in (HERE / "native").glob("*.cpp")))
PYTHON = tuple(sorted(path.stem for path in (HERE / "python").glob("[a-z]*.py")))
KINDS = {"native": NATIVE, "python": PYTHON}
COMPILERS = ("clang++-16", "clang++")

INPUT_S = 20  # that one input may take
# Of the whole process. The largest photo that may be opened takes two thirds of it.
MEMORY_MB = 3072
LONGEST = {"photo": 1 << 16, "speech": 1 << 15, "video": 1 << 15, "face": 1 << 15}
LONGEST_OTHER = 1 << 12  # bytes


@dataclass(frozen=True)
class Result:
    """What became of a harness: executions, the seconds they took, and the inputs it ended with."""

    name: str
    executions: int
    seconds: float
    found: list[Path]


def build() -> None:
    """Build the native harnesses; SystemExit where there is no Clang."""
    compiler = next((name for name in COMPILERS if shutil.which(name)), None)
    if compiler is None:
        sys.exit(f"no {' or '.join(COMPILERS)}: libFuzzer comes with Clang")
    configure = ["cmake", "-S", str(HERE / "native"), "-B", str(BUILD)]
    subprocess.run([*configure, f"-DCMAKE_CXX_COMPILER={compiler}"], check=True, stdout=2)
    subprocess.run(["cmake", "--build", str(BUILD), "--parallel"], check=True, stdout=2)


def command(name: str) -> list[str]:
    """What runs a harness; libFuzzer's flags and inputs go after it."""
    if name in NATIVE:
        return [str(BUILD / name)]
    return [sys.executable, "-m", "fuzz.harness", name]


def run(name: str, seconds: int, seed: int) -> Result:
    """Run a harness until the time is up or an input ends it; ``seed`` 0 is another each time."""
    corpus, found = BUILD / "corpus" / name, BUILD / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(found.glob(f"{name}-*"))
    flags = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={INPUT_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LONGEST.get(name, LONGEST_OTHER)}",
        f"-artifact_prefix={found}/{name}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    seeds = HERE / "seeds" / name
    if seeds.is_dir():
        flags.append(str(seeds))
    began = time.monotonic()
    with (BUILD / f"{name}.log").open("w+", errors="replace") as log:
        done = subprocess.run([*command(name), *flags], stdout=log, stderr=log, check=False)
        log.seek(0)
        told = log.read()
    counts = re.findall(r"stat::number_of_executed_units: (\d+)", told)
    new = sorted(set(found.glob(f"{name}-*")) - before)
    if done.returncode and not new:
        sys.exit(f"{name} did not run:\n{told[-3000:]}")
    return Result(name, int(counts[-1]) if counts else 0, time.monotonic() - began, new)


def main(argv: list[str] | None = None) -> int:
    """Run the harnesses; returns 1 where one of them found something."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.split("\n")[0])
    names = (*NATIVE, *PYTHON)
    known = f"of {', '.join(names)}; native or python for all of a kind"
    parser.add_argument("names", nargs="*", metavar="NAME", help=known)
    parser.add_argument("--seconds", type=int, default=60, metavar="S", help="for each harness")
    parser.add_argument("--seed", type=int, default=0, help="the same inputs again; 0 for others")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one input alone")
    given = parser.parse_args(argv)
    chosen = [one for name in given.names for one in KINDS.get(name, (name,))] or list(names)
    if unknown := set(chosen) - set(names):
        parser.error(f"no harness {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if given.again is not None and len(chosen) != 1:
        parser.error("--again runs one harness: python -m fuzz NAME --again FILE")
    if any(name in NATIVE for name in chosen):
        build()
    if given.again is not None:
        return subprocess.run([*command(chosen[0]), str(given.again)], check=False).returncode
    print("| harness | executions | executions/s | found |\n| --- | ---: | ---: | --- |")
    failed = False
    for name in chosen:
        result = run(name, given.seconds, given.seed)
        failed |= bool(result.found)
        told = ", ".join(str(path) for path in result.found) or "nothing"
        rate = result.executions / result.seconds
        print(f"| {name} | {result.executions:,} | {rate:,.0f} | {told} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
