"""Bundles: manifests, and files of arrays that their manifest's digest belongs to."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from fuzz.input import refusal
from parlante.runtime.bundle import Bundle
from parlante.runtime.manifest import FORMAT, FRONT_END, MANIFEST

ZIP = b"PK"  # what an .npz begins with; anything else is a manifest
_scratch = tempfile.TemporaryDirectory()
_folder = Path(_scratch.name)


def check(data: bytes) -> None:
    manifest = data
    if data.startswith(ZIP):
        entry = {"sha256": hashlib.sha256(data).hexdigest()}
        whole = {"format": FORMAT, "front_end": FRONT_END, "version": "1", "networks": {}}
        manifest = json.dumps({**whole, "files": {"table.npz": entry}}).encode()
    (_folder / "table.npz").write_bytes(data)
    (_folder / MANIFEST).write_bytes(manifest)
    with refusal():
        bundle = Bundle.open(_folder)
        assert bundle.key
        assert all(isinstance(problem, str) for problem in bundle.problems())
        for network in bundle.manifest.networks:
            with refusal():
                bundle.session(network)
        bundle.arrays("table")
