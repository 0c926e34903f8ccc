"""The native ops on several threads: whoever calls them, however many, the same bits."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import visual_samples as samples
from parlante import _core

SIZE = (52, 48)


def composed(arrays: dict[str, Any], threads: int, rows: int = 150) -> NDArray[np.uint8]:
    out = np.zeros((rows, 140, 3), np.uint8)
    _core.compose(**arrays, out=out, threads=threads)
    return out


def arrays(seed: int = 0, rows: int = 150) -> dict[str, Any]:
    return samples.compose_sample(np.random.default_rng(seed), (rows, 140), SIZE)


@pytest.mark.parametrize("threads", [2, 3, 4, 7, 64])
def test_any_number_of_threads(threads: int) -> None:
    given = arrays()
    np.testing.assert_array_equal(composed(given, threads), composed(given, 1))


def test_fewer_rows_than_threads() -> None:
    given = arrays(rows=3)
    np.testing.assert_array_equal(composed(given, 8, 3), composed(given, 1, 3))


def test_callers_at_once() -> None:
    """They share the threads, and never each other's work."""
    given = [arrays(seed) for seed in range(8)]
    alone = [composed(a, 1) for a in given]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            together = list(pool.map(lambda a: composed(a, 3), given))
            for one, other in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, other)


FORK = """
import os
import numpy as np
from tests.ops.test_threads import arrays, composed

given = arrays()
alone = composed(given, 1)
assert np.array_equal(composed(given, 3), alone)  # the threads are there now
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(composed(given, 3), alone) else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(composed(given, 3), alone)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_has_threads_of_its_own() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FORK], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
