"""`compose` against OpenCV's resize and remap with numpy compositing, and BT.709 in float64."""

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

GRID = 64
Arrays = dict[str, NDArray[np.generic]]
Background = str | tuple[int, int, int]


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> NDArray[np.float64]:
    """Random values in 0..1 that vary over about `sigma` pixels."""
    noise = cv2.GaussianBlur(rng.uniform(0, 1, shape), (0, 0), sigma)
    return (noise - noise.min()) / (noise.max() - noise.min())


def shuffle(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[1, 48, h, w] -> image [4h, 4w, 3]."""
    return functional.pixel_shuffle(torch.from_numpy(planes), 4)[0].permute(1, 2, 0).numpy()


def unshuffle(image: NDArray[np.float64]) -> NDArray[np.float32]:
    planes = functional.pixel_unshuffle(torch.from_numpy(image).permute(2, 0, 1)[None], 4)
    return np.ascontiguousarray(planes.numpy().astype(np.float32))


def make_arrays(seed: int, size: int) -> Arrays:
    """A smooth random scene; c is what `pack` makes of it, x0 a correction to it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:GRID, :GRID]
    warp = np.zeros((GRID, GRID, 3), np.float32)
    warp[..., 0] = x + 6 * (smooth(rng, (GRID, GRID), 8) - 0.5)
    warp[..., 1] = y + 6 * (smooth(rng, (GRID, GRID), 8) - 0.5)
    source = np.round(255 * smooth(rng, (size, size, 4), size / 32)).astype(np.uint8)
    plate = np.round(255 * smooth(rng, (size, size, 3), size / 32)).astype(np.uint8)
    condition = np.zeros((1, 128, GRID // 4, GRID // 4), np.float32)
    if size == GRID:
        interior, features = np.zeros_like(warp), np.zeros((0, 16, 16), np.float32)
        _core.pack(source, plate, warp, interior, features, condition)
    else:
        condition[:, :48] = unshuffle(2 * smooth(rng, (GRID, GRID, 3), 3) - 1)
    residual = unshuffle(0.6 * (smooth(rng, (GRID, GRID, 3), 2) - 0.5))
    x0 = np.clip(condition[:, :48] + residual, -1, 1)
    return {"source": source, "plate": plate, "warp": warp, "x0": x0, "condition": condition}


def run_compose(
    arrays: Arrays, image_format: str = "rgb", background: Background = "plate", threads: int = 1
) -> NDArray[np.uint8]:
    rows, columns = arrays["source"].shape[:2]
    shape = {
        "rgb": (rows, columns, 3),
        "bgr": (rows, columns, 3),
        "rgba": (rows, columns, 4),
        "nv12": (rows * 3 // 2, columns),
    }[image_format]
    out = np.full(shape, 137, np.uint8)
    _core.compose(
        **arrays,  # type: ignore[arg-type]
        out=out,
        format=image_format,  # type: ignore[arg-type]
        background=background,  # type: ignore[arg-type]
        threads=threads,
    )
    return out


def reference_levels(
    arrays: Arrays, background: Background
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colours and matte before rounding, [S, S, 3] and [S, S, 1] in 0..255, with OpenCV."""
    size = arrays["source"].shape[0]
    scale = size / GRID
    y, x = np.mgrid[:GRID, :GRID]
    # Displacements resize without the border effect that positions have.
    displacement = (arrays["warp"][..., :2] - np.stack([x, y], -1)).astype(np.float64)
    displacement = cv2.resize(displacement, (size, size), interpolation=cv2.INTER_LINEAR) * scale
    own = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
    at = (own + displacement).astype(np.float32)
    warped = cv2.remap(
        arrays["source"].astype(np.float32),
        at[..., 0],
        at[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float64)
    residual = (shuffle(arrays["x0"]) - shuffle(arrays["condition"][:, :48])) * 127.5
    residual = cv2.resize(residual.astype(np.float64), (size, size))
    color, alpha = warped[..., :3], warped[..., 3:] / 255
    if background == "plate":
        levels = alpha * color + (1 - alpha) * arrays["plate"] + residual
    elif background == "picture":
        levels = alpha * (color + residual) + (1 - alpha) * arrays["plate"]
    elif background == "alpha":
        levels = color + residual
    else:
        levels = alpha * (color + residual) + (1 - alpha) * np.array(background)
    return np.clip(levels, 0, 255), warped[..., 3:]


@pytest.mark.parametrize("size", [64, 96, 128, 200])
@pytest.mark.parametrize("background", ["plate", "picture", "alpha", (0, 177, 64)])
def test_matches_opencv(size: int, background: Background) -> None:
    arrays = make_arrays(size, size)
    got = run_compose(arrays, "rgba", background).astype(float)
    levels, alpha = reference_levels(arrays, background)
    inner = np.s_[4:-4, 4:-4]
    slope = sum(np.abs(np.diff(arrays["source"].astype(float), axis=a)).max() for a in (0, 1))
    # Rounding to a byte, and OpenCV's coordinates, which may be rounded to 1/32 pixel.
    bound = 0.5 + slope / 64 * 2
    np.testing.assert_allclose(got[inner][..., :3], levels[inner], rtol=0, atol=bound)
    np.testing.assert_allclose(got[inner][..., 3:], alpha[inner], rtol=0, atol=bound)
    # At the border this op continues the warp's slope where resize repeats the displacement.
    np.testing.assert_allclose(got[..., :3], levels, rtol=0, atol=bound + slope * 0.5)


def test_same_size_returns_x0() -> None:
    arrays = make_arrays(0, GRID)
    got = run_compose(arrays)
    exact = (shuffle(arrays["x0"]).astype(np.float64) + 1) * 127.5
    # c + (x0 - c) rounds levels below 512 a few times: only a tie may go the other way.
    assert np.abs(got - exact).max() <= 0.5 + 8 * 512 * 2.0**-24


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (160, 160), (512, 512), (96, 128), (75, 50)])
def test_identity_copies_the_photo_at_any_size(size: tuple[int, int]) -> None:
    arrays = make_arrays(1, max(size))
    for name in ("source", "plate"):
        arrays[name] = np.ascontiguousarray(arrays[name][: size[0], : size[1]])
    y, x = np.mgrid[:GRID, :GRID]
    arrays["warp"][..., 0], arrays["warp"][..., 1] = x, y
    arrays["x0"] = np.ascontiguousarray(arrays["condition"][:, :48])
    # Up to the border too: the warp is continued, not clamped.
    np.testing.assert_array_equal(run_compose(arrays, "rgba", "alpha"), arrays["source"])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [96, 128])
def test_where_the_warp_breaks_colours_are_blended(size: int, axis: int) -> None:
    """Two lids that meet: the white eye between them, in the photo, is not seen.

    Beside the break there is what OpenCV makes of the colours on the crop grid.
    """
    arrays = make_arrays(10, size)
    rows = np.arange(size)[:, None, None] * np.ones((1, size, 4))
    photo = 40 + 80 * rows / size
    eye = slice(size * 26 // GRID, size * 38 // GRID)
    photo[eye] = 255
    photo[..., 3] = 255
    warp = np.zeros((GRID, GRID, 3), np.float32)
    warp[..., 1], warp[..., 0] = np.mgrid[:GRID, :GRID]
    warp[:32, :, 1] -= 8
    warp[32:, :, 1] += 8
    if axis:
        photo = photo.transpose(1, 0, 2)
        warp = np.ascontiguousarray(warp.transpose(1, 0, 2)[..., [1, 0, 2]])
    arrays["source"] = np.ascontiguousarray(np.round(photo).astype(np.uint8))
    arrays["warp"] = warp
    arrays["x0"] = np.ascontiguousarray(arrays["condition"][:, :48])
    got = run_compose(arrays, "rgba", "alpha")[..., :3].astype(float)
    assert got.max() <= 121

    places = (warp + 0.5) * (size / GRID) - 0.5
    source = arrays["source"].astype(np.float32)
    shown = cv2.remap(source, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=1)
    blended = cv2.resize(shown, (size, size))[..., :3]
    at_break = (
        np.s_[:, size // 2 - 1 : size // 2 + 1] if axis else np.s_[size // 2 - 1 : size // 2 + 1]
    )
    np.testing.assert_allclose(got[at_break], blended[at_break], rtol=0, atol=0.6 + 80 / GRID / 32)


def test_formats_agree() -> None:
    arrays = make_arrays(2, 96)
    rgb = run_compose(arrays)
    np.testing.assert_array_equal(run_compose(arrays, "bgr"), rgb[..., ::-1])
    rgba = run_compose(arrays, "rgba")
    np.testing.assert_array_equal(rgba[..., :3], rgb)


def test_nv12_is_bt709_limited_range() -> None:
    arrays = make_arrays(3, 96)
    got = run_compose(arrays, "nv12").astype(float)
    r, g, b = np.moveaxis(run_compose(arrays).astype(np.float64), -1, 0)
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    chroma = np.stack([(b - luma) / 1.8556, (r - luma) / 1.5748], -1)
    chroma = chroma.reshape(48, 2, 48, 2, 2).mean((1, 3)).reshape(48, 96)
    # `r`, `g`, `b` were rounded to bytes here and were not there: half a level, and the output's.
    np.testing.assert_allclose(got[:96], 16 + luma * 219 / 255, rtol=0, atol=0.5 + 0.5 * 219 / 255)
    np.testing.assert_allclose(got[96:], 128 + chroma * 224 / 255, rtol=0, atol=0.5 + 0.5)


@pytest.mark.parametrize(
    ("color", "luma", "blue", "red"),
    [  # ITU-T H.273 with BT.709 coefficients, rounded
        ((0, 0, 0), 16, 128, 128),
        ((255, 255, 255), 235, 128, 128),
        ((255, 0, 0), 63, 102, 240),
        ((0, 255, 0), 173, 42, 26),
        ((0, 0, 255), 32, 240, 118),
    ],
)
def test_nv12_primaries(color: tuple[int, int, int], luma: int, blue: int, red: int) -> None:
    arrays = make_arrays(4, GRID)
    arrays["source"][..., 3] = 0
    out = run_compose(arrays, "nv12", color)
    assert (out[:GRID] == luma).all()
    assert (out[GRID:, 0::2] == blue).all()
    assert (out[GRID:, 1::2] == red).all()


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.float32, (4, 4, 3), elements=st.floats(width=32)),
    hnp.arrays(np.float32, (1, 48, 1, 1), elements=st.floats(width=32)),
    st.sampled_from(["rgb", "rgba", "nv12"]),
)
def test_any_warp_and_network_output_are_safe(
    warp: NDArray[np.float32], x0: NDArray[np.float32], image_format: str
) -> None:
    rng = np.random.default_rng(0)
    arrays: Arrays = {
        "source": rng.integers(0, 256, (6, 10, 4), dtype=np.uint8),
        "plate": rng.integers(0, 256, (6, 10, 3), dtype=np.uint8),
        "warp": warp,
        "x0": x0,
        "condition": np.zeros((1, 48, 1, 1), np.float32),
    }
    first = run_compose(arrays, image_format)
    assert first.tobytes() == run_compose(arrays, image_format, threads=2).tobytes()


@pytest.mark.parametrize("size", [GRID, 96])
def test_a_source_that_shows_more_than_the_frame(size: int) -> None:
    """It is sampled where it lies: beyond the frame, too, as OpenCV does."""
    arrays = make_arrays(9, size)
    rng = np.random.default_rng(9)
    left, top = 13, 7
    large = np.round(255 * smooth(rng, (size + 20, size + 30, 4), 4)).astype(np.uint8)
    inner = np.ascontiguousarray(large[top : top + size, left : left + size])
    x0 = arrays["condition"][:, :48]  # nothing is added to the warp
    frame = arrays | {"source": large, "x0": np.ascontiguousarray(x0)}
    out = np.empty((size, size, 4), np.uint8)

    def composed(dx: float, dy: float) -> NDArray[np.int64]:
        warp = np.zeros((GRID, GRID, 3), np.float32)
        warp[..., 1], warp[..., 0] = np.mgrid[:GRID, :GRID]
        warp[..., :2] += np.array([dx, dy]) * GRID / size
        _core.compose(
            **(frame | {"warp": warp}),  # type: ignore[arg-type]
            out=out,
            format="rgba",
            background="alpha",
            corner=(left, top),
        )
        return out.astype(np.int64)

    np.testing.assert_array_equal(composed(0, 0), inner)
    np.testing.assert_array_equal(composed(-13, -7), large[:size, :size])
    moved = np.float32([[1, 0, left + 3.5], [0, 1, top - 2.25]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wanted = cv2.warpAffine(large, moved, (size, size), flags=flags)
    # OpenCV's weights have five bits.
    assert np.abs(composed(3.5, -2.25) - wanted).max() <= 255 / 32 + 1


@pytest.mark.parametrize("threads", [2, 4, 64])
@pytest.mark.parametrize("image_format", ["rgb", "rgba", "nv12"])
def test_threads_do_not_change_a_bit(threads: int, image_format: str) -> None:
    arrays = make_arrays(6, 160)
    one = run_compose(arrays, image_format)
    assert one.tobytes() == run_compose(arrays, image_format, threads=threads).tobytes()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("source", np.zeros((64, 64, 3), np.uint8), ValueError, r"source.*\(any, any, 4\)"),
        ("plate", np.zeros((64, 64, 4), np.uint8), ValueError, r"plate.*\(any, any, 3\)"),
        ("plate", np.zeros((65, 64, 3), np.uint8), ValueError, r"plate within the source.*65"),
        ("corner", (1, 0), ValueError, r"plate within the source.*corner \(1, 0\)"),
        ("corner", (0, -1), ValueError, r"plate within the source.*corner \(0, -1\)"),
        ("warp", np.zeros((32, 64, 3), np.float32), ValueError, r"warp.*\(64, 64, 3\)"),
        ("x0", np.zeros((1, 45, 16, 16), np.float32), ValueError, r"x0.*\(1, 48, any, any\)"),
        ("condition", np.zeros((1, 40, 16, 16), np.float32), ValueError, "at least 48 planes"),
        ("out", np.zeros((64, 64, 4), np.uint8), ValueError, r"out.*\(64, 64, 3\)"),
        ("format", "yuyv", ValueError, "format.*'nv12', got 'yuyv'"),
        ("background", "green", ValueError, "background.*got green"),
        ("background", (0, 256, 0), ValueError, r"0\.\.255, got \(0, 256, 0\)"),
        ("background", (0, 1), ValueError, "background.*got"),
        ("background", ("a", 1, 2), ValueError, "background.*got"),
        ("background", "alpha", ValueError, "'alpha' needs format 'rgba'"),
        ("threads", 0, ValueError, "threads.*at least 1"),
    ],
)
def test_bad_arguments(name: str, value: object, error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {
        **make_arrays(7, GRID),
        "out": np.zeros((GRID, GRID, 3), np.uint8),
    }
    arguments[name] = value
    with pytest.raises(error, match=message):
        _core.compose(**arguments)  # type: ignore[arg-type]


def test_nv12_needs_even_sizes() -> None:
    arrays = make_arrays(8, 96)
    odd = arrays | {name: np.ascontiguousarray(arrays[name][:95]) for name in ("source", "plate")}
    with pytest.raises(ValueError, match="even rows and columns for nv12, got 95 and 96"):
        run_compose(odd, "nv12")
