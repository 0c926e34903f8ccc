"""Diffusion schedules as tables of coefficients for `_core.denoise_step`.

Two chains. The usual one, q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I) over 1000 training timesteps, may
begin below the last of them, from the noised warp. The other shifts from the warp y to the frame
(ResShift, Yue et al. 2023): q(x_t | x_0, y) = N(x_0 + η_t (y − x_0), κ² η_t I), η falling from 1.

K timesteps are visited. A step is linear, x_prev = c_x0 · x̂_0 + c_xt · x_t + σ · n, so samplers
differ in the tables only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from parlante.contract import Double

TRAINING_TIMESTEPS = 1000
SHIFT_NOISE = 0.6  # κ: as much noise as the usual chain has at timestep 400
Sampler = Literal["ddim", "shift"]


@dataclass(frozen=True)
class Step:
    """One call of `denoise_step`.

    `timestep` is what the network is told, 0..999. `index` numbers the noise: 0 is the noise that
    starts a frame, the K steps use 1..K.
    """

    timestep: int
    index: int
    c_x0: float
    c_xt: float
    sigma: float


@dataclass(frozen=True)
class Schedule:
    """`start` noises the warp (residual and x_t None); `steps` denoise it, the last gives x̂_0."""

    start: Step
    steps: tuple[Step, ...]


def cosine_alphas_cumprod(timesteps: int = TRAINING_TIMESTEPS) -> Double:
    """ᾱ_t [timesteps] of Nichol & Dhariwal 2021, eq. 17, with β_t ≤ 0.999."""
    t = np.arange(timesteps + 1) / timesteps
    alpha_bar = np.cos((t + 0.008) / 1.008 * (math.pi / 2)) ** 2
    betas = np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)
    return np.cumprod(1 - betas)


def shift_weights(timesteps: int) -> Double:
    """η_t [timesteps], how far x_t is towards the warp: √η rises evenly to 1."""
    return np.square(np.arange(1, timesteps + 1) / timesteps)


def respaced_timesteps(count: int, start: int = TRAINING_TIMESTEPS) -> NDArray[np.int64]:
    """`count` timesteps [count], evenly spaced and falling from start − 1 ("trailing" spacing).

    Starting at the last timestep keeps what the network sees first as noisy as it was trained on
    (Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed").
    """
    if not 1 <= count <= start <= TRAINING_TIMESTEPS:
        raise ValueError(
            f"count, start: expected 1 <= count <= start <= {TRAINING_TIMESTEPS}, "
            f"got {count} and {start}"
        )
    return np.round(np.arange(count, 0, -1) * (start / count)).astype(np.int64) - 1


def make_schedule(
    count: int,
    *,
    sampler: Sampler = "ddim",
    eta: float = 0.0,
    start: int = TRAINING_TIMESTEPS,
) -> Schedule:
    """Tables of `count` steps from timestep start − 1 down.

    `start` < 1000 begins from the warp with less noise (a truncated schedule); for "shift" it is
    how many timesteps there are. `eta` scales the noise: 0 draws none, 1 has the posterior's
    variance. Raises ValueError on anything out of range.

    DDIM: Song et al. 2021, eq. 12 and 16, with the noise implied by the clipped x̂_0. At `eta` 1
    that is DDPM (Ho et al. 2020, eq. 7, the smaller variance β̃_t) between respaced timesteps.
    Shift: Yue et al. 2023, eq. 7, between respaced timesteps.
    """
    if sampler not in get_args(Sampler):
        raise ValueError(f"sampler: expected one of {get_args(Sampler)}, got {sampler!r}")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: expected 0..1, got {eta}")
    timesteps = respaced_timesteps(count, start).tolist()
    if sampler == "shift":
        return _shift_schedule(timesteps, shift_weights(start), eta)
    alphas_cumprod = cosine_alphas_cumprod()
    first = float(alphas_cumprod[timesteps[0]])
    steps = []
    for i, timestep in enumerate(timesteps):
        now = float(alphas_cumprod[timestep])
        previous = float(alphas_cumprod[timesteps[i + 1]]) if i + 1 < count else 1.0
        variance = (1 - previous) / (1 - now) * (1 - now / previous)
        sigma = eta * math.sqrt(variance)
        # The direction to x_t: the implied noise is (x_t − √ᾱ_t x̂_0) / √(1 − ᾱ_t).
        c_xt = math.sqrt(max(1 - previous - sigma * sigma, 0.0) / (1 - now))
        c_x0 = math.sqrt(previous) - math.sqrt(now) * c_xt
        steps.append(Step(timestep, i + 1, c_x0, c_xt, sigma))
    begin = Step(timesteps[0], 0, math.sqrt(first), 0.0, math.sqrt(1 - first))
    return Schedule(begin, tuple(steps))


def _shift_schedule(timesteps: list[int], weights: Double, eta: float) -> Schedule:
    steps = []
    for i, timestep in enumerate(timesteps):
        now = float(weights[timestep])
        previous = float(weights[timesteps[i + 1]]) if i + 1 < len(timesteps) else 0.0
        kept = previous / now
        sigma = eta * SHIFT_NOISE * math.sqrt(kept * (now - previous))
        steps.append(Step(timestep, i + 1, 1 - kept, kept, sigma))
    return Schedule(Step(timesteps[0], 0, 1.0, 0.0, SHIFT_NOISE), tuple(steps))
