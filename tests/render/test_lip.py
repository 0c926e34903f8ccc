"""The inner edge of the lower lip: a pale rim that was drawn over a made-up lip."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import TILE, Float
from parlante.render.lip import ABOVE, tint_edge
from parlante.render.scene import in_cells, in_rows
from parlante.render.tone import LUMA

LIP = np.array([0.9, 0.5, 0.5], np.float32)  # over 127.5: red
RIM = np.array([1.5, 1.5, 1.6], np.float32)  # pale, bluish
MIDDLE, WIDE, TALL = TILE // 2, 44, 18  # pixels: of the opening, half as wide and tall as it is


def mouth(tall: int = TALL) -> tuple[Float, NDArray[np.bool_]]:
    """An opening [128, 128], and what is just inside its lower edge, and on the lip there."""
    opening = np.zeros((TILE, TILE), np.float32)
    cv2.ellipse(opening, (MIDDLE, MIDDLE), (WIDE, tall), 0, 0, 360, 1, -1)
    lower = cv2.dilate(opening, np.ones((5, 5))) - cv2.erode(opening, np.ones((7, 7)))
    lower[:MIDDLE] = 0
    return opening, lower > 0


def drawn_over(opening: Float, rim: NDArray[np.bool_]) -> tuple[Float, Float]:
    """Change and warp, both [3, 16, 32, 32]: a lip all around, and the rim over it."""
    warp = np.broadcast_to(LIP - 1, (TILE, TILE, 3))
    change = np.where(rim[..., None], RIM - LIP, 0).astype(np.float32)
    return tuple(  # type: ignore[return-value]
        np.stack([in_cells(np.ascontiguousarray(plane)) for plane in np.moveaxis(image, -1, 0)])
        for image in (change, warp.astype(np.float32))
    )


def tinted(opening: Float, rim: NDArray[np.bool_], gate: float = 1.0) -> tuple[Float, Float]:
    """What is seen before and after: [128, 128, 3] over 127.5."""
    change, warp = drawn_over(opening, rim)
    before = change + warp + 1
    tint_edge(change, warp, opening, np.full_like(opening, gate))
    return tuple(  # type: ignore[return-value]
        np.stack([in_rows(plane).reshape(TILE, TILE) for plane in planes], -1)
        for planes in (before, change + warp + 1)
    )


def redness(colours: Float) -> Float:
    return (colours[..., 0] - colours[..., 2]) / (colours @ LUMA)


def test_the_rim_has_the_hue_of_the_lip_and_its_own_light() -> None:
    opening, rim = mouth()
    before, after = tinted(opening, rim)
    middle = rim.copy()
    middle[:, : MIDDLE - WIDE // 2] = middle[:, MIDDLE + WIDE // 2 :] = False
    assert redness(before)[middle].max() < 0
    assert np.median(redness(after)[middle]) > 0.4 * redness(LIP)
    np.testing.assert_allclose(after @ LUMA, before @ LUMA, atol=1e-5)


def test_all_else_stays() -> None:
    """Upper teeth, corners, and what the network may not draw."""
    opening, _ = mouth()
    before, after = tinted(opening, np.ones_like(opening, bool))
    changed = np.abs(after - before).max(-1) > 0.01
    rows, columns = np.nonzero(changed)
    assert changed[MIDDLE + TALL - 2, MIDDLE]
    below = rows - (TILE - 1 - (opening > 0)[::-1].argmax(0))[columns]
    assert below.min() >= -1.5 * ABOVE and below.max() <= 12
    # Of an ellipse, what is half as tall as the middle is within 0.87 of its width.
    assert np.abs(columns - MIDDLE).max() < 0.95 * WIDE
    before, after = tinted(opening, np.ones_like(opening, bool), gate=0.0)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_what_has_the_colour_of_the_lip_keeps_it() -> None:
    opening, rim = mouth()
    before, after = tinted(opening, np.zeros_like(rim))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_lip_beyond_the_tile() -> None:
    opening, rim = mouth()
    low = np.roll(opening, TILE - MIDDLE - TALL - 1, 0)
    before, after = tinted(low, rim)
    assert np.array_equal(after, before)


def test_lips_that_touch_have_no_such_edge() -> None:
    opening, rim = mouth(tall=0)
    before, after = tinted(opening, rim)
    assert np.array_equal(after, before)
