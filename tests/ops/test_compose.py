"""`compose` against OpenCV's resize and remap with numpy compositing, its patches against SciPy's
bilinear samples, and BT.709 in float64."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from parlante import _core
from tests.support.planes import shuffle, unshuffle

GRID = 64
ATLAS = (64, 32)
BANDS = np.array([[0, 32], [32, 48], [48, 64]], np.int32)
Arrays = dict[str, Any]
Background = str | tuple[int, int, int]


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> NDArray[np.float64]:
    """Random values in 0..1 that vary over about `sigma` pixels."""
    noise = cv2.GaussianBlur(rng.uniform(0, 1, shape), (0, 0), sigma)
    return (noise - noise.min()) / (noise.max() - noise.min())


def place(
    centre: tuple[float, float], width: float, angle: float, band: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Map [2, 3] of the grid to a band of the atlas, which is `width` pixels wide on the grid."""
    scale, (first, last) = ATLAS[1] / width, band
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([(ATLAS[1] - 1) / 2, (first + last - 1) / 2])
    return np.column_stack([turn, middle - turn @ centre])


def make_arrays(seed: int, size: int) -> Arrays:
    """A smooth random scene, in which the network draws three patches."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:GRID, :GRID]
    warp = np.zeros((GRID, GRID, 2), np.float32)
    warp[..., 0] = x + 6 * (smooth(rng, (GRID, GRID), 8) - 0.5)
    warp[..., 1] = y + 6 * (smooth(rng, (GRID, GRID), 8) - 0.5)
    condition = np.zeros((1, 144, ATLAS[0] // 4, ATLAS[1] // 4), np.float32)
    condition[:, :48] = unshuffle(2 * smooth(rng, (*ATLAS, 3), 3) - 1)
    x0 = condition[:, :48] + unshuffle(1.2 * (smooth(rng, (*ATLAS, 3), 2) - 0.5))
    places = [
        place((32, 42), 20, 0.2, BANDS[0]),
        place((22, 25), 12, 0.2, BANDS[1]),
        place((42, 22), 12, -0.1, BANDS[2]),
    ]
    return {
        "source": np.round(255 * smooth(rng, (size, size, 4), size / 32)).astype(np.uint8),
        "plate": np.round(255 * smooth(rng, (size, size, 3), size / 32)).astype(np.uint8),
        "warp": warp,
        "x0": x0,
        "condition": condition,
        "cover": None,
        "places": np.array(places, np.float32),
        "bands": BANDS,
    }


def add_nothing(arrays: Arrays) -> Arrays:
    """The same without a residual."""
    return arrays | {"x0": None, "condition": None, "cover": None}


def covered(arrays: Arrays, seed: int) -> Arrays:
    """The same with x0 itself shown here and there."""
    rng = np.random.default_rng(seed)
    return arrays | {"cover": np.clip(2 * smooth(rng, ATLAS, 3) - 0.5, 0, 1).astype(np.float32)}


def run_compose(
    arrays: Arrays, image_format: str = "rgb", background: Background = "plate", threads: int = 1
) -> NDArray[np.uint8]:
    rows, columns = arrays["plate"].shape[:2]
    shape = {
        "rgb": (rows, columns, 3),
        "bgr": (rows, columns, 3),
        "rgba": (rows, columns, 4),
        "nv12": (rows * 3 // 2, columns),
    }[image_format]
    out = np.full(shape, 137, np.uint8)
    _core.compose(
        **arrays,
        out=out,
        format=image_format,  # type: ignore[arg-type]
        background=background,  # type: ignore[arg-type]
        threads=threads,
    )
    return out


def test_tiles_lie_under_one_another() -> None:
    """Two tiles compose as the one image that they are the halves of."""
    arrays = make_arrays(31, 96)
    tiled = {
        name: np.concatenate(np.split(arrays[name], 2, axis=2)) for name in ("x0", "condition")
    }
    np.testing.assert_array_equal(run_compose(arrays | tiled), run_compose(arrays))


def reference_residual(arrays: Arrays) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What the patches add [Ho, Wo, 3], with SciPy, and where it is sure whether they do."""
    added, sure = reference_patches(arrays)
    return added[..., :3], sure


def reference_patches(arrays: Arrays) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """As `reference_residual`, with the share of the warp that goes: [Ho, Wo, 4]."""
    x0, c = (shuffle(arrays[name][:, :48]).astype(np.float64) for name in ("x0", "condition"))
    cover = np.zeros((*ATLAS, 1)) if arrays["cover"] is None else arrays["cover"][..., None]
    levels = np.dstack([(1 - cover) * (x0 - c) * 127.5 + cover * (x0 + 1) * 127.5, cover])
    shape, grid = arrays["plate"].shape[:2], arrays["warp"].shape[:2]
    y, x = ((np.arange(n) + 0.5) * g / n - 0.5 for n, g in zip(shape, grid, strict=True))
    at = np.stack([*np.meshgrid(x, y), np.ones(shape)])
    added, sure = np.zeros((*shape, 4)), np.ones(shape, bool)
    for to_atlas, (first, last) in zip(arrays["places"], arrays["bands"], strict=True):
        u, v = np.tensordot(to_atlas.astype(np.float64), at, 1)
        edges = np.stack([u, levels.shape[1] - 1 - u, v - first, last - 1 - v])
        sure &= (np.abs(edges) > 1e-3).all(0)
        inside = (edges >= 0).all(0)
        for channel in range(4):
            band = levels[first:last, :, channel]
            seen = ndimage.map_coordinates(band, [v - first, u], order=1, mode="nearest")
            added[..., channel] += np.where(inside, seen, 0)
    return added, sure


def reference_levels(
    arrays: Arrays, background: Background
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colours and matte before rounding, [S, S, 3] and [S, S, 1] in 0..255, with OpenCV."""
    size = arrays["source"].shape[0]
    scale = size / GRID
    y, x = np.mgrid[:GRID, :GRID]
    # Displacements resize without the border effect that positions have.
    displacement = (arrays["warp"] - np.stack([x, y], -1)).astype(np.float64)
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
    added, _ = reference_patches(arrays)
    alpha = warped[..., 3:] / 255
    color = warped[..., :3] * (1 - added[..., 3:]) + added[..., :3]
    if background == "plate":
        levels = alpha * color + (1 - alpha) * arrays["plate"]
    elif background == "alpha":
        levels = color
    else:
        levels = alpha * color + (1 - alpha) * np.array(background)
    return np.clip(levels, 0, 255), warped[..., 3:]


@pytest.mark.parametrize("size", [64, 96, 128, 200])
@pytest.mark.parametrize("background", ["plate", "alpha", (0, 177, 64)])
@pytest.mark.parametrize("shown", [False, True])
def test_matches_opencv(size: int, background: Background, shown: bool) -> None:
    arrays = make_arrays(size, size)
    if shown:
        arrays = covered(arrays, size)
    got = run_compose(arrays, "rgba", background).astype(float)
    levels, alpha = reference_levels(arrays, background)
    _, sure = reference_residual(arrays)
    got[~sure, :3] = levels[~sure]
    inner = np.s_[4:-4, 4:-4]
    slope = sum(np.abs(np.diff(arrays["source"].astype(float), axis=a)).max() for a in (0, 1))
    # Rounding to a byte, and OpenCV's coordinates, which may be rounded to 1/32 pixel.
    bound = 0.5 + slope / 64 * 2
    np.testing.assert_allclose(got[inner][..., :3], levels[inner], rtol=0, atol=bound)
    np.testing.assert_allclose(got[inner][..., 3:], alpha[inner], rtol=0, atol=bound)
    # At the border this op continues the warp's slope where resize repeats the displacement.
    np.testing.assert_allclose(got[..., :3], levels, rtol=0, atol=bound + slope * 0.5)


CENTRE = (GRID - 1) / 2
PLACES = {
    "identity": [[1, 0, 0], [0, 1, 0]],
    "half a pixel on": [[1, 0, 0.5], [0, 1, -0.5]],
    "enlarged": place((CENTRE, CENTRE), 50, 0, BANDS[0]),
    "reduced": place((CENTRE, CENTRE), 9, 0, BANDS[0]),
    "turned": place((CENTRE, CENTRE), 30, 0.7, BANDS[0]),
    "upside down": place((CENTRE, CENTRE), 30, np.pi, BANDS[0]),
    "on its side": place((CENTRE, CENTRE), 30, np.pi / 2, BANDS[0]),
    "mirrored": [[-1.3, 0, 50], [0, 1.1, -9]],
    "sheared": [[1, 0.5, -20], [0.3, 1, -15]],
    "partly outside": place((3, 60), 40, -0.4, BANDS[0]),
    "larger than the frame": place((CENTRE, CENTRE), 200, 0.3, BANDS[0]),
    "outside": place((-50, 20), 30, 0.1, BANDS[0]),
    "one row seen everywhere": [[0, 0, 7.25], [0, 0, 3.5]],
}


def grey(arrays: Arrays, size: tuple[int, int]) -> Arrays:
    """The same scene over plain grey, on which a frame shows what is added to it."""
    return arrays | {
        "source": np.full((*size, 4), 128, np.uint8),
        "plate": np.full((*size, 3), 128, np.uint8),
    }


@pytest.mark.parametrize("size", [(64, 64), (160, 160), (75, 50)])
@pytest.mark.parametrize("band", [0, 2])
@pytest.mark.parametrize("where", PLACES)
def test_patches_are_sampled_where_they_lie(where: str, band: int, size: tuple[int, int]) -> None:
    arrays = grey(make_arrays(0, 64), size)
    places = np.array([PLACES[where]], np.float32)
    places[0, 1, 2] += BANDS[band, 0]
    arrays |= {"places": places, "bands": BANDS[band : band + 1]}
    got = run_compose(arrays, "rgba", "alpha")[..., :3].astype(float) - 128
    want, sure = reference_residual(arrays)
    assert sure.mean() > 0.9 or where in ("identity", "half a pixel on")
    assert np.abs(want).max() < 100, "would be clipped"
    # The slope of the residual is below 100 levels a pixel, places round to 2^-17 of one.
    np.testing.assert_allclose(got[sure], want[sure], rtol=0, atol=0.5 + 2e-3)


def test_an_identity_at_equal_size_is_exact() -> None:
    """Borders of the atlas included."""
    arrays = grey(make_arrays(1, 64), ATLAS)
    y, x = np.mgrid[: ATLAS[0], : ATLAS[1]]
    arrays |= {
        "warp": np.stack([x, y], -1).astype(np.float32),
        "places": np.eye(2, 3, dtype=np.float32)[None].repeat(3, 0),
    }
    residual = (shuffle(arrays["x0"]) - shuffle(arrays["condition"][:, :48])) * np.float32(127.5)
    want = np.clip(residual + np.float32(128), 0, 255) + np.float32(0.5)
    got = run_compose(arrays, "rgba", "alpha")
    np.testing.assert_array_equal(got[..., :3], want.astype(np.uint8))


def test_covered_by_x0_the_warp_is_not_seen() -> None:
    arrays = grey(make_arrays(1, 64), ATLAS)
    y, x = np.mgrid[: ATLAS[0], : ATLAS[1]]
    arrays |= {
        "warp": np.stack([x, y], -1).astype(np.float32),
        "places": np.eye(2, 3, dtype=np.float32)[None].repeat(3, 0),
        "cover": np.ones(ATLAS, np.float32),
    }
    want = np.clip((shuffle(arrays["x0"]) + 1) * np.float32(127.5), 0, 255)
    got = run_compose(arrays, "rgba", "alpha")[..., :3]
    np.testing.assert_allclose(got, want, rtol=0, atol=0.5 + 1e-4)


def test_patches_that_overlap_add_up() -> None:
    arrays = grey(make_arrays(2, 64), (96, 96))
    arrays |= {"places": arrays["places"][[0, 1, 0]], "bands": arrays["bands"][[0, 1, 0]]}
    got = run_compose(arrays, "rgba", "alpha")[..., :3].astype(float)
    want, sure = reference_residual(arrays)
    np.testing.assert_allclose(
        got[sure], np.clip(want[sure] + 128, 0, 255), rtol=0, atol=0.5 + 2e-3
    )


@pytest.mark.parametrize("image_format", ["rgb", "bgr", "rgba"])
@pytest.mark.parametrize("background", ["plate", (9, 177, 64)])
@pytest.mark.parametrize("size", [64, 150])
@pytest.mark.parametrize("shown", [False, True])
def test_outside_the_patches_a_frame_is_the_warp(
    size: int, background: Background, image_format: str, shown: bool
) -> None:
    arrays = make_arrays(3, size)
    if shown:
        arrays = covered(arrays, 3)
    warp = run_compose(add_nothing(arrays), image_format, background)
    got = run_compose(arrays, image_format, background)
    residual, sure = reference_residual(arrays)
    inside = residual.any(-1) | ~sure
    assert 0.05 < inside.mean() < 0.6
    np.testing.assert_array_equal(got[~inside], warp[~inside])
    assert (got != warp).any(-1)[inside].mean() > 0.5


def test_what_is_not_drawn_is_the_warp() -> None:
    arrays = make_arrays(4, 150)
    warp = run_compose(add_nothing(arrays))
    c = arrays["condition"][:, :48]
    np.testing.assert_array_equal(run_compose(arrays | {"x0": c.copy()}), warp)
    drawn = np.zeros((*ATLAS, 3), bool)
    drawn[10:20, 5:25] = True
    arrays["x0"] = np.where(unshuffle(drawn), arrays["x0"], c)
    inside = reference_residual(arrays)[0].any(-1)
    got = run_compose(arrays)
    np.testing.assert_array_equal(got[~inside], warp[~inside])
    assert (got != warp).any()


@pytest.mark.parametrize("image_format", ["rgb", "nv12"])
def test_without_patches(image_format: str) -> None:
    arrays = make_arrays(5, 96)
    warp = run_compose(add_nothing(arrays), image_format)
    none = arrays | {"places": arrays["places"][:0], "bands": arrays["bands"][:0]}
    np.testing.assert_array_equal(run_compose(none, image_format), warp)
    empty = arrays | {"bands": BANDS[:, :1].repeat(2, 1)}
    np.testing.assert_array_equal(run_compose(empty, image_format), warp)
    assert (run_compose(arrays, image_format) != warp).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_place_that_is_no_number_is_nowhere(value: float) -> None:
    arrays = make_arrays(6, 96)
    warp = run_compose(add_nothing(arrays))
    for i in range(6):
        arrays["places"][:] = make_arrays(6, 96)["places"]
        arrays["places"].reshape(3, 6)[:, i] = value
        np.testing.assert_array_equal(run_compose(arrays), warp)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (160, 160), (512, 512), (96, 128), (75, 50)])
def test_identity_copies_the_photo_at_any_size(size: tuple[int, int]) -> None:
    arrays = make_arrays(1, max(size))
    for name in ("source", "plate"):
        arrays[name] = np.ascontiguousarray(arrays[name][: size[0], : size[1]])
    y, x = np.mgrid[:GRID, :GRID]
    arrays["warp"][..., 0], arrays["warp"][..., 1] = x, y
    arrays["x0"] = np.ascontiguousarray(arrays["condition"][:, :48])  # a residual of 0
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
    warp = np.zeros((GRID, GRID, 2), np.float32)
    warp[..., 1], warp[..., 0] = np.mgrid[:GRID, :GRID]
    warp[:32, :, 1] -= 8
    warp[32:, :, 1] += 8
    if axis:
        photo = photo.transpose(1, 0, 2)
        warp = np.ascontiguousarray(warp.transpose(1, 0, 2)[..., ::-1])
    arrays["source"] = np.ascontiguousarray(np.round(photo).astype(np.uint8))
    arrays["warp"] = warp
    got = run_compose(add_nothing(arrays), "rgba", "alpha")[..., :3].astype(float)
    assert got.max() <= 121

    places = (warp + 0.5) * (size / GRID) - 0.5
    source = arrays["source"].astype(np.float32)
    shown = cv2.remap(source, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=1)
    blended = cv2.resize(shown, (size, size))[..., :3]
    at_break = (
        np.s_[:, size // 2 - 1 : size // 2 + 1] if axis else np.s_[size // 2 - 1 : size // 2 + 1]
    )
    np.testing.assert_allclose(got[at_break], blended[at_break], rtol=0, atol=0.6 + 80 / GRID / 32)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_edge_of_the_warp_is_smooth_at_equal_size(axis: int) -> None:
    """Before a break each pixel is the mean of both sides; every other one is its own."""
    arrays = add_nothing(make_arrays(11, GRID))
    source = np.zeros((GRID, GRID, 4), np.uint8)
    source[:, :32], source[:, 32:] = 40, 200
    source[..., 3] = 255
    y, x = np.mgrid[:GRID, :GRID].astype(np.float32)
    x = np.where(x < 24, 5, 50).astype(np.float32)  # the edge lies between columns 23 and 24
    warp = np.stack([x, y], -1)
    want = np.full((GRID, GRID), 200)
    want[:, :23], want[:, 23] = 40, 120
    if axis:
        source, want = np.ascontiguousarray(source.transpose(1, 0, 2)), want.T
        warp = np.ascontiguousarray(warp.transpose(1, 0, 2)[..., ::-1])
    got = run_compose(arrays | {"source": source, "warp": warp}, "rgba", "alpha")
    np.testing.assert_array_equal(got[..., 0], want)


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


ANY = st.floats(width=32)
NEAR = st.floats(-8, 8, width=32)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, (4, 4, 2), elements=ANY),
    hnp.arrays(np.float32, (1, 48, 2, 1), elements=ANY),
    hnp.arrays(np.float32, (2, 2, 3), elements=ANY | NEAR),
    hnp.arrays(np.int32, (2, 2), elements=st.integers(0, 8)),
    st.sampled_from(["rgb", "rgba", "nv12"]),
)
def test_any_input_is_safe(
    warp: NDArray[np.float32],
    x0: NDArray[np.float32],
    places: NDArray[np.float32],
    bands: NDArray[np.int32],
    image_format: str,
) -> None:
    rng = np.random.default_rng(0)
    arrays: Arrays = {
        "source": rng.integers(0, 256, (6, 10, 4), dtype=np.uint8),
        "plate": rng.integers(0, 256, (6, 10, 3), dtype=np.uint8),
        "warp": warp,
        "x0": x0,
        "condition": rng.uniform(0, 1, (1, 48, 2, 1)).astype(np.float32),
        "cover": rng.uniform(0, 1, (8, 4)).astype(np.float32),
        "places": places,
        "bands": np.sort(bands, 1),
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
    frame = add_nothing(arrays) | {"source": large}
    out = np.empty((size, size, 4), np.uint8)

    def composed(dx: float, dy: float) -> NDArray[np.int64]:
        warp = np.zeros((GRID, GRID, 2), np.float32)
        warp[..., 1], warp[..., 0] = np.mgrid[:GRID, :GRID]
        warp += np.array([dx, dy]) * GRID / size
        _core.compose(
            **(frame | {"warp": warp}),
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


@pytest.mark.parametrize("rows", [1, 40])
def test_a_frame_one_pixel_wide(rows: int) -> None:
    arrays = make_arrays(11, 64)
    narrow = {name: arrays[name][:rows, :1].copy() for name in ("source", "plate")}
    got = run_compose(arrays | narrow, "rgba", threads=2)
    wide = narrow | {"source": narrow["source"].repeat(2, 1)}
    np.testing.assert_array_equal(got, run_compose(arrays | wide, "rgba"))


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
        ("warp", np.zeros((64, 64, 3), np.float32), ValueError, r"warp.*\(any, any, 2\)"),
        ("warp", np.zeros((64, 0, 2), np.float32), ValueError, "warp.*at least one pixel"),
        ("x0", np.zeros((1, 45, 16, 8), np.float32), ValueError, r"x0.*\(any, 48, any, any\)"),
        ("x0", np.zeros((1, 48, 16, 0), np.float32), ValueError, "x0.*at least one pixel"),
        ("x0", np.zeros((1, 48, 16, 9), np.float32), ValueError, r"condition.*\(1, any, 16, 9\)"),
        ("condition", np.zeros((1, 47, 16, 8), np.float32), ValueError, "at least 48 planes"),
        ("cover", np.zeros((64, 31), np.float32), ValueError, r"cover.*\(64, 32\)"),
        ("cover", np.zeros((64, 32)), TypeError, "cover.*float32.*float64"),
        ("condition", None, ValueError, "condition.*array where x0 is one, got None"),
        ("places", np.zeros((3, 6), np.float32), ValueError, r"places.*\(any, 2, 3\)"),
        ("places", np.zeros((3, 2, 3)), TypeError, "places.*float32.*float64"),
        ("places", None, TypeError, "incompatible function arguments"),
        ("bands", np.zeros((2, 2), np.int32), ValueError, r"bands.*\(3, 2\)"),
        ("bands", np.zeros((3, 2), np.int64), TypeError, "bands.*int32.*int64"),
        ("bands", np.int32([[0, 1], [0, 65], [0, 1]]), ValueError, r"bands\[1\] = \(0, 65\).*64"),
        ("bands", np.int32([[-1, 1]] * 3), ValueError, r"bands\[0\] = \(-1, 1\)"),
        ("bands", np.int32([[9, 8]] * 3), ValueError, r"bands\[0\] = \(9, 8\).*in order"),
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
