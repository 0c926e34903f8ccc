"""The diffusion chain of a tile: the condition network once, the denoiser K times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from parlante.contract import Float, Precision
from parlante.errors import BundleError
from parlante.options import RenderOptions
from parlante.render.network import DTYPES, BoundNetwork
from parlante.render.ops import Ops
from parlante.render.schedule import Step, make_schedule
from parlante.runtime.bundle import RENDERER, Bundle
from parlante.runtime.compute import Compute


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
        ops: Ops,
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
        self._ops, self._condition, self._flow, self._x = ops, condition, flow, x
        self._seed = options.seed or 0
        _check_precision(bundle, compute)
        sessions = {
            name: bundle.session(
                compute.network(name), device=compute.device, threads=compute.threads
            )
            for name in RENDERER
        }
        sampling = bundle.manifest.networks[compute.network("denoise")]
        self._schedule = make_schedule(
            options.steps, sampler=sampling["sampler"], start=int(sampling["start"])
        )
        # The same as x in the denoiser's number format, where that is another.
        self._next: NDArray[Any] | None = None
        self._next_format: dict[str, Any] = sampling.get("x_t", {})
        dtype = DTYPES[sampling["inputs"]["x_t"]["type"]]
        if dtype is not np.float32:
            self._next = np.empty(x.shape, dtype)
        self._timestep = np.empty(1, np.float32)
        first = BoundNetwork(sessions["condition"], {"condition": condition, "attributes": told})
        denoise = BoundNetwork(
            sessions["denoise"],
            {
                "x_t": x if self._next is None else self._next,
                "timestep": self._timestep,
                **first.outputs,
            },
        )
        self.networks = {"condition": first, "denoise": denoise}

    def run(self, times: StageTimes, now: float) -> float:
        """Fill x for the warp as it is; returns the time."""
        self.networks["condition"].run()
        now = times.add("condition", now)
        self._step(None, None, self._schedule.start)
        denoise = self.networks["denoise"]
        for step in self._schedule.steps:
            now = times.add("denoise_step", now)
            self._timestep[0] = step.timestep
            denoise.run()
            now = times.add("denoise", now)
            self._step(denoise.outputs["residual"], self._x, step)
        return times.add("denoise_step", now)

    def _step(self, residual: Float | None, x_t: Float | None, step: Step) -> None:
        """x_t, in its place, to what the next step starts from."""
        self._ops.denoise_step(
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


def _check_precision(bundle: Bundle, compute: Compute) -> None:
    networks = bundle.manifest.networks
    there = [p for p in get_args(Precision) if Compute(precision=p).network("denoise") in networks]
    if compute.precision not in there:
        raise BundleError(
            f"precision={compute.precision!r}: the bundle in {bundle.folder} has the renderer in "
            f"{', '.join(there)} only; give one of these, or export a bundle that has more"
        )
