"""Schedules against diffusers and against the definition of the posterior."""

from typing import Any

import numpy as np
import pytest

from parlante.render.schedule import (
    SHIFT_NOISE,
    cosine_alphas_cumprod,
    make_schedule,
    respaced_timesteps,
)

COUNTS = [1, 2, 4, 8, 50, 1000]


def ddpm(**options: Any) -> Any:
    """The scheduler of diffusers, of 1000 timesteps."""
    pytest.importorskip("torch", reason="needs the extra [train]")
    from diffusers import DDPMScheduler

    return DDPMScheduler(1000, **options)


def test_alphas_cumprod_are_those_of_diffusers() -> None:
    want = ddpm(beta_schedule="squaredcos_cap_v2").alphas_cumprod.numpy()
    # diffusers multiplies 1000 float32 factors: 1000 roundings of 2^-24.
    np.testing.assert_allclose(cosine_alphas_cumprod(), want, rtol=1000 * 2.0**-24)


@pytest.mark.parametrize("count", [*COUNTS, 3, 7, 30])
def test_timesteps_are_the_trailing_spacing_of_diffusers(count: int) -> None:
    scheduler = ddpm(timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    np.testing.assert_array_equal(respaced_timesteps(count), scheduler.timesteps.numpy())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("start", [1000, 400])
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_every_step_keeps_the_marginal(count: int, start: int, eta: float) -> None:
    """x_t of variance 1 − ᾱ_t around √ᾱ_t x_0 must become x_prev of the same form."""
    count = min(count, start)
    schedule = make_schedule(count, eta=eta, start=start)
    alphas_cumprod = cosine_alphas_cumprod()
    begin = schedule.start
    assert begin.c_xt == 0
    assert begin.c_x0**2 + begin.sigma**2 == pytest.approx(1)
    assert begin.timestep == schedule.steps[0].timestep == start - 1
    assert [step.index for step in (begin, *schedule.steps)] == list(range(count + 1))
    following = [alphas_cumprod[step.timestep] for step in schedule.steps[1:]] + [1.0]
    for step, previous in zip(schedule.steps, following, strict=True):
        now = alphas_cumprod[step.timestep]
        mean = step.c_x0 + step.c_xt * np.sqrt(now)
        variance = step.c_xt**2 * (1 - now) + step.sigma**2
        assert mean == pytest.approx(np.sqrt(previous), abs=1e-12)
        assert variance == pytest.approx(1 - previous, abs=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_shift_goes_from_warp_to_frame(count: int) -> None:
    """x_t around x_0 + η_t (y − x_0) with variance κ² η_t must become x_prev of the same form."""
    timesteps = max(count, 400)
    schedule = make_schedule(count, sampler="shift", eta=1.0, start=timesteps)
    begin = schedule.start
    assert (begin.c_x0, begin.c_xt, begin.sigma) == (1, 0, SHIFT_NOISE)  # η = 1: the noised warp
    assert begin.timestep == schedule.steps[0].timestep == timesteps - 1
    assert [step.index for step in (begin, *schedule.steps)] == list(range(count + 1))
    shares = [((step.timestep + 1) / timesteps) ** 2 for step in schedule.steps] + [0.0]
    for step, now, previous in zip(schedule.steps, shares, shares[1:], strict=False):
        assert step.c_xt * now == pytest.approx(previous, abs=1e-12)  # of the warp
        assert step.c_x0 + step.c_xt * (1 - now) == pytest.approx(1 - previous, abs=1e-12)
        variance = step.c_xt**2 * SHIFT_NOISE**2 * now + step.sigma**2
        assert variance == pytest.approx(SHIFT_NOISE**2 * previous, abs=1e-12)


def test_shift_without_eta_is_the_mean() -> None:
    drawn, mean = (make_schedule(4, sampler="shift", eta=eta, start=400) for eta in (1.0, 0.0))
    assert mean.start == drawn.start
    for a, b in zip(drawn.steps, mean.steps, strict=True):
        assert (a.timestep, a.c_x0, a.c_xt) == (b.timestep, b.c_x0, b.c_xt)
        assert b.sigma == 0


def test_shift_draws_the_posterior() -> None:
    """Bayes' rule by weighing samples: of x_prev ~ q(· | x_0, y) those that lead to x_t."""
    rng = np.random.default_rng(0)
    x_0, warp, x_t = 0.3, -0.5, 0.1
    schedule = make_schedule(2, sampler="shift", eta=1.0, start=400)
    step, previous = schedule.steps[0], 0.25  # η: 1, then (200 / 400)²
    near = rng.normal(x_0 + previous * (warp - x_0), SHIFT_NOISE * np.sqrt(previous), 400_000)
    # The chain's own step: mean + (η − η_prev)(y − x_0), variance κ² (η − η_prev).
    miss = x_t - (near + (1 - previous) * (warp - x_0))
    weight = np.exp(-(miss**2) / (2 * SHIFT_NOISE**2 * (1 - previous)))
    mean = np.average(near, weights=weight)
    deviation = np.sqrt(np.average((near - mean) ** 2, weights=weight))
    assert step.c_x0 * x_0 + step.c_xt * x_t == pytest.approx(mean, abs=3e-3)
    assert step.sigma == pytest.approx(deviation, abs=3e-3)


def test_last_step_returns_x0() -> None:
    for schedule in (
        make_schedule(5),
        make_schedule(5, eta=1.0),
        make_schedule(5, sampler="shift", start=400),
    ):
        last = schedule.steps[-1]
        assert (last.c_x0, last.c_xt, last.sigma) == (1, 0, 0)


def test_ddim_with_eta_1_is_ddpm() -> None:
    """Ho et al. 2020, eq. 7, between the timesteps that are visited."""
    steps = make_schedule(8, eta=1.0).steps
    levels = [cosine_alphas_cumprod()[step.timestep] for step in steps] + [1.0]
    for step, now, previous in zip(steps, levels, levels[1:], strict=False):
        alpha = now / previous
        beta = 1 - alpha
        assert step.c_x0 == pytest.approx(np.sqrt(previous) * beta / (1 - now), abs=1e-9)
        assert step.c_xt == pytest.approx(np.sqrt(alpha) * (1 - previous) / (1 - now), abs=1e-9)
        assert step.sigma**2 == pytest.approx((1 - previous) / (1 - now) * beta, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "1 <= count"),
        ({"count": 11, "start": 10}, "got 11 and 10"),
        ({"count": 4, "start": 1001}, "start <= 1000"),
        ({"count": 4, "sampler": "euler"}, "'shift'.*got 'euler'"),
        ({"count": 4, "eta": 1.5}, r"0\.\.1, got 1.5"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_schedule(**arguments)  # type: ignore[arg-type]
