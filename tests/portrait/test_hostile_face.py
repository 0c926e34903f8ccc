"""Files that are made to look like an encoded face."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parlante import Avatar
from parlante.errors import ImageError
from parlante.portrait.portrait import FORMAT, MAX_BYTES, read_portrait
from parlante.render.mesh import WarpMesh
from parlante.runtime.assets import demo
from tests.support.portrait_samples import avatar, model


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "face.npz"
    np.savez_compressed(path, format=np.int64(FORMAT), canvas=np.zeros(MAX_BYTES, np.uint8))
    assert path.stat().st_size < MAX_BYTES / 500
    with pytest.raises(ImageError, match="unpacks to 34 MB"):
        Avatar.load(path)


def test_an_array_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "face.npz"
    header = io.BytesIO()
    shape = (1 << 50,)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("format.npy", header.getvalue())
    with pytest.raises(ImageError, match="not an encoded face"):
        Avatar.load(path)


def test_the_largest_face_fits(tmp_path: Path) -> None:
    with demo() as (photo, _):
        portrait = Avatar(photo, cache=False).portrait
    noise = np.random.default_rng(0).integers(0, 256, (1620, 1620, 4), np.uint8)
    large = replace(portrait, canvas=noise, crop=np.array([270, 270, 1080]))
    large.save(tmp_path / "large.npz")
    assert np.array_equal(read_portrait(tmp_path / "large.npz").canvas, noise)


@pytest.mark.parametrize("flat", ["outline", "all"])
def test_a_face_without_an_outline(flat: str) -> None:
    """Its vertices lie in two places beside each other, or in one."""
    portrait = avatar().portrait
    landmarks = portrait.landmarks.copy()
    landmarks[:, 0] = np.where(landmarks[:, 0] > 128, 129 if flat == "outline" else 127, 127)
    landmarks[:, 1] = np.where(landmarks[:, 1] > 128, 250, 3)
    with pytest.raises(ImageError, match="no extent"):
        WarpMesh.of(model(), replace(portrait, landmarks=landmarks))
