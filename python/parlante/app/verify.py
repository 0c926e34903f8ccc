"""`parlante verify`: whether a video or a picture says that it was made, and was not changed."""

from __future__ import annotations

import argparse
import json

from parlante.provenance import Provenance, verify


def run(arguments: argparse.Namespace) -> int:
    """Print what the file says; returns 0 where it says that it was made, and nothing is wrong."""
    found = verify(arguments.file)
    if arguments.json:
        print(json.dumps(found.told()))
    else:
        print(f"{arguments.file}: {_manifest(found)}; {_watermark(found)}")
    return 0 if found.made else 1


def _manifest(found: Provenance) -> str:
    if not found.found:
        return "no manifest"
    made = "made by a trained model" if found.generated else "not said to be made by a model"
    signer = f"{found.signer}, {'trusted' if found.trusted else 'not on a list of trusted signers'}"
    if found.intact:
        return f"{made}, with {found.product}; unchanged since it was signed ({signer})"
    return f"{made}, with {found.product}, but changed since ({', '.join(found.wrong)}; {signer})"


def _watermark(found: Provenance) -> str:
    mark = found.watermark
    if mark is not None:
        return f"watermark of parlante {mark.version}, payload {mark.payload}"
    if found.found:
        return "no watermark"
    return "no watermark: nothing tells how it was made"
