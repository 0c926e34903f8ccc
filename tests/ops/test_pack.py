"""`pack` against torch's grid_sample and pixel_unshuffle in float64, and OpenCV's remap."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from parlante import _core
from tests.support.planes import shuffle

Arrays = dict[str, Any]


def make_arrays(
    seed: int, size: tuple[int, int] = (32, 48), source_size: tuple[int, int] | None = None
) -> Arrays:
    rng = np.random.default_rng(seed)
    h, w = size
    source_h, source_w = source_size or size
    flow = np.empty((h, w, 6), np.float32)
    flow[..., 0] = rng.uniform(-5, source_w + 5, size)
    flow[..., 1] = rng.uniform(-5, source_h + 5, size)
    flow[..., 2:4] = rng.uniform(0, 1, (*size, 2))
    flow[..., 4] = rng.uniform(-5, 20 + 5, size)
    flow[..., 5] = rng.uniform(-5, 12 + 5, size)
    return {
        "source": rng.integers(0, 256, (source_h, source_w, 4), dtype=np.uint8),
        "reference": rng.integers(0, 256, (12, 20, 4), dtype=np.uint8),
        "flow": flow,
        "inside": None,
        "cover": None,
    }


def run_pack(arrays: Arrays, threads: int = 1) -> NDArray[np.float32]:
    h, w = arrays["flow"].shape[:2]
    condition = np.full((1, 144, h // 4, w // 4), np.nan, np.float32)
    _core.pack(**arrays, condition=condition, threads=threads)
    return condition


def images(arrays: Arrays, threads: int = 1) -> NDArray[np.float32]:
    """What `pack` writes, as images [9, rows, columns]."""
    return shuffle(run_pack(arrays, threads)).transpose(2, 0, 1)


def sample(image: NDArray[np.generic], x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Bilinear samples [channels, ...] of `image` [channels, rows, columns], edges clamped."""
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    rows, columns = image.shape[1:]
    grid = np.stack([x / (columns - 1) * 2 - 1, y / (rows - 1) * 2 - 1], -1)
    return torch.nn.functional.grid_sample(
        torch.from_numpy(image.astype(np.float64))[None],
        torch.from_numpy(grid)[None],
        padding_mode="border",
        align_corners=True,
    )[0]


def reference(arrays: Arrays) -> NDArray[np.float64]:
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    flow = arrays["flow"].astype(np.float64).transpose(2, 0, 1)
    c = sample(arrays["source"][..., :3].transpose(2, 0, 1), *flow[:2]) / 127.5 - 1
    opening, drawn = torch.from_numpy(flow[2:4, None])
    seen = sample(arrays["reference"].transpose(2, 0, 1), *flow[4:])
    valid = seen[3:] / 255
    shown = c + valid * (seen[:3] / 127.5 - 1 - c)
    channels = torch.cat([shown, drawn, opening, c * valid, valid])
    return torch.nn.functional.pixel_unshuffle(channels[None], 4).numpy()


@pytest.mark.parametrize(
    ("size", "source_size"),
    [((32, 48), None), ((256, 256), None), ((32, 32), (64, 96)), ((4, 4), (8, 8))],
)
def test_matches_float64_reference(
    size: tuple[int, int], source_size: tuple[int, int] | None
) -> None:
    arrays = make_arrays(0, size, source_size)
    got, want = run_pack(arrays), reference(arrays)
    # Coordinates are exact; two lerps, the scale and the alpha round values below 255 about eight
    # times, and 1/127.5 brings that to 16 * 2^-24.
    np.testing.assert_allclose(got, want, rtol=0, atol=16 * 2.0**-24)


def test_agrees_with_opencv_remap() -> None:
    arrays = make_arrays(1, (64, 64)) | {"reference": None}
    arrays["source"] = cv2.GaussianBlur(arrays["source"], (0, 0), 3)
    flow = arrays["flow"]
    want = cv2.remap(
        arrays["source"].astype(np.float32),
        flow[..., 0],
        flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    got = (images(arrays)[:3].transpose(1, 2, 0) + 1) * 127.5
    # OpenCV may round coordinates to 1/32 pixel: half of that an axis, times the steepest slope.
    slope = max(np.abs(np.diff(arrays["source"].astype(float), axis=a)).max() for a in (0, 1))
    np.testing.assert_allclose(got, want[..., :3], rtol=0, atol=2 * slope / 64 + 1e-3)


def test_identity_flow_is_exact() -> None:
    arrays = make_arrays(2)
    y, x = np.mgrid[:32, :48]
    arrays["flow"][..., :2] = arrays["flow"][..., 4:] = np.stack([x, y], -1)
    arrays["reference"] = arrays["source"][::-1].copy()
    arrays["reference"][..., 3] = 255
    got = images(arrays)
    levels = np.arange(256, dtype=np.float32)
    table = (levels - 127.5) * np.float32(1 / 127.5)
    for name, first in (("reference", 0), ("source", 5)):
        colors = table[arrays[name][..., :3]].transpose(2, 0, 1)
        # The reference is blended in, if all the way.
        atol = 2.0**-23 if name == "reference" else 0
        np.testing.assert_allclose(got[first : first + 3], colors, rtol=0, atol=atol)
    assert table[0] == -1
    assert table[255] == 1
    np.testing.assert_array_equal(got[3], arrays["flow"][..., 3])
    np.testing.assert_array_equal(got[4], arrays["flow"][..., 2])
    np.testing.assert_array_equal(got[8], 1)


def test_where_the_reference_is_not_valid_it_is_0() -> None:
    arrays = make_arrays(3)
    arrays["reference"][..., 3] = 0
    got = run_pack(arrays)
    np.testing.assert_array_equal(got[:, 80:], 0)
    np.testing.assert_array_equal(run_pack(arrays | {"reference": None}), got)


def test_without_a_reference() -> None:
    arrays = make_arrays(6)
    got = run_pack(arrays | {"reference": None}, threads=2)
    np.testing.assert_array_equal(got[:, 48:80], run_pack(arrays)[:, 48:80])
    np.testing.assert_array_equal(got[:, 80:], 0)
    # Where the reference is valid it takes the place of the source.
    arrays["reference"][..., 3] = 255
    np.testing.assert_array_equal(run_pack(arrays)[:, 80:128], got[:, :48])


def test_the_matte_is_not_read() -> None:
    arrays = make_arrays(9)
    other = arrays["source"].copy()
    other[..., 3] ^= 255
    np.testing.assert_array_equal(run_pack(arrays | {"source": other}), run_pack(arrays))


@pytest.mark.parametrize("referred", [False, True])
def test_colours_are_blurred_where_there_is_cover(referred: bool) -> None:
    """As by OpenCV's box filter over the pixels that there are; a reference's, too."""
    arrays = make_arrays(11)
    if referred:
        arrays["reference"][..., 3] = 255
    else:
        arrays["reference"] = None
    plain = images(arrays)
    cover = np.random.default_rng(1).uniform(-1, 1, (32, 48)).clip(0).astype(np.float32)
    soft = images(arrays | {"cover": cover}, threads=2)
    count = cv2.boxFilter(np.ones_like(cover), -1, (5, 5), normalize=False, borderType=0)
    for image in (0, 5) if referred else (0,):  # what is shown, and the source beside a reference
        sharp, made = plain[image : image + 3], soft[image : image + 3]
        box = [cv2.boxFilter(p, -1, (5, 5), normalize=False, borderType=0) for p in sharp]
        wanted = sharp + cover * (np.stack(box) / count - sharp)
        np.testing.assert_allclose(made, wanted, rtol=0, atol=2e-6)
        np.testing.assert_array_equal(made[:, cover == 0], sharp[:, cover == 0])
    np.testing.assert_array_equal(soft[[3, 4, 8]], plain[[3, 4, 8]])


def test_a_colour_is_laid_over_the_source() -> None:
    """Before the blur; the reference and the maps are left alone."""
    arrays = make_arrays(12) | {"reference": None}
    rng = np.random.default_rng(2)
    inside = rng.uniform(-1, 1, (32, 48, 4)).clip(-1, 1).astype(np.float32)
    inside[..., 3] = inside[..., 3].clip(0)
    plain, laid = (images(arrays | more) for more in ({}, {"inside": inside}))
    share = inside[..., 3]
    wanted = plain[:3] * (1 - share) + inside[..., :3].transpose(2, 0, 1) * share
    np.testing.assert_allclose(laid[:3], wanted, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(laid[:3][:, share == 0], plain[:3][:, share == 0])
    np.testing.assert_array_equal(laid[3:], plain[3:])
    cover = np.ones((32, 48), np.float32)
    soft = images(arrays | {"inside": inside, "cover": cover}, threads=2)
    middle = laid[:3, 10:15, 20:25].mean((1, 2))
    np.testing.assert_allclose(soft[:3, 12, 22], middle, rtol=0, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, (4, 8, 6), elements=st.floats(width=32)))
def test_any_flow_is_safe(flow: NDArray[np.float32]) -> None:
    got = run_pack(make_arrays(4, (4, 8)) | {"flow": flow})
    assert (np.abs(got[:, :48]) <= 1).all()
    assert (np.abs(got[:, 80:128]) <= 1).all()
    assert ((got[:, 128:] >= 0) & (got[:, 128:] <= 1)).all()


def test_unaligned_bytes() -> None:
    arrays = make_arrays(5)
    source = np.zeros(arrays["source"].size + 1, np.uint8)[1:].reshape(arrays["source"].shape)
    source[:] = arrays["source"]
    np.testing.assert_array_equal(run_pack(arrays | {"source": source}), run_pack(arrays))


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("name", ["source", "reference"])
def test_a_picture_one_pixel_wide(name: str, rows: int) -> None:
    arrays = make_arrays(10)
    narrow = arrays[name][:rows, :1].copy()
    got = run_pack(arrays | {name: narrow}, threads=2)
    np.testing.assert_array_equal(got, run_pack(arrays | {name: narrow.repeat(2, 1)}))


@pytest.mark.parametrize("threads", [2, 4, 64])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    arrays = make_arrays(7)
    arrays["cover"] = np.linspace(-1, 1, 32 * 48, dtype=np.float32).reshape(32, 48).clip(0)
    assert run_pack(arrays).tobytes() == run_pack(arrays, threads).tobytes()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("source", np.zeros((32, 48, 3), np.uint8), ValueError, r"source.*\(any, any, 4\)"),
        ("source", np.zeros((0, 48, 4), np.uint8), ValueError, "source.*at least one pixel"),
        ("source", np.zeros((32, 48, 4), np.float32), TypeError, "source.*uint8.*float32"),
        ("reference", np.zeros((9, 9, 3), np.uint8), ValueError, r"reference.*\(any, any, 4\)"),
        ("reference", np.zeros((9, 0, 4), np.uint8), ValueError, "reference.*at least one pixel"),
        ("flow", np.zeros((30, 48, 6), np.float32), ValueError, "flow.*multiples of 4"),
        ("flow", np.zeros((32, 48, 3), np.float32), ValueError, r"flow.*\(any, any, 6\)"),
        ("flow", np.zeros((32, 48, 6)), TypeError, "flow.*float32.*float64"),
        ("flow", None, TypeError, "incompatible function arguments"),
        ("inside", np.zeros((32, 48, 3), np.float32), ValueError, r"inside.*\(32, 48, 4\)"),
        ("cover", np.zeros((32, 47), np.float32), ValueError, r"cover.*\(32, 48\)"),
        ("condition", np.zeros((1, 128, 8, 12), np.float32), ValueError, r"\(1, 144, 8, 12\)"),
        ("threads", -1, ValueError, "threads.*at least 1, got -1"),
    ],
)
def test_bad_arguments(name: str, value: object, error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {
        **make_arrays(8),
        "condition": np.zeros((1, 144, 8, 12), np.float32),
    }
    arguments[name] = value
    with pytest.raises(error, match=message):
        _core.pack(**arguments)  # type: ignore[arg-type]
