"""`denoise_step` against diffusers' samplers; its noise against Philox and the normal law."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy import stats

from parlante import _core
from parlante.render.schedule import make_schedule
from tests.support.planes import shuffle

SHAPE = (1, 48, 8, 12)
SIZE = (32, 48)


def run_step(
    residual: NDArray[np.float32] | None,
    x_t: NDArray[np.float32] | None,
    condition: NDArray[np.float32],
    warp: NDArray[np.float32] | None = None,
    *,
    c_x0: float = 0.0,
    c_xt: float = 0.0,
    sigma: float = 0.0,
    seed: int = 5,
    step: int = 0,
    **options: object,
) -> NDArray[np.float32]:
    out = np.full((1, 48, *condition.shape[2:]), np.nan, np.float32)
    _core.denoise_step(
        residual,
        x_t,
        condition,
        warp,
        out,
        c_x0=c_x0,
        c_xt=c_xt,
        sigma=sigma,
        seed=seed,
        step=step,
        **options,  # type: ignore[arg-type]
    )
    return out


def draw_noise(
    shape: tuple[int, int, int, int], seed: int, step: int, warp: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The normals that a step adds: x0 and x_t weighted 0, sigma 1."""
    return run_step(None, None, np.zeros(shape, np.float32), warp, sigma=1, seed=seed, step=step)


def random_arrays(rng: np.random.Generator, count: int) -> list[NDArray[np.float32]]:
    return [rng.uniform(-1, 1, SHAPE).astype(np.float32) for _ in range(count)]


def diffusers_step(eta: float, count: int) -> Callable[[Any, int, Any], Any]:
    """(predicted x0, timestep, x_t) -> x of the timestep before, PyTorch's tensors."""
    from diffusers import DDIMScheduler, DDPMScheduler

    options = {
        "num_train_timesteps": 1000,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "sample",
        "clip_sample": True,
        "timestep_spacing": "trailing",
    }
    scheduler = DDPMScheduler(**options) if eta == 1 else DDIMScheduler(**options)
    scheduler.set_timesteps(count)
    extra = {} if eta == 1 else {"eta": eta, "use_clipped_model_output": True}

    def step(x0: Any, timestep: int, x_t: Any) -> Any:
        return scheduler.step(x0, timestep, x_t, **extra).prev_sample

    return step


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("count", [1, 2, 4, 8, 50])
def test_follows_the_samplers_of_diffusers(
    eta: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At eta 1, DDIM is the DDPM."""
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from diffusers.schedulers import scheduling_ddim, scheduling_ddpm

    step = diffusers_step(eta, count)
    schedule = make_schedule(count, eta=eta)

    rng = np.random.default_rng(count)
    (c,) = random_arrays(rng, 1)
    begin = schedule.start
    x = run_step(None, None, c, c_x0=begin.c_x0, sigma=begin.sigma, step=begin.index)
    want = torch.from_numpy(x)
    for s in schedule.steps:
        # Some of c + residual lies outside -1..1, so the clip matters.
        residual = (0.5 * rng.standard_normal(SHAPE)).astype(np.float32)
        noise = torch.from_numpy(draw_noise(SHAPE, 5, s.index))
        for module in (scheduling_ddpm, scheduling_ddim):
            monkeypatch.setattr(module, "randn_tensor", lambda *_, noise=noise, **__: noise)
        want = step(torch.from_numpy(c + residual), s.timestep, want)
        x = run_step(residual, x, c, c_x0=s.c_x0, c_xt=s.c_xt, sigma=s.sigma, step=s.index)
        # diffusers' float32 alphas_cumprod are off by up to 1000 * 2^-24, and 1 - alphas_cumprod
        # cancels at the small timesteps.
        np.testing.assert_allclose(x, want.numpy(), rtol=0, atol=3e-4)
    # The last step returns the clipped prediction itself.
    np.testing.assert_array_equal(x, np.clip(c + residual, -1, 1))


def test_formula() -> None:
    rng = np.random.default_rng(0)
    residual, x_t, c = (2 * a for a in random_arrays(rng, 3))
    got = run_step(residual, x_t, c, c_x0=0.3, c_xt=0.5, sigma=0.2)
    x0 = np.clip(c + residual.astype(np.float64), -1, 1)
    want = 0.3 * x0 + 0.5 * x_t + 0.2 * draw_noise(SHAPE, 5, 0)
    # Six roundings of values below 4.
    np.testing.assert_allclose(got, want, rtol=0, atol=6 * 4 * 2.0**-24)


def test_without_residual_x0_is_the_warp() -> None:
    (c,) = random_arrays(np.random.default_rng(0), 1)
    np.testing.assert_array_equal(run_step(None, None, c, c_x0=1), c)


def test_condition_may_hold_more_planes() -> None:
    rng = np.random.default_rng(0)
    residual, x_t, c = random_arrays(rng, 3)
    wide = np.concatenate([c, np.full_like(c, np.nan)], 1)
    options = {"c_x0": 0.5, "c_xt": 0.5, "sigma": 0.1}
    np.testing.assert_array_equal(
        run_step(residual, x_t, wide, **options), run_step(residual, x_t, c, **options)
    )


def test_out_may_be_an_input() -> None:
    rng = np.random.default_rng(0)
    residual, x_t, c = random_arrays(rng, 3)
    options = {"c_x0": 0.5, "c_xt": 0.5, "sigma": 0.1, "seed": 1, "step": 2}
    want = run_step(residual, x_t, c, **options)
    for index in (0, 1):
        arrays = [residual.copy(), x_t.copy()]
        _core.denoise_step(arrays[0], arrays[1], c, None, arrays[index], **options)
        np.testing.assert_array_equal(arrays[index], want)


def philox4x32(counters: NDArray[np.integer], key: int) -> NDArray[np.uint64]:
    """Philox4x32-10 as its paper writes it (Salmon et al., SC 2011, section 3.3)."""
    low = np.uint64(0xFFFF_FFFF)
    c0, c1, c2, c3 = counters.T.astype(np.uint64)
    k0, k1 = key & 0xFFFF_FFFF, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD251_1F53) * c0, np.uint64(0xCD9E_8D57) * c2
        c0, c2 = (p1 >> 32) ^ c1 ^ np.uint64(k0), (p0 >> 32) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & low, p0 & low
        k0, k1 = (k0 + 0x9E37_79B9) & 0xFFFF_FFFF, (k1 + 0xBB67_AE85) & 0xFFFF_FFFF
    return np.stack([c0, c1, c2, c3], 1)


# Random123, kat_vectors: philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "want"), KNOWN_ANSWERS)
def test_the_reference_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], want: tuple[int, ...]
) -> None:
    words = philox4x32(np.array([counter]), key[0] | key[1] << 32)
    np.testing.assert_array_equal(words, [want])


@pytest.mark.parametrize("seed", [0, 0x1234_5678_9ABC_DEF0, 2**64 - 1])
@pytest.mark.parametrize("step", [0, 9, 2**32 - 1])
def test_normals_are_box_muller_of_the_words(seed: int, step: int) -> None:
    rows, columns = SIZE
    counters = np.zeros((rows * columns, 4), np.uint64)
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    counters[:, 0] = y << 16 | x
    counters[:, 1] = step
    words = philox4x32(counters, seed)
    uniform = (words >> 8).astype(np.float64) * 2.0**-24
    radius = np.sqrt(-2 * np.log(uniform[:, 0::2] + 2.0**-24))
    angle = 2 * np.pi * uniform[:, 1::2]
    want = np.stack(
        [
            radius[:, 0] * np.cos(angle[:, 0]),
            radius[:, 0] * np.sin(angle[:, 0]),
            radius[:, 1] * np.cos(angle[:, 1]),
        ],
        axis=1,
    )
    got = shuffle(draw_noise(SHAPE, seed, step)).reshape(-1, 3)
    # The polynomials are good to 2 units in the last place of values below 6.
    np.testing.assert_allclose(got, want, rtol=0, atol=4 * 6 * 2.0**-24)


def test_normals_follow_the_normal_law() -> None:
    shape = (1, 48, 64, 64)
    noise = np.concatenate([draw_noise(shape, 3, step).ravel() for step in range(4)])
    n = noise.size  # 786,432 values; each bound is 5 standard errors
    assert abs(noise.mean()) < 5 / np.sqrt(n)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(stats.skew(noise)) < 5 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(noise)) < 5 * np.sqrt(24 / n)
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    assert np.abs(noise).max() < 5.77  # sqrt(-2 ln 2^-24)


def test_channels_steps_seeds_and_pixels_are_independent() -> None:
    shape = (1, 48, 64, 64)
    first, step, seed = (
        shuffle(draw_noise(shape, *key)) for key in [(3, 0), (3, 1), (3 + (1 << 32), 0)]
    )
    red, green, blue = first.reshape(-1, 3).T
    pairs = [
        (red, green),
        (red, blue),
        (green, blue),
        (red, step[..., 0].ravel()),
        (red, seed[..., 0].ravel()),
        (first[:, :-1, 0].ravel(), first[:, 1:, 0].ravel()),
        (first[:-1, :, 0].ravel(), first[1:, :, 0].ravel()),
    ]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(a.size)
        assert abs(np.corrcoef(a**2, b**2)[0, 1]) < 5 / np.sqrt(a.size)


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_noise_travels_with_the_warp(channels: int) -> None:
    """A pixel gets that of the nearest one of the source, of which the warp sees a part."""
    rng = np.random.default_rng(0)
    still = shuffle(draw_noise((1, 48, 20, 25), 5, 2))
    warp = rng.uniform(0, 79, (*SIZE, channels)).astype(np.float32)
    warp[..., 0] += 20
    warp[0, :6, 0] = [0.5, 1.5, 2.5, -0.5, np.nan, -np.inf]  # halves go up
    warp[1, :3, 1] = [np.nan, 31.5, -2e9]
    got = shuffle(draw_noise(SHAPE, 5, 2, warp))
    x, y = np.moveaxis(np.nan_to_num(warp[..., :2], neginf=0).astype(np.float64), -1, 0)
    nearest = np.maximum(np.floor(np.stack([y, x]) + 0.5), 0).astype(int)
    np.testing.assert_array_equal(got, still[tuple(nearest)])


def test_noise_does_not_depend_on_the_size() -> None:
    large = shuffle(draw_noise((1, 48, 16, 16), 5, 2))
    np.testing.assert_array_equal(shuffle(draw_noise(SHAPE, 5, 2)), large[:32, :48])


def test_noise_of_places_beyond_16_bits_is_that_of_the_last() -> None:
    warp = np.full((*SIZE, 2), 65535, np.float32)
    last = draw_noise(SHAPE, 5, 2, warp)
    warp[..., 0], warp[..., 1] = 65536.5, np.inf
    np.testing.assert_array_equal(draw_noise(SHAPE, 5, 2, warp), last)
    warp[..., 0] = 65534
    assert (draw_noise(SHAPE, 5, 2, warp) != last).all()


def every_kind() -> NDArray[np.float32]:
    """[1, 48, 64, 64]: floats of all magnitudes, ties of both formats, and what is no number."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 48 * 64 * 64, dtype=np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):  # ARM finds signalling NaNs so
        halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves.view(np.uint32)[: 2**15 - 1024] + 2**12).view(np.float32)
    special = np.concatenate([halves, ties, np.arange(-300, 300, 0.5, np.float32)])
    values[: len(special)] = special
    return values.reshape(1, 48, 64, 64)


@pytest.mark.parametrize("sigma", [0.0, 1e-30])
def test_next_is_what_the_network_reads(sigma: float) -> None:
    values = every_kind()
    halves, octets = np.ones(values.shape, np.float16), np.ones(values.shape, np.uint8)
    scale, zero_point = np.float32(0.25), 131
    for made, options in (
        (halves, {}),
        (octets, {"scale": scale, "zero_point": zero_point}),
    ):
        out = run_step(
            None,
            values,
            np.zeros_like(values),
            c_xt=1,
            sigma=sigma,
            next=made,
            threads=2,
            **options,
        )
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(halves, out.astype(np.float16))
            steps = np.nan_to_num(np.rint(out / scale), nan=-1e9, posinf=1e9, neginf=-1e9)
    np.testing.assert_array_equal(octets, np.clip(steps + zero_point, 0, 255))


def test_bytes_are_those_of_onnx_runtime() -> None:
    values = np.random.default_rng(0).uniform(-3, 3, (1, 48, 64, 64)).astype(np.float32)
    scale, zero_point = np.float32(0.0187), np.uint8(121)
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        "quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, values.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, values.shape)],
        [numpy_helper.from_array(scale, "scale"), numpy_helper.from_array(zero_point, "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    made = np.zeros(values.shape, np.uint8)
    run_step(None, None, values, c_x0=1, next=made, scale=scale, zero_point=zero_point)
    np.testing.assert_array_equal(made, session.run(None, {"x": values})[0])


@pytest.mark.parametrize("threads", [2, 4, 64])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    rng = np.random.default_rng(0)
    residual, x_t, c = random_arrays(rng, 3)
    warp = rng.uniform(0, 32, (*SIZE, 3)).astype(np.float32)
    options = {"c_x0": 0.5, "c_xt": 0.5, "sigma": 0.1}
    one = run_step(residual, x_t, c, warp, **options)
    assert one.tobytes() == run_step(residual, x_t, c, warp, **options, threads=threads).tobytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"x_t": None}, ValueError, "x_t.*c_xt is not 0.*None"),
        ({"x_t": np.zeros((1, 48, 8, 8), np.float32)}, ValueError, r"x_t.*\(1, 48, 8, 12\)"),
        ({"residual": np.zeros(SHAPE)}, TypeError, "residual.*float32.*float64"),
        ({"condition": np.zeros((1, 47, 8, 12), np.float32)}, ValueError, "at least 48 planes"),
        ({"warp": np.zeros((8, 12, 3), np.float32)}, ValueError, r"warp.*\(32, 48, any\)"),
        ({"warp": np.zeros((32, 48, 1), np.float32)}, ValueError, "warp.*at least 2 channels"),
        ({"next": np.zeros(SHAPE, np.float32)}, TypeError, "next.*uint8.*float32"),
        ({"next": np.zeros((1, 48, 8, 8), np.uint8)}, ValueError, r"next.*\(1, 48, 8, 12\)"),
        ({"next": np.zeros(SHAPE, np.uint8), "scale": 0.0}, ValueError, "scale.*more than 0"),
        ({"next": np.zeros(SHAPE, np.uint8), "zero_point": 0.5}, ValueError, "whole number"),
        ({"threads": 0}, ValueError, "threads.*at least 1"),
        ({"seed": -1}, TypeError, "seed"),
    ],
)
def test_bad_arguments(options: dict[str, object], error: type[Exception], message: str) -> None:
    zeros = np.zeros(SHAPE, np.float32)
    arguments: dict[str, object] = {
        "residual": zeros,
        "x_t": zeros,
        "condition": zeros,
        "warp": None,
        "out": np.zeros(SHAPE, np.float32),
        "c_x0": 0.5,
        "c_xt": 0.5,
        "sigma": 0.0,
        "seed": 0,
        "step": 0,
    }
    with pytest.raises(error, match=message):
        _core.denoise_step(**(arguments | options))  # type: ignore[arg-type]
