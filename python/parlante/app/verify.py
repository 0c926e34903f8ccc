"""`parlante verify`: whether a video says that it was made, and was not changed since."""

from __future__ import annotations

import argparse
import json

from parlante.provenance import Provenance, verify


def run(arguments: argparse.Namespace) -> int:
    """Print what the file says; returns 0 where it says that it was made, and was not changed."""
    found = verify(arguments.file)
    if arguments.json:
        print(json.dumps(found.told()))
    else:
        print(f"{arguments.file}: {_sentence(found)}")
    return 0 if found.intact and found.generated else 1


def _sentence(found: Provenance) -> str:
    if not found.found:
        return "no manifest; that tells nothing of how it was made"
    made = "made by a trained model" if found.generated else "not said to be made by a model"
    signer = f"{found.signer}, {'trusted' if found.trusted else 'not on a list of trusted signers'}"
    if found.intact:
        return f"{made}, with {found.product}; unchanged since it was signed ({signer})"
    return f"{made}, with {found.product}, but changed since ({', '.join(found.wrong)}; {signer})"
