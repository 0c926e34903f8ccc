"""`pack` against torch's grid_sample and pixel_unshuffle in float64, and OpenCV's remap."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch.nn import functional

from parlante import _core

Arrays = dict[str, NDArray[np.generic]]


def make_arrays(
    seed: int, size: tuple[int, int] = (32, 48), source_size: tuple[int, int] | None = None
) -> Arrays:
    rng = np.random.default_rng(seed)
    h, w = size
    source_h, source_w = source_size or size
    warp = np.empty((h, w, 3), np.float32)
    warp[..., 0] = rng.uniform(-5, source_w + 5, size)
    warp[..., 1] = rng.uniform(-5, source_h + 5, size)
    warp[..., 2] = rng.uniform(0, 1, size)
    return {
        "source": rng.integers(0, 256, (source_h, source_w, 4), dtype=np.uint8),
        "plate": rng.integers(0, 256, (h, w, 3), dtype=np.uint8),
        "warp": warp,
        "interior": rng.uniform(-1, 1, (h, w, 3)).astype(np.float32),
        "features": rng.uniform(-1, 1, (5, source_h // 4, source_w // 4)).astype(np.float32),
    }


def run_pack(arrays: Arrays, threads: int = 1) -> NDArray[np.float32]:
    h, w = arrays["warp"].shape[:2]
    shape = (1, 128 + len(arrays["features"]), h // 4, w // 4)
    condition = np.full(shape, np.nan, np.float32)
    _core.pack(**arrays, condition=condition, threads=threads)  # type: ignore[arg-type]
    return condition


def sample(
    image: NDArray[np.generic], x: NDArray[np.float64], y: NDArray[np.float64]
) -> torch.Tensor:
    """Bilinear samples [channels, ...] of `image` [channels, rows, columns], edges clamped."""
    rows, columns = image.shape[1:]
    grid = np.stack([x / (columns - 1) * 2 - 1, y / (rows - 1) * 2 - 1], -1)
    return functional.grid_sample(
        torch.from_numpy(image.astype(np.float64))[None],
        torch.from_numpy(grid)[None],
        padding_mode="border",
        align_corners=True,
    )[0]


def reference(arrays: Arrays) -> NDArray[np.float64]:
    x, y, mouth = arrays["warp"].astype(np.float64).transpose(2, 0, 1)
    warped = sample(arrays["source"].transpose(2, 0, 1), x, y)
    matte = warped[3:] / 255
    plate = torch.from_numpy(arrays["plate"].transpose(2, 0, 1).astype(np.float64))
    c = (matte * warped[:3] + (1 - matte) * plate) / 127.5 - 1
    mask = torch.from_numpy(mouth)[None]
    interior = torch.from_numpy(arrays["interior"].transpose(2, 0, 1).astype(np.float64))
    planes = functional.pixel_unshuffle(torch.cat([c, matte, mask, mask * interior])[None], 4)
    mean_x, mean_y = functional.avg_pool2d(torch.from_numpy(np.stack([x, y])), 4).numpy()
    features = sample(arrays["features"], (mean_x + 0.5) / 4 - 0.5, (mean_y + 0.5) / 4 - 0.5)
    return torch.cat([planes, features[None]], 1).numpy()


@pytest.mark.parametrize(
    ("size", "source_size"),
    [((32, 48), None), ((256, 256), None), ((32, 32), (64, 96)), ((4, 4), (8, 8))],
)
def test_matches_float64_reference(
    size: tuple[int, int], source_size: tuple[int, int] | None
) -> None:
    arrays = make_arrays(0, size, source_size)
    got, want = run_pack(arrays), reference(arrays)
    # Coordinates are exact; two lerps, the matte and the scale round values below 255 about eight
    # times, and 1/127.5 brings that to 16 * 2^-24.
    np.testing.assert_allclose(got[:, :128], want[:, :128], rtol=0, atol=16 * 2.0**-24)
    # The sum of 16 coordinates up to 4200 rounds 16 times by 2^-12 / 2: the mean is off by up to
    # 1.2e-4 source pixels, a quarter of that on the features' grid, whose slopes are below 2.
    np.testing.assert_allclose(got[:, 128:], want[:, 128:], rtol=0, atol=2 * 1.2e-4 / 4)


def test_agrees_with_opencv_remap() -> None:
    arrays = make_arrays(1, (64, 64))
    arrays["source"] = cv2.GaussianBlur(arrays["source"], (0, 0), 3)
    arrays["source"][..., 3] = 255
    warp = arrays["warp"]
    want = cv2.remap(
        arrays["source"].astype(np.float32),
        warp[..., 0],
        warp[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    c = functional.pixel_shuffle(torch.from_numpy(run_pack(arrays)[:, :48]), 4)[0]
    got = (c.permute(1, 2, 0).numpy() + 1) * 127.5
    # OpenCV may round coordinates to 1/32 pixel: half of that an axis, times the steepest slope.
    slope = max(np.abs(np.diff(arrays["source"].astype(float), axis=a)).max() for a in (0, 1))
    np.testing.assert_allclose(got, want[..., :3], rtol=0, atol=2 * slope / 64 + 1e-3)


def test_identity_warp_is_exact() -> None:
    arrays = make_arrays(2)
    y, x = np.mgrid[:32, :48]
    arrays["warp"][..., 0], arrays["warp"][..., 1] = x, y
    arrays["source"][..., 3] = 255
    got = run_pack(arrays)
    c = functional.pixel_shuffle(torch.from_numpy(got[:, :48]), 4)[0].permute(1, 2, 0).numpy()
    levels = np.arange(256, dtype=np.float32)
    table = (levels - 127.5) * np.float32(1 / 127.5)
    np.testing.assert_array_equal(c, table[arrays["source"][..., :3]])
    assert table[0] == -1
    assert table[255] == 1
    np.testing.assert_array_equal(got[0, 128:], arrays["features"])


def test_plate_is_not_warped() -> None:
    arrays = make_arrays(3)
    arrays["source"][..., 3] = 0
    c = functional.pixel_shuffle(torch.from_numpy(run_pack(arrays)[:, :48]), 4)[0]
    levels = np.round((c.permute(1, 2, 0).numpy() + 1) * 127.5)
    np.testing.assert_array_equal(levels, arrays["plate"])


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, (4, 8, 3), elements=st.floats(width=32)))
def test_any_warp_is_safe(warp: NDArray[np.float32]) -> None:
    arrays = make_arrays(4, (4, 8))
    arrays["warp"] = warp
    got = run_pack(arrays)
    assert (np.abs(got[:, :48]) <= 1).all()
    assert ((got[:, 48:64] >= 0) & (got[:, 48:64] <= 1)).all()
    assert np.isfinite(got[:, 128:]).all()


def test_unaligned_bytes() -> None:
    arrays = make_arrays(5)
    source = np.zeros(arrays["source"].size + 1, np.uint8)[1:].reshape(arrays["source"].shape)
    source[:] = arrays["source"]
    np.testing.assert_array_equal(run_pack(arrays | {"source": source}), run_pack(arrays))


def test_without_features() -> None:
    arrays = make_arrays(6)
    without = run_pack(arrays | {"features": np.zeros((0, 8, 12), np.float32)})
    np.testing.assert_array_equal(without, run_pack(arrays)[:, :128])


@pytest.mark.parametrize("threads", [2, 4, 64])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    arrays = make_arrays(7)
    assert run_pack(arrays).tobytes() == run_pack(arrays, threads).tobytes()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("source", np.zeros((32, 48, 3), np.uint8), ValueError, r"source.*\(any, any, 4\)"),
        ("source", np.zeros((0, 48, 4), np.uint8), ValueError, "source.*at least one pixel"),
        ("source", np.zeros((32, 48, 4), np.float32), TypeError, "source.*uint8.*float32"),
        ("plate", np.zeros((32, 44, 3), np.uint8), ValueError, r"plate.*\(32, 48, 3\)"),
        ("warp", np.zeros((30, 48, 3), np.float32), ValueError, "warp.*multiples of 4"),
        ("interior", np.zeros((32, 48, 1), np.float32), ValueError, r"interior.*\(32, 48, 3\)"),
        ("features", np.zeros((5, 0, 12), np.float32), ValueError, "features.*one pixel"),
        ("condition", np.zeros((1, 128, 8, 12), np.float32), ValueError, r"\(1, 133, 8, 12\)"),
        ("threads", -1, ValueError, "threads.*at least 1, got -1"),
    ],
)
def test_bad_arguments(name: str, value: object, error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {
        **make_arrays(8),
        "condition": np.zeros((1, 133, 8, 12), np.float32),
    }
    arguments[name] = value
    with pytest.raises(error, match=message):
        _core.pack(**arguments)  # type: ignore[arg-type]
