"""Every level of instructions gives the same bits, for every op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import visual_samples as samples
from parlante import _core

Result = list[NDArray[np.generic]]
STEP: dict[str, Any] = {"c_x0": 0.4, "c_xt": 0.7, "seed": 0xFEDC_BA98_7654_3210, "step": 3}


@pytest.fixture(autouse=True)
def strongest_level() -> Iterator[None]:
    before = _core.isa_level()
    yield
    _core.set_isa_level(before)


def rasterize(rng: np.random.Generator) -> Result:
    mesh: dict[str, Any] = samples.random_mesh(rng, (50, 70), 300, 3)
    out, depth = np.zeros((50, 70, 3), np.float32), np.zeros((50, 70), np.float32)
    _core.rasterize(**mesh, out=out, depth=depth)
    return [out, depth]


def pack(rng: np.random.Generator) -> Result:
    arrays: dict[str, Any] = samples.pack_sample(rng, (36, 76))
    arrays["flow"][0, :8] = np.float32([np.nan, np.inf, -np.inf, 1e30])[:, None].repeat(2, 0)
    made: Result = []
    for given in (arrays, arrays | {"reference": None}):
        made.append(np.zeros((1, _core.PACKED_PLANES, 9, 19), np.float32))
        _core.pack(**given, condition=made[-1])
    return made


def denoise_step(rng: np.random.Generator) -> Result:
    arrays: dict[str, Any] = samples.denoise_sample(rng, (36, 76))
    arrays["residual"][0, 0, 0, :3] = [np.nan, np.inf, -np.inf]
    arrays["warp"][0, :4, 0] = [np.nan, np.inf, -np.inf, 1e30]
    made: Result = []
    for dtype, options in ((np.float16, {}), (np.uint8, {"scale": 0.02, "zero_point": 117.0})):
        for absent in ((), ("residual",), ("warp",)):
            for sigma in (0.0, 0.3):
                given = arrays | dict.fromkeys(absent)
                out = np.zeros_like(arrays["x_t"])
                following = np.zeros(out.shape, dtype)
                _core.denoise_step(**given, out=out, next=following, sigma=sigma, **STEP, **options)
                made += [out, following]
    return made


def compose(rng: np.random.Generator) -> Result:
    made: Result = []
    for size in ((36, 76), (90, 134)):
        arrays: dict[str, Any] = samples.compose_sample(rng, size, (36, 76), (64, 44))
        arrays["warp"][3:5, 2:9, :2] = np.float32([[np.nan, 3], [5, -np.inf]])[:, None]
        arrays["x0"][0, 7, 1] = np.nan
        for image_format in ("rgb", "bgr", "rgba", "nv12"):
            for background in ("plate", (10, 200, 255)):
                out = np.zeros(samples.frame_shape(size, image_format), np.uint8)
                _core.compose(
                    **arrays,
                    out=out,
                    format=image_format,  # type: ignore[arg-type]
                    background=background,  # type: ignore[arg-type]
                )
                made.append(out)
        out = np.zeros((*size, 4), np.uint8)
        _core.compose(**arrays, out=out, format="rgba", background="alpha")
        made.append(out)
    return made


def log_mel(rng: np.random.Generator) -> Result:
    sound = (0.2 * rng.standard_normal(4321)).astype(np.float32)
    sound[1000:1500] = 3e38  # saturates
    return [_core.log_mel(sound[:count]) for count in (160, 1280, 1600, 4321)]


def resample(rng: np.random.Generator) -> Result:
    sound = rng.standard_normal(5000).astype(np.float32)
    made: Result = []
    for rate in (8000, 44_100, 48_000, 44_099):
        resampler = _core.Resampler(rate)
        made += [resampler.process(sound), resampler.flush()]
    return made


@pytest.mark.parametrize("level", _core.isa_levels()[1:])
@pytest.mark.parametrize("op", [rasterize, pack, denoise_step, compose, log_mel, resample])
def test_levels_give_the_same_bits(op: Callable[[np.random.Generator], Result], level: str) -> None:
    _core.set_isa_level("baseline")
    wanted = op(np.random.default_rng(0))
    _core.set_isa_level(level)
    made = op(np.random.default_rng(0))
    assert [a.tobytes() for a in made] == [a.tobytes() for a in wanted]


@pytest.mark.parametrize("level", _core.isa_levels())
def test_every_level_finds_what_is_not_finite(level: str) -> None:
    _core.set_isa_level(level)
    sound = np.zeros(1000, np.float32)
    sound[[777, 900]] = np.inf
    with pytest.raises(ValueError, match="got inf at index 777"):
        _core.log_mel(sound)


def test_the_strongest_level_is_chosen() -> None:
    assert _core.isa_levels()[0] == "baseline"
    assert _core.isa_level() == _core.isa_levels()[-1]


def test_a_stream_keeps_the_level_that_it_was_made_at() -> None:
    sound = np.random.default_rng(0).standard_normal(4000).astype(np.float32) / 10
    wanted = _core.log_mel(sound)
    stream, columns = _core.LogMel(), []
    for i, level in enumerate(_core.isa_levels() * 2):
        _core.set_isa_level(level)
        columns.append(stream.process(sound[i * 640 : (i + 1) * 640]))
    made = np.concatenate(columns)
    np.testing.assert_array_equal(made, wanted[: len(made)])


def test_a_level_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"name: expected one of 'baseline'.*got 'mmx'"):
        _core.set_isa_level("mmx")
