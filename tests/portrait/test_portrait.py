"""An encoded face in its file, whole, damaged and foreign."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlante.errors import ImageError, OutputError
from parlante.portrait.portrait import FORMAT, Portrait, read_portrait, scaled_around
from tests.support.portrait_samples import PHOTO, assert_same_portrait, avatar, blank, fields_of


def test_sizes_are_cached_and_exact() -> None:
    portrait = replace(avatar().portrait)
    side = portrait.image.shape[0]
    assert np.shares_memory(portrait.at(side), portrait.image)
    image = portrait.at(300)
    assert image.shape == (300, 300, 4)
    assert portrait.at(300) is image
    back = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    # Cubic enlargement and area reduction keep all but the finest detail.
    assert np.abs(back.astype(int) - portrait.image).mean() < 3


@pytest.mark.parametrize("size", [128, 300, 511])
def test_around_the_crop_the_photo_goes_on(size: int) -> None:
    """Scaled, the crop is what it is alone; its surroundings join it without a step or a gap."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (9, 11, 3), np.uint8)
    photo = cv2.resize(coarse, (330, 270), interpolation=cv2.INTER_CUBIC)
    box = (50, 30, 200)
    around, (left, top) = scaled_around(photo, box, size)
    alone, _ = scaled_around(np.ascontiguousarray(photo[30:230, 50:250]), (0, 0, 200), size)
    np.testing.assert_array_equal(around[top : top + size, left : left + size], alone)
    wanted = np.round(np.array([330, 270]) * size / 200)
    assert np.abs(np.array(around.shape[1::-1]) - wanted).max() <= 1
    whole = cv2.resize(photo, around.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(whole.astype(int) - around).mean() < 2  # half a pixel of a smooth picture


def stored(**changes: Any) -> bytes:
    """The file of `blank` with some arrays replaced (None: left out)."""
    arrays = {"format": np.int64(FORMAT), **fields_of(blank()), **changes}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{k: v for k, v in arrays.items() if v is not None})
    return buffer.getvalue()


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    data = avatar().portrait.dump()
    assert_same_portrait(Portrait.parse(data, "memory"), avatar().portrait)
    path = tmp_path / "face.npz"
    path.write_bytes(data)
    read = read_portrait(path)
    assert_same_portrait(read, avatar().portrait)
    assert read.key == avatar().portrait.key


def test_no_pickle_inside() -> None:
    with zipfile.ZipFile(io.BytesIO(avatar().portrait.dump())) as archive:
        for name in archive.namelist():
            head = archive.read(name)[:128]
            assert head.startswith(b"\x93NUMPY")
            assert b"|O" not in head


class _Trap:
    """Says so if it is ever unpickled."""

    sprung = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (_Trap, "sprung", True))


@pytest.mark.parametrize("field", ["format", "canvas", "key"])
def test_pickled_objects_are_refused_unread(field: str) -> None:
    data = stored(**{field: np.array([_Trap()], object)})
    for bad in (data, pickle.dumps(_Trap())):
        with pytest.raises(ImageError, match=r"a\.npz is not an encoded face"):
            Portrait.parse(bad, "a.npz")
    assert not _Trap.sprung


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def plain_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("format", "1")
        for field in fields(Portrait):
            archive.writestr(field.name, b"1")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello" * 100,
        PHOTO.read_bytes(),
        npy(),
        plain_zip(),
        stored()[:-30],
        stored(format=None),
        stored(manner=None),
        stored(format=np.zeros(3)),
        stored(format=np.int64(99)),
        stored(canvas=np.zeros((10, 11, 3), np.uint8)),
        stored(canvas=np.zeros((8, 11, 4), np.uint8)),
        stored(canvas=np.zeros((0, 0, 4), np.uint8), crop=np.zeros(3, np.int64)),
        stored(canvas=np.zeros((10, 11, 4), np.float32)),
        stored(canvas=np.zeros(10, np.uint8)),
        stored(crop=np.array([-1, 0, 8])),
        stored(crop=np.array([4, 1, 8])),
        stored(crop=np.array([2, 1, 0])),
        stored(crop=np.array([2, 1, -8])),
        stored(crop=np.zeros(2, np.int64)),
        stored(landmarks=np.full((468, 3), np.nan, np.float32)),
        stored(reference_places=np.zeros((1, 3, 468, 2), np.float32)),
        stored(expression=np.zeros(53)),
    ],
)
def test_foreign_files(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "face.npz"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"face\.npz") as caught:
        read_portrait(path)
    assert "encode the photo again" in str(caught.value) or "Avatar.save" in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_portrait(tmp_path / "none.npz")
    with pytest.raises(ImageError, match="cannot be read"):
        read_portrait(tmp_path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_raise_nothing_else(data: st.DataObject) -> None:
    whole = stored()
    broken = bytearray(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        portrait = Portrait.parse(bytes(broken), "face.npz")
    except ImageError:
        return
    portrait._check("face.npz")


def test_save_is_all_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        avatar().save(tmp_path / "none" / "face.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OutputError, match="is no file"):
        avatar().save(tmp_path / "folder.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.npz"]
