"""Encoded faces that are kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parlante.avatar import Avatar
from parlante.portrait import cache as cache_module
from parlante.portrait.cache import IN_MEMORY, PortraitCache, user_folder
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.portrait import Portrait, read_portrait
from tests.support.portrait_samples import PHOTO, assert_same_portrait, blank, demo_rgb


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts encodings; the memory cache is empty at the start and put back at the end."""
    calls: list[int] = []
    encode_photo = PortraitEncoder.encode

    def count(self: PortraitEncoder, *args: Any, **options: Any) -> Portrait:
        calls.append(1)
        return encode_photo(self, *args, **options)

    monkeypatch.setattr(PortraitEncoder, "encode", count)
    monkeypatch.setattr(cache_module, "_memory", OrderedDict())
    return calls


def test_cache_is_keyed_by_content(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    first = Avatar(PHOTO, cache=folder).portrait
    assert [file.name for file in folder.iterdir()] == [f"{first.key}.npz"]
    renamed = tmp_path / "another.jpg"
    renamed.write_bytes(PHOTO.read_bytes())
    for source in (renamed, PHOTO.read_bytes(), demo_rgb()):
        assert Avatar(source, cache=folder).portrait is first  # kept in memory
    monkeypatch.setattr(cache_module, "_memory", OrderedDict())
    assert_same_portrait(Avatar(renamed, cache=folder).portrait, first)  # read from the folder
    assert len(counted) == 1
    other = demo_rgb().copy()
    other[0, 0, 0] ^= 1
    assert Avatar(other, cache=folder).portrait.key != first.key
    assert Avatar(PHOTO, face=0, cache=folder).portrait.key != first.key
    assert len(counted) == 3


def test_damaged_cache_entry_is_made_anew(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Avatar(PHOTO, cache=tmp_path).portrait
    file = tmp_path / f"{first.key}.npz"
    whole = file.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], bytes(len(whole)), blank().dump()[:-30]):
        file.write_bytes(damage)
        monkeypatch.setattr(cache_module, "_memory", OrderedDict())
        assert_same_portrait(Avatar(PHOTO, cache=tmp_path).portrait, first)
        assert_same_portrait(read_portrait(file), first)
    assert len(counted) == 5


def test_a_link_to_itself_is_made_anew(tmp_path: Path, counted: list[int]) -> None:
    first = Avatar(PHOTO, cache=False).portrait
    file = tmp_path / f"{first.key}.npz"
    file.symlink_to(file)
    assert_same_portrait(Avatar(PHOTO, cache=tmp_path).portrait, first)
    assert len(counted) == 2


def test_an_entry_under_another_name_is_made_anew(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Avatar(PHOTO, cache=tmp_path).portrait
    other = demo_rgb().copy()
    other[0, 0, 0] ^= 1
    second = Avatar(other, cache=tmp_path).portrait
    (tmp_path / f"{first.key}.npz").replace(tmp_path / f"{second.key}.npz")
    monkeypatch.setattr(cache_module, "_memory", OrderedDict())
    assert_same_portrait(Avatar(other, cache=tmp_path).portrait, second)
    assert len(counted) == 3


def test_no_cache_and_unwritable_cache(tmp_path: Path, counted: list[int]) -> None:
    (tmp_path / "file").write_text("in the way")
    Avatar(PHOTO, cache=False)
    Avatar(PHOTO, cache=False)
    assert len(counted) == 2
    assert not cache_module._memory
    Avatar(PHOTO, cache=tmp_path / "file" / "below")  # cannot be made: goes on without
    assert len(counted) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_default_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "parlante"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_folder() == tmp_path / ".cache" / "parlante"


def test_memory_is_bounded_and_keeps_the_latest_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_memory", OrderedDict())
    cache, first = PortraitCache(tmp_path), replace(blank(), key="0")
    cache.put(first)
    for i in range(1, 2 * IN_MEMORY):
        cache.put(replace(blank(), key=str(i)))
        assert cache.get("0") is first  # looked at again and again, never read again
    kept = ["0", *(str(i) for i in range(IN_MEMORY + 1, 2 * IN_MEMORY))]
    assert sorted(cache_module._memory) == sorted(kept)
    assert len(list(tmp_path.iterdir())) == 2 * IN_MEMORY


def test_what_is_not_there(tmp_path: Path) -> None:
    assert PortraitCache(tmp_path).get("0") is None
    nothing = PortraitCache(False)
    nothing.put(replace(blank(), key="0"))
    assert nothing.get("0") is None
    assert list(tmp_path.iterdir()) == []
