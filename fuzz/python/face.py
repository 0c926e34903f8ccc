"""Encoded faces: files damaged as they are, and whole files whose arrays are not as they should be.

What is read is used as far as the networks: shape, crop, references, the photo, the mesh.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuzz.input import Input, refusal
from parlante.face.model import FaceModel
from parlante.portrait.portrait import Portrait
from parlante.render.mesh import WarpMesh
from parlante.runtime.bundle import Bundle

ZIP = b"PK"  # what an .npz begins with; other bytes choose what is done to a whole one
SEED = Path(__file__).parents[1] / "seeds" / "face" / "demo.npz"
DTYPES = ["u1", "i4", "i8", "f2", "f4", "f8", "c8", "U4", "S3", "b1", "M8[s]"]
NUMBERS = (0, 1, -1, 255, 1e9, -1e9, 1e38, -1e38, np.nan, np.inf, 2**62, -(2**63), 1e-38)


@cache
def _model() -> FaceModel:
    return FaceModel.of(Bundle.default().arrays("face_model"))


@cache
def _seed() -> dict[str, NDArray[Any]]:
    with np.load(SEED) as arrays:
        return dict(arrays)


def _changed(array: NDArray[Any], given: Input) -> NDArray[Any]:
    """Another type, another shape, or other values."""
    with np.errstate(all="ignore"):
        kind = given.byte() % 5
        if kind == 0:
            return np.resize(array, [given.whole(0, 9) for _ in range(given.whole(0, 5))])
        if kind == 1 and array.dtype.kind not in "USMm":  # times have no texts of few letters
            return array.astype(given.one_of(DTYPES))
        out = array.copy()
        if array.dtype.kind in "US" or not out.size:
            return out
        for _ in range(1 + given.whole(0, 3)):
            at = given.whole(0, 65535) % out.size
            value = np.asarray(given.one_of(NUMBERS))
            if kind == 2:
                out.flat[at] = value.astype(out.dtype)
            elif kind == 3:
                out[...] = value.astype(out.dtype)
            else:
                out.flat[at] = np.frombuffer(given.bytes(out.itemsize), out.dtype)[0]
        return out


def _file_of(given: Input) -> bytes:
    """A whole file, stored or packed, of which some arrays are changed, missing or more."""
    arrays = dict(_seed())
    for _ in range(given.whole(1, 4)):
        name = given.one_of(sorted(arrays))
        if given.chance(16):
            del arrays[name]
        else:
            arrays[name] = _changed(arrays[name], given)
    buffer = io.BytesIO()
    save: Any = np.savez_compressed if given.chance(8) else np.savez
    save(buffer, **arrays)
    return buffer.getvalue()


def check(data: bytes) -> None:
    file = data if data.startswith(ZIP) else _file_of(Input(data))
    with refusal():
        portrait = Portrait.parse(file, "face.npz")
        assert portrait.image.shape[2] == 4
        portrait.around(256)
        portrait.at(128)
        portrait.frame_size("photo", 256)
        WarpMesh.of(_model(), portrait)
        assert Portrait.parse(portrait.dump(), "again").key == portrait.key
