"""Encoded faces and bundles that cannot be used."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.bad_inputs.kind import Kind
from fuzz.seeds import FOLDER
from parlante.avatar import Avatar
from parlante.runtime.bundle import Bundle
from parlante.runtime.manifest import FORMAT, FRONT_END

FACE = FOLDER / "face" / "demo.npz"


def _face(path: str, **arrays: Any) -> str:
    """A whole face with other arrays in the place of its own; one that is None is left out."""
    with np.load(FACE) as whole:
        changed = {**whole, **arrays}
    np.savez_compressed(path, **{name: one for name, one in changed.items() if one is not None})
    return path


def _bomb(path: str) -> str:
    np.savez_compressed(path, format=np.int64(5), canvas=np.zeros(40 * 2**20, np.uint8))
    return path


def _loaded(path: str) -> None:
    Avatar.load(path).live(realtime=False)


def faces() -> Iterator[Kind]:
    whole = FACE.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    Path("empty.npz").touch()
    Path("folder.npz").mkdir()
    Path("text.npz").write_text("not a face")
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("damaged.npz").write_bytes(damaged)
    with zipfile.ZipFile("other.npz", "w") as other:
        other.writestr("readme.txt", "hello")
    for name, packing in (("lzma.npz", 14), ("unknown.npz", 99)):
        data = bytearray(whole)
        at = data.index(b"PK\1\2")
        data[8], data[at + 10] = packing, packing
        Path(name).write_bytes(data)
    np.savez("pickled.npz", format=np.array([{}], dtype=object))
    np.savez("arrays.npz", a=np.zeros(3))
    for what, path in (
        ("a path that does not exist", "missing.npz"),
        ("an empty file", "empty.npz"),
        ("a folder", "folder.npz"),
        ("a path with a zero byte", "a\0.npz"),
        ("text named .npz", "text.npz"),
        ("a file cut in half", "cut.npz"),
        ("a file with a damaged byte", "damaged.npz"),
        ("a file packed otherwise than it says", "lzma.npz"),
        ("a file packed in an unknown way", "unknown.npz"),
        ("a face without extent", _face("flat.npz", landmarks=np.zeros((468, 3), "f4"))),
        ("another zip archive", "other.npz"),
        ("arrays of something else", "arrays.npz"),
        ("a pickled object", "pickled.npz"),
        ("a small file that unpacks to much", _bomb("bomb.npz")),
        ("an older format", _face("old.npz", format=np.int64(1))),
        ("a format that is infinite", _face("infinite.npz", format=np.float64(np.inf))),
        ("a face without its landmarks", _face("less.npz", landmarks=None)),
        ("landmarks of another shape", _face("shape.npz", landmarks=np.zeros((3, 3), "f4"))),
        ("landmarks of another type", _face("type.npz", landmarks=np.zeros((468, 3)))),
        ("landmarks that are NaN", _face("nan.npz", landmarks=np.full((468, 3), np.nan, "f4"))),
        ("a crop outside of the canvas", _face("crop.npz", crop=np.array([30, 30, 24]))),
        ("a crop of no size", _face("none.npz", crop=np.array([3, 4, 0]))),
        ("a crop of 2⁶³ pixels", _face("large.npz", crop=np.array([2**62, 2**62, 2**63 - 1]))),
        ("a canvas that is no picture", _face("canvas.npz", canvas=np.zeros(5, np.uint8))),
        ("references that are one number", _face("number.npz", references=np.uint8(3))),
        ("a name that does not end in .npz", "face.jpg"),
    ):
        yield Kind(what, lambda path=path: _loaded(path))  # type: ignore[misc]
    yield Kind("a number", lambda: Avatar.load(5))  # type: ignore[arg-type]
    yield Kind("a face together with photos", lambda: Avatar([FACE.name, "photo.jpg"]))
    yield Kind("a face and which one of it", lambda: Avatar("face.npz", face=1))
    for name in ("face.jpg", "nowhere/face.npz", "a\0.npz", "x" * 300 + ".npz"):
        what = {"x": "a name of 300 characters", "a": "a name with a zero byte"}.get(name[0])
        what = what or f"the name {name}"
        yield Kind(f"saving under {what}", lambda name=name: Avatar.load(FACE).save(name))  # type: ignore[misc]
    yield Kind("saving under a number", lambda: Avatar.load(FACE).save(5))  # type: ignore[arg-type]


def _bundle(name: str, content: bytes | None = None, **changes: Any) -> str:
    """A folder with a manifest, whole but for the changes, and a file of arrays."""
    folder = Path(name)
    folder.mkdir()
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    (folder / "table.npz").write_bytes(buffer.getvalue())
    entry = {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
    manifest = {"format": FORMAT, "front_end": FRONT_END, "version": "1", "networks": {}}
    manifest = {**manifest, "files": {"table.npz": entry}, **changes}
    text = json.dumps(manifest).encode() if content is None else content
    (folder / "manifest.json").write_bytes(text)
    return name


def bundles() -> Iterator[Kind]:
    entry = {"sha256": "0" * 64}
    Path("file.txt").write_text("no folder")
    Path("no-manifest").mkdir()
    for what, path in (
        ("a folder that does not exist", "missing-bundle"),
        ("a file", "file.txt"),
        ("a folder without a manifest", "no-manifest"),
        ("a path with a zero byte", "a\0"),
        ("a manifest that is empty", _bundle("void", b"")),
        ("a manifest that is no JSON", _bundle("no-json", b"{")),
        ("a manifest that is no text", _bundle("no-text", b"\xff\xfe\xfd")),
        ("a manifest that is a list", _bundle("list", b"[]")),
        ("a manifest nested without end", _bundle("deep", b"[" * 200_000)),
        ("a manifest of another format", _bundle("format", format=1)),
        ("a manifest of another front end", _bundle("front", front_end={})),
        ("a manifest without files", _bundle("files", files=None)),
        ("a manifest whose version is a number", _bundle("version", version=1)),
        ("a file of another folder", _bundle("outside", files={"../a.npz": entry})),
        ("a file without a digest", _bundle("digest", files={"a.npz": {}})),
        ("a network without a file", _bundle("network", networks={"a": {}})),
        ("a network whose file is a list", _bundle("odd", networks={"a": {"file": []}})),
        ("a network that is a number", _bundle("numbers", networks={"a": 5})),
    ):
        yield Kind(what, lambda path=path: Bundle.open(path))  # type: ignore[misc]
    yield Kind("a number", lambda: Bundle.open(5))  # type: ignore[arg-type]
    whole = _bundle("whole")
    gone = _bundle("gone", files={"a.npz": entry})
    wrong = _bundle("wrong", files={"table.npz": entry})
    packed = bytearray(Path("whole/table.npz").read_bytes())
    at = packed.index(b"PK\1\2")
    packed[8], packed[at + 10] = 99, 99
    digest = hashlib.sha256(packed).hexdigest()
    unknown = _bundle("unknown", files={"table.npz": {"sha256": digest}})
    Path("unknown/table.npz").write_bytes(packed)
    yield Kind("arrays packed in an unknown way", lambda: Bundle.open(unknown).arrays("table"))
    text = hashlib.sha256(b"no arrays").hexdigest()
    strange = _bundle(
        "strange", files={"a.npz": {"sha256": text}}, networks={"n": {"file": "a.npz"}}
    )
    Path("strange/a.npz").write_bytes(b"no arrays")
    yield Kind("a file that is not in the manifest", lambda: Bundle.open(whole).path("b.npz"))
    yield Kind("a file that is not there", lambda: Bundle.open(gone).path("a.npz"))
    yield Kind("a file of another digest", lambda: Bundle.open(wrong).path("table.npz"))
    yield Kind("arrays that are none", lambda: Bundle.open(strange).arrays("a"))
    yield Kind("a network that is none", lambda: Bundle.open(strange).session("n"))
    yield Kind("a network that is not there", lambda: Bundle.open(whole).session("lips"))
    yield Kind("a session of no threads", lambda: Bundle.open(whole).session("n", threads=0))
    yield Kind("a session on a toaster", lambda: Bundle.open(whole).session("n", device="toaster"))
    yield Kind("a bundle that is text", lambda: Avatar.load(FACE, bundle="folder"))  # type: ignore[arg-type]
    yield Kind("a bundle of other files", lambda: Avatar.load(FACE, bundle=Bundle.open(whole)))
