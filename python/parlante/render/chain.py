"""The diffusion chain of a tile: the condition network once, the denoiser K times."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, get_args

import numpy as np

from parlante.contract import Float, Precision
from parlante.errors import BundleError
from parlante.options import RenderOptions
from parlante.render.memory import Array, memory_of
from parlante.render.network import DTYPES, BoundNetwork
from parlante.render.schedule import Schedule, Step, make_schedule
from parlante.runtime.bundle import RENDERER, Bundle
from parlante.runtime.compute import Compute
from parlante.runtime.manifest import MANIFEST, REINSTALL


@dataclass
class StageTimes:
    """Seconds spent in each stage since the start, by all threads, and frames begun."""

    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    _lock: Lock = field(default_factory=Lock)

    def add(self, stage: str, since: float) -> float:
        """Book the time from ``since`` until now on ``stage``; returns now."""
        now = time.perf_counter()
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now


class Chain:
    """From the warp of one tile to what is drawn of it, x̂_0, in arrays that stay where they are.

    The noise field is fixed by the seed and carried with the mesh, so that frames do not flicker.
    """

    def __init__(
        self,
        bundle: Bundle,
        condition: Float,
        flow: Float,
        told: Float,
        x: Float,
        options: RenderOptions,
        compute: Compute,
    ) -> None:
        """Read are condition float32 [1, 144, 32, 32], flow [128, 128, 6] and told [1, 38].

        Filled is x float32 [1, 48, 32, 32].
        """
        _check_precision(bundle, compute)
        memory = self._memory = memory_of(bundle, compute)
        self._read = [memory.array(array) for array in (condition, flow, told)]
        self._condition, self._flow, told_there = self._read
        self._x = memory.array(x)
        self._seed = options.seed or 0
        sessions = {
            name: bundle.session(
                compute.network(name),
                device=compute.device,
                threads=compute.threads,
                stream=memory.stream,
            )
            for name in RENDERER
        }
        self._schedule, dtype, self._next_format = _sampling(
            bundle, compute.network("denoise"), options.steps
        )
        # The same as x in the denoiser's number format, where that is another.
        self._next: Array | None = None
        if dtype is not np.float32:
            self._next = memory.array(np.empty(x.shape, dtype))
        self._timesteps = [
            memory.array(np.array([step.timestep], np.float32)) for step in self._schedule.steps
        ]
        memory.upload(self._timesteps)
        first = BoundNetwork(
            sessions["condition"],
            memory,
            {"condition": self._condition, "attributes": told_there},
        )
        denoise = BoundNetwork(
            sessions["denoise"],
            memory,
            {"x_t": self._x if self._next is None else self._next, **first.outputs},
        )
        self.networks = {"condition": first, "denoise": denoise}

    def run(self, times: StageTimes, now: float) -> float:
        """Fill x for the warp as it is; returns the time.

        On a GPU the stages are only queued; the last step waits for all of them.
        """
        with self._memory.lock:
            self._memory.upload(self._read)
            self.networks["condition"].run()
            now = times.add("condition", now)
            self._step(None, None, self._schedule.start)
            denoise = self.networks["denoise"]
            for step, timestep in zip(self._schedule.steps, self._timesteps, strict=True):
                now = times.add("denoise_step", now)
                denoise.bind("timestep", timestep)
                denoise.run()
                now = times.add("denoise", now)
                self._step(denoise.outputs["residual"], self._x, step)
            self._memory.download(self._x)
        return times.add("denoise_step", now)

    def _step(self, residual: Array | None, x_t: Array | None, step: Step) -> None:
        """x_t, in its place, to what the next step starts from."""
        self._memory.denoise_step(
            residual,
            x_t,
            self._condition,
            self._flow,
            self._x,
            c_x0=step.c_x0,
            c_xt=step.c_xt,
            sigma=step.sigma,
            seed=self._seed,
            step=step.index,
            next=self._next,
            **self._next_format,
        )


def _sampling(
    bundle: Bundle, network: str, steps: int
) -> tuple[Schedule, type[np.generic], dict[str, Any]]:
    """The schedule of a denoiser, and of x as it reads it the type and what bytes stand for.

    Raises:
        BundleError: the manifest does not say that.
    """
    said = bundle.manifest.networks[network]
    try:
        schedule = make_schedule(steps, sampler=said["sampler"], start=int(said["start"]))
        dtype = DTYPES[said["inputs"]["x_t"]["type"]]
        form = {}
        if "x_t" in said:
            form = {name: float(said["x_t"][name]) for name in ("scale", "zero_point")}
            if not 0 < form["scale"] < math.inf or form["zero_point"] not in range(256):
                raise ValueError(f"x_t is {said['x_t']!r}")
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"model bundle: {MANIFEST} does not say how network {network!r} is run "
            f"({type(error).__name__}: {error}); {REINSTALL}"
        ) from error
    return schedule, dtype, form


def _check_precision(bundle: Bundle, compute: Compute) -> None:
    networks = bundle.manifest.networks
    there = [p for p in get_args(Precision) if Compute(precision=p).network("denoise") in networks]
    if compute.precision not in there:
        raise BundleError(
            f"precision={compute.precision!r}: the bundle in {bundle.folder} has the renderer in "
            f"{', '.join(there)} only; give one of these, or export a bundle that has more"
        )
