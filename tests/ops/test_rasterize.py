"""`rasterize` against exact integer arithmetic written in numpy, and OpenCV's polygon fill."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from parlante import _core

GRID = 4096  # subpixel positions a pixel


def draw(
    vertices: NDArray[np.float32],
    triangles: NDArray[np.int32],
    attributes: NDArray[np.float32],
    size: tuple[int, int],
    threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rasterises into an image of NaN; returns it and the depth."""
    out = np.full((*size, attributes.shape[1]), np.nan, np.float32)
    depth = np.full(size, -1, np.float32)
    _core.rasterize(vertices, triangles, attributes, out, depth, threads=threads)
    return out, depth


def reference(
    vertices: NDArray[np.float32],
    triangles: NDArray[np.int32],
    attributes: NDArray[np.float32],
    size: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tests every pixel against every triangle, in integers on the snapped vertices.

    The top-left rule is what remains of moving each pixel centre by (epsilon, epsilon^2).
    """
    y, x = np.mgrid[: size[0], : size[1]].astype(np.int64) * GRID
    out = np.full((*size, attributes.shape[1]), np.nan)
    depth = np.full(size, np.inf)
    for corners in triangles:
        px, py = np.rint(vertices[corners, :2].astype(np.float64) * GRID).astype(np.int64).T
        z = vertices[corners, 2].astype(np.float64)
        area = (px[1] - px[0]) * (py[2] - py[0]) - (px[2] - px[0]) * (py[1] - py[0])
        if area == 0:
            continue
        inside = np.ones(size, bool)
        weights = np.empty((3, *size))
        for i in range(3):
            a, b = (i + 1) % 3, (i + 2) % 3
            slope_x, slope_y = (py[a] - py[b]) * np.sign(area), (px[b] - px[a]) * np.sign(area)
            value = slope_x * (x - px[a]) + slope_y * (y - py[a])
            tie = slope_x if slope_x != 0 else slope_y
            inside &= np.where(value == 0, tie, value) > 0
            weights[i] = value / abs(area)
        depth_here = np.einsum("i,iyx->yx", z, weights)
        nearer = inside & (depth_here < depth)
        depth[nearer] = depth_here[nearer]
        attributes_here = np.einsum("ia,iyx->yxa", attributes[corners].astype(np.float64), weights)
        out[nearer] = attributes_here[nearer]
    return out, depth


def random_mesh(
    rng: np.random.Generator, count: int, extent: float, attribute_count: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    vertices = rng.uniform(-0.2 * extent, 1.2 * extent, (count, 3)).astype(np.float32)
    triangles = rng.integers(0, count, (count, 3), dtype=np.int32)
    attributes = rng.uniform(-1, 1, (count, attribute_count)).astype(np.float32)
    return vertices, triangles, attributes


@pytest.mark.parametrize("attribute_count", [1, 3, 8])
@pytest.mark.parametrize("grid_step", [1.0, 0.5, 1 / 4096])
def test_matches_exact_reference(attribute_count: int, grid_step: float) -> None:
    rng = np.random.default_rng(attribute_count)
    vertices, triangles, attributes = random_mesh(rng, 24, 32, attribute_count)
    # Coarse steps put many pixel centres exactly on edges. Distinct depths a triangle: no ties.
    vertices[:, :2] = np.round(vertices[:, :2] / grid_step) * grid_step
    out, depth = draw(vertices, triangles, attributes, (32, 40))
    want, want_depth = reference(vertices, triangles, attributes, (32, 40))
    np.testing.assert_array_equal(np.isinf(depth), np.isinf(want_depth))
    # Five roundings of values up to 64: 5 * 2^-24 * 64 < 2e-5; attributes stay within 1.
    np.testing.assert_allclose(depth, want_depth, rtol=0, atol=2e-5)
    np.testing.assert_allclose(out, want, rtol=0, atol=1e-6)


def test_shared_edges_are_covered_exactly_once() -> None:
    rng = np.random.default_rng(0)
    for step in (1.0, 0.5, 0.25, 1 / 4096):
        # A jittered grid over a 32x32 image; the jitter keeps each cell convex.
        base = np.mgrid[-4:40:4, -4:40:4].reshape(2, -1).T
        points = np.round((base + rng.uniform(-0.9, 0.9, base.shape)) / step) * step
        n = 11
        cell = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
        corners = cell[:, None] + np.array([0, 1, n, n + 1])
        triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [1, 3, 2]]]).astype(np.int32)
        vertices = np.concatenate([points, np.zeros((n * n, 1))], 1).astype(np.float32)
        attributes = np.ones((n * n, 1), np.float32)
        times = np.zeros((32, 32), int)
        for triangle in triangles:
            one = np.ascontiguousarray(triangle[None])
            times += np.isfinite(draw(vertices, one, attributes, (32, 32))[1])
        np.testing.assert_array_equal(times, 1)


def test_identity_warp_of_a_dense_mesh() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 255, (700, 2))
    corners = [[-30, -30], [286, -30], [286, 286], [-30, 286]]
    points = np.concatenate([points, corners]).astype(np.float32)
    subdivision = cv2.Subdiv2D((-40, -40, 400, 400))
    subdivision.insert([tuple(map(float, p)) for p in points])
    lookup = {tuple(p): i for i, p in enumerate(points.tolist())}
    triangles = np.array(
        [
            [lookup[a, b], lookup[c, d], lookup[e, f]]
            for a, b, c, d, e, f in subdivision.getTriangleList().tolist()
            if all(p in lookup for p in ((a, b), (c, d), (e, f)))
        ],
        np.int32,
    )
    vertices = np.concatenate([points, np.zeros((len(points), 1), np.float32)], 1)
    out, _ = draw(vertices, triangles, np.ascontiguousarray(vertices[:, :2]), (256, 256))
    y, x = np.mgrid[:256, :256]
    # Snapping moves a vertex by at most 1/8192 pixel an axis; twice that covers the rounding.
    np.testing.assert_allclose(out, np.stack([x, y], -1), rtol=0, atol=2 / 8192)


def test_agrees_with_opencv_fill_away_from_the_outline() -> None:
    rng = np.random.default_rng(2)
    attributes = np.ones((3, 1), np.float32)
    for _ in range(50):
        vertices = rng.uniform(0, 64, (3, 3)).astype(np.float32)
        _, depth = draw(vertices, np.array([[0, 1, 2]], np.int32), attributes, (64, 64))
        filled = np.zeros((64, 64), np.uint8)
        fixed = np.round(vertices[:, :2] * 256).astype(np.int32)
        cv2.fillConvexPoly(filled, fixed, 1, shift=8)
        # OpenCV also draws the outline, up to two pixels wide at a sharp corner.
        ring = cv2.dilate(filled, np.ones((5, 5))) != cv2.erode(filled, np.ones((5, 5)))
        np.testing.assert_array_equal(np.isfinite(depth)[~ring], filled[~ring] == 1)


def square(z: float, first: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Two triangles over the whole of a 16x16 image, their vertices numbered from `first`."""
    corners = [[-1, -1, z], [20, -1, z], [20, 20, z], [-1, 20, z]]
    indices = np.array([[0, 1, 2], [0, 2, 3]], np.int32) + np.int32(first)
    return np.array(corners, np.float32), indices


def test_nearest_triangle_wins_in_any_order() -> None:
    near, near_triangles = square(-5.0, 0)
    far, far_triangles = square(3.0, 4)
    vertices = np.concatenate([near, far])
    attributes = np.repeat(np.float32([[1], [2]]), 4, axis=0)
    for order in ([near_triangles, far_triangles], [far_triangles, near_triangles]):
        out, depth = draw(vertices, np.concatenate(order), attributes, (16, 16))
        assert (out == 1).all()
        assert (depth == -5).all()


def test_first_triangle_wins_at_equal_depth() -> None:
    first, first_triangles = square(1.0, 0)
    second, second_triangles = square(1.0, 4)
    attributes = np.repeat(np.float32([[1], [2]]), 4, axis=0)
    triangles = np.concatenate([second_triangles, first_triangles])
    out, _ = draw(np.concatenate([first, second]), triangles, attributes, (16, 16))
    assert (out == 2).all()


def test_winding_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    vertices, triangles, attributes = random_mesh(rng, 30, 32, 2)
    out, depth = draw(vertices, triangles, attributes, (32, 32))
    flipped = np.ascontiguousarray(triangles[:, ::-1])
    out_flipped, depth_flipped = draw(vertices, flipped, attributes, (32, 32))
    # Another vertex comes first: the same sums in another order.
    np.testing.assert_allclose(depth, depth_flipped, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(out_flipped))


def test_uncovered_pixels_keep_their_value() -> None:
    vertices = np.float32([[2, 2, 0], [6, 2, 0], [2, 6, 0]])
    out = np.full((9, 9, 1), 7, np.float32)
    depth = np.zeros((9, 9), np.float32)
    _core.rasterize(vertices, np.int32([[0, 1, 2]]), np.zeros((3, 1), np.float32), out, depth)
    covered = np.isfinite(depth)
    assert covered.sum() == 4 + 3 + 2 + 1  # legs on pixel centres: left and top edges count
    assert (out[covered] == 0).all()
    assert (out[~covered] == 7).all()
    assert (depth[~covered] == np.inf).all()


def test_no_triangles_only_resets_depth() -> None:
    out, depth = draw(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.int32),
        np.zeros((0, 2), np.float32),
        (4, 4),
    )
    assert np.isnan(out).all()
    assert (depth == np.inf).all()


@pytest.mark.parametrize("threads", [2, 3, 4, 64])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    rng = np.random.default_rng(4)
    vertices, triangles, attributes = random_mesh(rng, 100, 50, 3)
    out, depth = draw(vertices, triangles, attributes, (50, 50))
    out_threads, depth_threads = draw(vertices, triangles, attributes, (50, 50), threads)
    assert out.tobytes() == out_threads.tobytes()
    assert depth.tobytes() == depth_threads.tobytes()


COORDINATES = st.one_of(
    st.floats(width=32),  # NaN, infinities, denormals and the largest floats among them
    st.floats(-8, 24, width=32),
    st.integers(-4, 20).map(float),
    st.sampled_from([131072.0, -131072.0, 131073.0]),
)


@settings(max_examples=300, deadline=None)
@given(
    vertices=hnp.arrays(np.float32, st.tuples(st.integers(3, 6), st.just(3)), elements=COORDINATES),
    data=st.data(),
)
def test_any_mesh_is_safe(vertices: NDArray[np.float32], data: st.DataObject) -> None:
    count = len(vertices)
    triangles = data.draw(
        hnp.arrays(
            np.int32, st.tuples(st.integers(0, 8), st.just(3)), elements=st.integers(0, count - 1)
        )
    )
    attributes = np.linspace(0, 1, count * 2, dtype=np.float32).reshape(count, 2)
    out, depth = draw(vertices, triangles, attributes, (13, 16))
    covered = np.isfinite(depth)
    np.testing.assert_array_equal(np.isnan(out), np.repeat(~covered[..., None], 2, axis=2))
    # Weights come from the snapped vertices: even slivers interpolate, never extrapolate.
    assert (out[covered] >= -1e-6).all()
    assert (out[covered] <= 1 + 1e-6).all()
    usable = (np.abs(vertices) <= [131072, 131072, np.inf]).all(1) & np.isfinite(vertices[:, 2])
    if not usable[triangles].all(1).any():
        assert not covered.any()


VERTICES = np.zeros((4, 3), np.float32)
TRIANGLES = np.zeros((2, 3), np.int32)
ATTRIBUTES = np.zeros((4, 2), np.float32)
OUT = np.zeros((5, 6, 2), np.float32)
DEPTH = np.zeros((5, 6), np.float32)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("vertices", np.zeros((4, 2), np.float32), ValueError, r"vertices.*\(any, 3\).*\(4, 2\)"),
        ("vertices", VERTICES.astype(np.float64), TypeError, "vertices.*float32.*float64"),
        ("triangles", TRIANGLES.astype(np.int64), TypeError, "triangles.*int32.*int64"),
        ("triangles", np.full((2, 3), 4, np.int32), ValueError, r"triangles\[0, 0\] = 4.* 4 vert"),
        ("triangles", np.full((2, 3), -1, np.int32), ValueError, r"triangles\[0, 0\] = -1"),
        ("attributes", np.zeros((3, 2), np.float32), ValueError, r"attributes.*\(4, any\)"),
        ("attributes", np.zeros((4, 3), np.float32), ValueError, r"out.*\(any, any, 3\)"),
        ("out", np.zeros((5, 12, 2), np.float32)[:, ::2], ValueError, "out.*C-contiguous"),
        ("depth", np.zeros((6, 5), np.float32), ValueError, r"depth.*\(5, 6\).*\(6, 5\)"),
        ("threads", 0, ValueError, "threads.*at least 1.*0"),
    ],
)
def test_bad_arguments(name: str, value: object, error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {
        "vertices": VERTICES,
        "triangles": TRIANGLES,
        "attributes": ATTRIBUTES,
        "out": OUT,
        "depth": DEPTH,
    }
    arguments[name] = value
    with pytest.raises(error, match=message):
        _core.rasterize(**arguments)  # type: ignore[arg-type]


def test_too_many_attributes() -> None:
    with pytest.raises(ValueError, match="1 to 8 columns, got 9"):
        _core.rasterize(
            VERTICES,
            TRIANGLES,
            np.zeros((4, 9), np.float32),
            np.zeros((5, 6, 9), np.float32),
            DEPTH,
        )


def test_read_only_output() -> None:
    out = OUT.copy()
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"out.*writable"):
        _core.rasterize(VERTICES, TRIANGLES, ATTRIBUTES, out, DEPTH)
