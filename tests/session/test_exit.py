"""A session that nobody closes when the interpreter ends."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from parlante import Avatar
from parlante.runtime.assets import demo

SESSION = """
import sys, threading, time
import numpy as np
from parlante import Avatar
avatar = Avatar.load(sys.argv[1])
drawn = threading.Event()
live = avatar.live(size=128, steps=1, on_frame=lambda frame: {callback})
live.push_audio(np.sin(np.arange(32_000, dtype=np.float32) / 10) / 3)
assert drawn.wait(30)
time.sleep(float(sys.argv[2]))
{end}
"""


def ends(face: Path, delay: float, callback: str = "drawn.set()", end: str = "") -> tuple[int, str]:
    program = SESSION.format(callback=callback, end=end)
    command = [sys.executable, "-c", program, str(face), str(delay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def encoded(folder: Path) -> Path:
    with demo() as (photo, _):
        Avatar(photo, cache=False).save(folder / "face.npz")
    return folder / "face.npz"


def test_the_process_ends_well_twenty_times(tmp_path: Path) -> None:
    face = encoded(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        # At different moments of a frame, which takes 40 ms.
        got = list(pool.map(lambda i: ends(face, i * 0.007), range(20)))
    assert got == [(0, "")] * 20


def test_the_end_by_an_error_and_from_the_callback(tmp_path: Path) -> None:
    face = encoded(tmp_path)
    assert ends(face, 0.05, end="sys.exit(3)") == (3, "")
    status, said = ends(face, 0.05, end="raise ValueError('enough')")
    assert status == 1 and said.strip().endswith("ValueError: enough")
    assert ends(face, 0.05, callback="(drawn.set(), live.close())") == (0, "")
    # A callback that never returns: the process ends all the same.
    assert ends(face, 0.05, callback="(drawn.set(), threading.Event().wait())") == (0, "")
