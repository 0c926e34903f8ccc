"""The manifest of a model bundle: what each file is, and what it must hash to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from parlante.checks import read_file
from parlante.contract import (
    FFT_SIZE,
    HOP_LENGTH,
    MEL_BANDS,
    MEL_FLOOR,
    MEL_HIGH_HZ,
    MEL_LOW_HZ,
    MEL_WINDOW,
    NATIVE_FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    Float,
)
from parlante.errors import BundleError

FORMAT: Final = 4
MANIFEST: Final = "manifest.json"
REINSTALL: Final = "reinstall parlante, or export the bundle again"

# What the runtime feeds the networks, and what they have to have been trained with.
FRONT_END: Final[Mapping[str, Any]] = {
    "sample_rate": SAMPLE_RATE,
    "fps": int(NATIVE_FPS),
    "samples_per_frame": SAMPLES_PER_FRAME,
    "log_mel": {
        "n_fft": FFT_SIZE,
        "hop_length": HOP_LENGTH,
        "bands": MEL_BANDS,
        "f_min": MEL_LOW_HZ,
        "f_max": MEL_HIGH_HZ,
        "scale": "slaney",
        "norm": "slaney",
        "floor": MEL_FLOOR,
    },
    "mel_window": MEL_WINDOW,
}


@dataclass(frozen=True)
class Manifest:
    """Contents of manifest.json.

    files: by file name: sha256, bytes, licence, training_data.
    networks: by part: file, inputs and outputs (dtype and shape by name), and the part's `extra`.
    """

    version: str
    files: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and check `path`.

        Raises:
            BundleError: missing, no valid manifest, or for another version of parlante.
        """
        try:
            content = json.loads(read_file(path))
        except OSError as error:
            raise BundleError(
                f"model bundle: {path} cannot be read ({error.strerror}); reinstall parlante, or "
                "give the folder of a whole bundle"
            ) from error
        except (ValueError, RecursionError) as error:
            raise BundleError(f"model bundle: {path} is no JSON ({error}); {REINSTALL}") from error
        if not isinstance(content, dict):
            raise BundleError(f"model bundle: {path} holds no JSON object; {REINSTALL}")
        if content.get("format") != FORMAT or content.get("front_end") != FRONT_END:
            raise BundleError(
                f"model bundle: {path} has format {content.get('format')!r} and front end "
                f"{content.get('front_end')!r}, expected {FORMAT} and {FRONT_END!r}; it was made "
                "for another version of parlante: install that one, or export the bundle again"
            )
        files, networks = _table(content, "files"), _table(content, "networks")
        version = content.get("version")
        if files is None or networks is None or not isinstance(version, str):
            raise BundleError(f"model bundle: {path} lacks its tables; {REINSTALL}")
        for name, entry in files.items():
            if PurePath(name).name != name or not isinstance(entry.get("sha256"), str):
                raise BundleError(f"model bundle: {path} has a bad entry {name!r}; {REINSTALL}")
        for name, entry in networks.items():
            file = entry.get("file")
            if not isinstance(file, str) or file not in files:
                raise BundleError(
                    f"model bundle: {path} lists network {name!r} without its file; {REINSTALL}"
                )
        return cls(version, MappingProxyType(files), MappingProxyType(networks))

    def numbers(self, network: str, name: str, count: int) -> Float:
        """What is said of a network under ``name``: float32 [count].

        Raises:
            BundleError: it is not there, or is something else.
        """
        try:
            with np.errstate(over="ignore"):
                found = np.array(self.networks[network][name], np.float32)
        except (LookupError, TypeError, ValueError, OverflowError):
            found = np.zeros(0, np.float32)
        if found.shape != (count,) or not np.isfinite(found).all():
            raise BundleError(
                f"model bundle: {MANIFEST} lacks {name!r} of network {network!r}, {count} numbers; "
                f"{REINSTALL}"
            )
        return found


def _table(content: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]] | None:
    table = content.get(key)
    if isinstance(table, dict) and all(isinstance(entry, dict) for entry in table.values()):
        return table
    return None
