"""One harness of `fuzz/python` as a program that takes libFuzzer's flags, by atheris.

``python -m fuzz.harness NAME [FLAG …]``; ``python -m fuzz`` runs it.
"""

from __future__ import annotations

import logging
import sys
import warnings
from importlib import import_module


def main() -> None:
    import atheris

    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["parlante", "fuzz", "PIL", "zipfile", "aiortc"]):
        harness = import_module(f"fuzz.python.{sys.argv[1]}")
    atheris.Setup(sys.argv[1:], harness.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
