"""Steps along outlines become smooth; beside NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from parlante import _core
from parlante.contract import Float, Image


def half(side: int, scale: int = 1) -> Image:
    """A picture of which all that is right of a slanting line is white."""
    y, x = np.mgrid[: side * scale, : side * scale]
    image = np.uint8(255 * ((x + 0.5) / scale > 20 + 0.3 * (y + 0.5) / scale))
    return np.repeat(image[..., None], 3, 2)


def test_outline_is_softened_where_the_flow_jumps() -> None:
    """Nearer to a finely sampled picture than before; nothing else changes."""
    side = 64
    steps, fine = half(side), half(side, 8)
    true = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA).astype(float)
    flow = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).astype(np.float32)
    line = np.array([[[20, 0], [20 + 0.3 * side, side]]], np.float32) - np.float32(0.5)
    still = steps.copy()
    _core.soften(still, line, flow)
    np.testing.assert_array_equal(still, steps)
    flow[steps[..., 0] > 0] += 9
    made = steps.copy()
    _core.soften(made, line, flow)
    error = [np.square(image - true).mean() for image in (made, steps)]
    assert error[0] < 0.6 * error[1]
    untouched = (made == steps).all((1, 2))
    assert untouched.sum() <= 4
    away = np.abs(np.mgrid[:side, :side][1] - 20 - 0.3 * np.mgrid[:side, :side][0]) > 4
    np.testing.assert_array_equal(made[away], steps[away])
    # A picture of more pixels than the grid has; and one without any line.
    large, finest = half(side, 2), half(side, 16)
    true = cv2.resize(finest, (2 * side, 2 * side), interpolation=cv2.INTER_AREA).astype(float)
    made = large.copy()
    _core.soften(made, line, flow)
    error = [np.square(image - true).mean() for image in (made, large)]
    assert error[0] < 0.8 * error[1]
    made = large.copy()
    _core.soften(made, np.zeros((0, 2, 2), np.float32), flow)
    np.testing.assert_array_equal(made, large)


def softened(image: Image, outlines: Float, flow: Float) -> Image:
    """The same, a pixel at a time."""
    rows, columns = image.shape[:2]
    scale = np.array([columns / flow.shape[1], rows / flow.shape[0]])
    out = image.copy()
    for ends in (outlines + 0.5) * scale - 0.5:
        way = ends[1] - ends[0]
        length = np.linalg.norm(way)
        along = way / max(length, 1e-6)
        for share in np.arange(np.ceil(length)) / np.ceil(length):
            for side in (-1, 0, 1):
                x, y = np.rint(ends[0] + share * way + side * np.array([-along[1], along[0]]))
                if not (0 <= x < columns and 0 <= y < rows):
                    continue
                at = (np.array([x, y]) + 0.5) / scale - 0.5
                c, r = np.clip(at, 1, (flow.shape[1] - 2, flow.shape[0] - 2)).astype(int)
                across = flow[r, c + 1] - flow[r, c - 1] - (2, 0)
                down = flow[r + 1, c] - flow[r - 1, c] - (0, 2)
                if max(np.abs(across).max(), np.abs(down).max()) <= 3:
                    continue
                places = np.float32([[(x, y) + step * along] for step in range(-3, 4)])
                own = image.astype(np.float32)
                seen = cv2.remap(own, places, None, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
                mean = np.tensordot(np.array([1, 2, 3, 3, 3, 2, 1]) / 15, seen[:, 0], 1)
                out[int(y), int(x)] = np.rint(mean)
    return out


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3), (50, 70, 4), (97, 31, 3)])
def test_any_lines(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(7)
    image = np.asarray(rng.integers(0, 256, shape), np.uint8)
    flow = np.stack(np.meshgrid(np.arange(64.0), np.arange(48.0)), -1).astype(np.float32)
    flow += rng.normal(0, 1.5, flow.shape).astype(np.float32)
    lines = rng.uniform(-8, 70, (40, 2, 2)).astype(np.float32)
    lines[0, 1] = lines[0, 0]  # of no length
    wanted, made = softened(image, lines, flow), image.copy()
    _core.soften(made, lines, flow)
    changed = (wanted != image).sum()
    assert changed > 200
    # Rounding, of places half-way between pixels and by OpenCV of shares to 1/32, and what two
    # lines make of one pixel.
    apart = np.abs(made.astype(int) - wanted) > 3
    assert apart.sum() < 0.03 * changed


def test_lines_that_are_none() -> None:
    image = np.asarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3)), np.uint8)
    flow = np.asarray(np.random.default_rng(0).normal(0, 99, (16, 16, 2)), np.float32)
    line = np.array([[[2, 3], [12, 9]]], np.float32)
    made = image.copy()
    _core.soften(made, line, flow)
    assert (made != image).any()
    for wrong in (np.nan, np.inf, -np.inf, 3e38, 1e6):
        made = image.copy()
        ends = line.copy()
        ends[0, 1, 0] = wrong
        _core.soften(made, ends, flow)
        np.testing.assert_array_equal(made, image)
    made = image.copy()
    _core.soften(made, line, flow[:2])  # no pixel of it has neighbours on all sides
    np.testing.assert_array_equal(made, image)
    _core.soften(made[:0], line, flow)
    _core.soften(made, line, np.full_like(flow, np.nan))
    np.testing.assert_array_equal(made, image)


def test_errors() -> None:
    image, lines = np.zeros((8, 8, 3), np.uint8), np.zeros((1, 2, 2), np.float32)
    flow = np.zeros((8, 8, 2), np.float32)
    with pytest.raises(TypeError, match="image: expected dtype uint8, got float32"):
        _core.soften(flow, lines, flow)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image: expected 1 to 4 channels, got shape"):
        _core.soften(np.zeros((8, 8, 5), np.uint8), lines, flow)
    with pytest.raises(ValueError, match="image: expected a C-contiguous, aligned array"):
        _core.soften(image[:, ::2], lines, flow)
    with pytest.raises(ValueError, match=r"outlines: expected shape \(any, 2, 2\)"):
        _core.soften(image, lines[..., :1].copy(), flow)
    with pytest.raises(ValueError, match=r"flow: expected shape \(any, any, 2\)"):
        _core.soften(image, lines, flow[0])
