"""Arrays that the native ops refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fuzz.bad_inputs.kind import Kind
from parlante import _core

VERTICES = np.zeros((3, 3), np.float32)
TRIANGLES = np.array([[0, 1, 2]], np.int32)
VALUES = np.zeros((3, 2), np.float32)


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


def _unaligned() -> np.ndarray[Any, Any]:
    return np.zeros(37, np.uint8)[1:].view(np.float32).reshape(3, 3)


def _sharing() -> dict[str, Any]:
    """A frame, and in its memory the rows of a patch."""
    out = np.zeros((8, 8, 3), np.uint8)
    bands = out.reshape(-1)[:8].view(np.int32).reshape(1, 2)
    return {"out": out, "bands": bands, "places": np.zeros((1, 2, 3), np.float32)}


def arrays() -> Iterator[Kind]:
    yield from (replace(kind, native=True) for kind in _kinds())


def _kinds() -> Iterator[Kind]:
    out, depth = np.zeros((8, 8, 2), np.float32), np.zeros((8, 8), np.float32)
    inside = out.reshape(-1).view(np.int32)[:3].reshape(1, 3)
    usual: dict[str, Any] = {
        "vertices": VERTICES,
        "triangles": TRIANGLES,
        "attributes": VALUES,
        "out": out,
        "depth": depth,
    }
    for what, changed in (
        ("vertices that are a list", {"vertices": [[0, 0, 0]]}),
        ("vertices that are None", {"vertices": None}),
        ("vertices of float64", {"vertices": VERTICES.astype(np.float64)}),
        ("vertices in the other byte order", {"vertices": VERTICES.astype(">f4")}),
        ("vertices with two columns", {"vertices": VERTICES[:, :2].copy()}),
        ("vertices that are one row", {"vertices": VERTICES[0]}),
        ("vertices that lie backwards", {"vertices": VERTICES[::-1]}),
        ("vertices that are not aligned", {"vertices": _unaligned()}),
        ("triangles of int64", {"triangles": TRIANGLES.astype(np.int64)}),
        ("a triangle of a vertex that is not there", {"triangles": TRIANGLES + 1}),
        ("a triangle of a vertex below 0", {"triangles": TRIANGLES - 1}),
        ("triangles in the memory of out", {"triangles": inside}),
        ("nine attributes", {"attributes": np.zeros((3, 9), np.float32)}),
        ("attributes of other vertices", {"attributes": np.zeros((4, 2), np.float32)}),
        ("out of another number of values", {"out": np.zeros((8, 8, 3), np.float32)}),
        ("out that may not be written", {"out": _read_only(out.copy())}),
        ("depth of another size", {"depth": depth[:4]}),
        ("no threads", {"threads": 0}),
        ("threads that are text", {"threads": "2"}),
    ):
        given = {**usual, **changed}
        yield Kind(f"rasterize, {what}", lambda given=given: _core.rasterize(**given))  # type: ignore[misc]
    x = np.zeros(320, np.float32)
    for what, samples in (
        ("samples of int16", x.astype(np.int16)),
        ("samples with two dimensions", x.reshape(2, -1)),
        ("a sample that is NaN", np.full(9, np.nan, np.float32)),
        ("samples that are text", "x"),
    ):
        yield Kind(f"log_mel, {what}", lambda samples=samples: _core.log_mel(samples))  # type: ignore[misc]
    yield Kind("log_mel, room for too few columns", lambda: _core.log_mel(x, x[:80].reshape(1, 80)))
    for rates in ((3999, 16_000), (16_000, 768_001), (-1, 16_000), (16_000.5, 16_000)):
        yield Kind(f"Resampler{rates}", lambda rates=rates: _core.Resampler(*rates))  # type: ignore[misc]
    yield Kind("set_isa_level of a level that is none", lambda: _core.set_isa_level("mmx"))
    image = np.zeros((8, 8, 4), np.uint8)
    flow = np.zeros((8, 6, 6), np.float32)
    condition = np.zeros((1, _core.PACKED_PLANES, 2, 2), np.float32)
    yield Kind("pack, a flow of 8 × 6 pixels", lambda: _core.pack(image, None, flow, condition))
    yield Kind(
        "pack, a source of no pixels",
        lambda: _core.pack(image[:0], None, np.zeros((8, 8, 6), np.float32), condition),
    )
    frame = np.zeros((8, 8, 3), np.uint8)
    warp = np.zeros((4, 4, 2), np.float32)
    usual = {
        "source": image,
        "plate": frame,
        "warp": warp,
        "x0": None,
        "condition": None,
        "cover": None,
        "places": np.zeros((0, 2, 3), np.float32),
        "bands": np.zeros((0, 2), np.int32),
        "out": frame.copy(),
    }
    for what, changed in (
        ("an unknown format", {"format": "yuv"}),
        ("a background that is text", {"background": "sky"}),
        ("a background of 256", {"background": (0, 0, 256)}),
        ("alpha in RGB", {"background": "alpha"}),
        ("a corner outside of the source", {"corner": (1, 0)}),
        ("bands in the memory of out", _sharing()),
        ("an x0 without a condition", {"x0": np.zeros((1, 48, 1, 1), np.float32)}),
        ("out of RGBA for RGB", {"out": image.copy()}),
    ):
        given = {**usual, **changed}
        yield Kind(f"compose, {what}", lambda given=given: _core.compose(**given))  # type: ignore[misc]
