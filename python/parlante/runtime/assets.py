"""What comes with the package: networks, a demo photo and voice, the page of `parlante serve`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Traversable
from importlib.resources import as_file, files
from pathlib import Path


def asset(name: str) -> Traversable:
    """The file or folder ``name`` of `parlante/assets`."""
    return files("parlante") / "assets" / name


def networks_folder() -> Path:
    """Where the built-in bundle is."""
    return Path(str(asset("networks")))


@contextmanager
def demo() -> Iterator[tuple[Path, Path]]:
    """Paths of the demo's photo and of its voice."""
    with as_file(asset("demo")) as folder:
        yield folder / "portrait.jpg", folder / "speech.flac"
