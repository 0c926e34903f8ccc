"""The native ops that draw a frame on the CPU, as one value.

The one between the networks, `denoise_step`, comes with the memory that they work in
(`parlante.render.memory`), which may be a GPU's. The kernels of `parlante._cuda` have the same
names and arguments, with a stream in the place of threads; those of the ops here are called by
benchmarks and tests only. (Resampling and log-mel belong to the sound, which stays on the CPU.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from parlante import _core


@dataclass(frozen=True)
class Ops:
    """Each is called as in `_core.pyi`, without ``threads``; `csrc/ops` says what it does.

    rasterize: triangles with attributes to an image; pack: the source through the warp to the
    networks' condition; compose: the finished picture.
    """

    rasterize: Callable[..., None]
    pack: Callable[..., None]
    compose: Callable[..., None]


def cpu_ops(threads: int) -> Ops:
    """The ops of `parlante._core`, on that many threads."""
    return Ops(
        rasterize=partial(_core.rasterize, threads=threads),
        pack=partial(_core.pack, threads=threads),
        compose=partial(_core.compose, threads=threads),
    )
