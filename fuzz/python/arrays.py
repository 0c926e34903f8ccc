"""Arrays of every kind through the bindings of the native ops.

Each call begins with arguments that fit each other; some of them are then made to be of another
type, shape, layout or place in memory. What an op refuses ends in a TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuzz.input import Input
from parlante import _core

Arguments = dict[str, Any]
ODD = (None, 0, "x", [1.0, 2.0], b"\0" * 64, object(), float("nan"))
DTYPES = ("u1", "i1", "i4", ">i4", "i8", "f2", "f4", ">f4", "f8", "c8", "b1", "O", "U2", "M8[s]")


def _filled(given: Input, dtype: str, *shape: int) -> NDArray[Any]:
    """Of bytes of the input, again and again; now and then without a value that is not finite."""
    count = int(np.prod(shape))
    array = np.resize(np.frombuffer(given.bytes(16), dtype), count).reshape(shape)
    if array.dtype.kind == "f" and given.chance():
        array = np.nan_to_num(array % 16)
    return np.ascontiguousarray(array)


def _changed(array: NDArray[Any], other: NDArray[Any], given: Input) -> Any:
    """Another array, or the same one lying in memory in another way."""
    kind = given.byte() % 9
    if kind == 0:
        return given.one_of(ODD)
    if kind == 1:
        with np.errstate(all="ignore"):
            return array.astype(given.one_of(DTYPES))
    if kind == 2:
        return np.resize(array, [given.whole(0, 9) for _ in range(given.whole(0, 5))])
    if kind == 3:
        return array[::-1] if array.ndim else array
    if kind == 4:
        return np.repeat(array, 2, -1)[..., ::2] if array.ndim else array
    if kind == 5:
        array.flags.writeable = False
        return array
    if kind == 6:  # not aligned
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
        raw[:] = np.frombuffer(array.tobytes(), np.uint8)
        return raw.view(array.dtype).reshape(array.shape)
    if kind == 7:
        return np.broadcast_to(array[:1], array.shape) if array.ndim else array
    # In the memory of another argument.
    most = min(array.nbytes, other.nbytes) // array.itemsize
    if not (most == array.size and other.flags.c_contiguous and other.flags.writeable):
        return array
    return other.reshape(-1).view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)


def _rasterize(given: Input) -> Arguments:
    rows, columns, count = given.whole(0, 9), given.whole(0, 9), given.whole(1, 9)
    attributes = given.whole(1, 9)
    triangles = _filled(given, "u1", given.whole(0, 9), 3) % count
    return {
        "vertices": _filled(given, "f4", count, 3),
        "triangles": triangles.astype("i4"),
        "attributes": _filled(given, "f4", count, attributes),
        "out": np.zeros((rows, columns, attributes), "f4"),
        "depth": np.zeros((rows, columns), "f4"),
    }


def _pack(given: Input) -> Arguments:
    h, w = given.whole(0, 3), given.whole(0, 3)
    return {
        "source": _filled(given, "u1", given.whole(1, 6), given.whole(1, 6), 4),
        "reference": _filled(given, "u1", 5, 4, 4) if given.chance() else None,
        "flow": _filled(given, "f4", 4 * h, 4 * w, 6),
        "condition": np.zeros((1, _core.PACKED_PLANES, h, w), "f4"),
        "inside": _filled(given, "f4", 4 * h, 4 * w, 4) if given.chance() else None,
        "cover": _filled(given, "f4", 4 * h, 4 * w) if given.chance() else None,
    }


def _denoise_step(given: Input) -> Arguments:
    h, w = given.whole(0, 3), given.whole(0, 3)
    shape = (1, _core.COLOR_PLANES, h, w)
    c_x0, c_xt, sigma, scale, zero_point = (float(v) for v in _filled(given, "f4", 5))
    return {
        "residual": _filled(given, "f4", *shape) if given.chance() else None,
        "x_t": _filled(given, "f4", *shape) if given.chance() else None,
        "condition": _filled(given, "f4", *shape),
        "warp": _filled(given, "f4", 4 * h, 4 * w, 2) if given.chance() else None,
        "out": np.zeros(shape, "f4"),
        "next": np.zeros(shape, given.one_of(("u1", "f2"))) if given.chance() else None,
        "c_x0": c_x0,
        "c_xt": c_xt,
        "sigma": sigma,
        "seed": int.from_bytes(given.bytes(9), "little", signed=True),
        "step": given.whole(0, 9),
        "scale": scale,
        "zero_point": round(zero_point) if given.chance() and abs(zero_point) < 999 else zero_point,
    }


def _compose(given: Input) -> Arguments:
    rows, columns, tiles = given.whole(0, 8), given.whole(0, 8), given.whole(1, 2)
    patches = given.whole(0, 2)
    channels = given.one_of((3, 4))
    bands = np.sort(_filled(given, "u1", patches, 2) % (4 * tiles + 1), 1).astype("i4")
    drawn = _filled(given, "f4", tiles, _core.COLOR_PLANES, 1, 1) if given.chance() else None
    return {
        "source": _filled(given, "u1", rows + 1, columns + 1, 4),
        "plate": _filled(given, "u1", rows, columns, 3),
        "warp": _filled(given, "f4", given.whole(1, 6), given.whole(1, 6), 2),
        "x0": drawn,
        "condition": drawn,
        "cover": _filled(given, "f4", 4 * tiles, 4) if given.chance() else None,
        "places": _filled(given, "f4", patches, 2, 3),
        "bands": bands,
        "out": np.zeros((rows, columns, channels), "u1"),
        "format": given.one_of(("rgba", "nv12", "x", None)) if channels == 4 else "bgr",
        "background": given.one_of(("plate", "alpha", (1, 2, 3), (1, 2), "x", None, [256, 0, 0])),
        "corner": (given.whole(0, 2) - 1, given.one_of((0, 1, 2**31 - 1, -(2**31)))),
    }


def _soften(given: Input) -> Arguments:
    rows, columns, channels = given.whole(0, 9), given.whole(0, 9), given.whole(0, 5)
    return {
        "image": _filled(given, "u1", rows, columns, *((channels,) if channels else ())),
        "outlines": _filled(given, "f4", given.whole(0, 3), 2, 2),
        "flow": _filled(given, "f4", given.whole(0, 9), given.whole(0, 9), 2),
    }


def _log_mel(given: Input) -> Arguments:
    samples = _filled(given, "f4", given.whole(0, 999))
    columns = np.zeros((len(samples) // _core.HOP_LENGTH, _core.MEL_BANDS), "f4")
    return {"x": samples, "out": columns if given.chance() else None}


def _resampled(in_rate: Any, out_rate: Any, x: Any) -> None:
    resampler = _core.Resampler(in_rate, out_rate)
    resampler.process(x)
    resampler.flush()


def _resample(given: Input) -> Arguments:
    rates = (8000, 16000, 48000, 3999, 768001, -1, 2**32, 1.5, "x")
    samples = _filled(given, "f4", given.whole(0, 999))
    return {"in_rate": given.one_of(rates), "out_rate": given.one_of(rates), "x": samples}


OPS: tuple[tuple[Callable[..., Any], Callable[[Input], Arguments]], ...] = (
    (_core.rasterize, _rasterize),
    (_core.pack, _pack),
    (_core.denoise_step, _denoise_step),
    (_core.compose, _compose),
    (_core.soften, _soften),
    (_core.log_mel, _log_mel),
    (_resampled, _resample),
)
SHARED_OUT = (_core.rasterize, _core.pack, _core.denoise_step, _core.compose)  # among threads


def check(data: bytes) -> None:
    given = Input(data)
    op, arguments_of = given.one_of(OPS)
    changes = given.byte() % 4
    with np.errstate(all="ignore"):
        arguments = arguments_of(given)
    arrays = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
    names = sorted(arrays)
    for _ in range(changes):
        name = given.one_of(names)
        arguments[name] = _changed(arrays[name], arrays[given.one_of(names)], given)
    if op in SHARED_OUT:
        arguments["threads"] = given.one_of((1, 1, 1, 2, 0, -1))
    try:
        op(**arguments)
    except (TypeError, ValueError) as error:
        assert str(error)
