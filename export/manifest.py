"""Write the manifest of a bundle: what `parlante.runtime.manifest` reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from parlante import __version__
from parlante.errors import BundleError
from parlante.media.files import write_whole
from parlante.runtime.manifest import FORMAT, FRONT_END, MANIFEST
from parlante.runtime.sessions import new_session, signature


@dataclass(frozen=True)
class Part:
    """What a file of a bundle is, for `write_manifest`.

    file: name in the bundle's folder; .onnx files are networks.
    licence: SPDX expression. training_data: what it was trained on, and by whom.
    extra: what else the runtime has to know about a network (JSON values).
    """

    file: str
    licence: str
    training_data: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_manifest(
    folder: str | Path,
    parts: Mapping[str, Part],
    *,
    version: str = __version__,
) -> Path:
    """Write manifest.json for the files of a bundle, hashing them and reading networks' signatures.

    Args:
        folder: of the bundle, with all files in place.
        parts: by name, under which networks are asked for.
        version: of the bundle, for people.

    Raises:
        BundleError: a part's file is missing, is no plain name or is another part's, or a network
            that ONNX Runtime does not load.
    """
    folder = Path(folder)
    files: dict[str, Any] = {}
    networks: dict[str, Any] = {}
    for name, part in parts.items():
        path = folder / part.file
        if PurePath(part.file).name != part.file or part.file in files or not path.is_file():
            raise BundleError(
                f"model bundle: part {name!r} is not one new file in {folder} ({part.file!r}); "
                "give each part the plain name of its own file"
            )
        content = path.read_bytes()
        files[part.file] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "licence": part.licence,
            "training_data": part.training_data,
        }
        if path.suffix == ".onnx":
            session = new_session(content, name, "cpu", 1)
            networks[name] = {
                **part.extra,
                "file": part.file,
                "inputs": signature(session.get_inputs()),
                "outputs": signature(session.get_outputs()),
            }
    manifest = {
        "format": FORMAT,
        "version": version,
        "front_end": FRONT_END,
        "files": files,
        "networks": networks,
    }
    path = folder / MANIFEST
    write_whole(path, f"{json.dumps(manifest, indent=1, ensure_ascii=False)}\n".encode())
    return path
