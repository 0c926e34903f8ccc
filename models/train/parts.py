"""What is each part worth? ``python -m models.train.parts --out runs/parts``.

Trains the networks anew, whole and without one part at a time, each for the same number of steps,
and exports a bundle of each: ``runs/parts/PART/bundle``, for ``python -m models.evaluate --parts
runs/parts``. Resumes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from models.data.atlases import DEFAULT_ATLASES
from models.data.dataset import clips_parser
from models.train.loop import WEIGHTS

WHOLE = "whole"
# The networks that are trained anew, in this order; a part is left out of the first. The others are
# those of the whole, whose attributes are those that ship.
PARTS = {
    WHOLE: ("sync", "dynamics", "renderer"),
    "diffusion": ("renderer",),
    "shift": ("renderer",),
    "warp": ("renderer",),
    "contrast": ("sync",),
    "vae": ("dynamics",),
    "disentanglement": ("attributes",),
}
STEPS = {"attributes": 4_600, "sync": 600, "dynamics": 3_000, "renderer": 2_000}


def main() -> None:
    parser = clips_parser(__doc__)
    parser.add_argument("--atlases", type=Path, default=DEFAULT_ATLASES)
    parser.add_argument("--out", type=Path, default=Path("runs/parts"))
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    arguments = parser.parse_args()
    for part in arguments.only:
        folder = arguments.out / part
        bundle = folder / "bundle"
        if not folder.exists():
            weights = WEIGHTS if part == WHOLE else arguments.out / WHOLE
            folder.mkdir(parents=True)
            for file in weights.glob("*.safetensors"):
                shutil.copy(file, folder)
        for i, network in enumerate(PARTS[part]):
            without = ["--without", part] if i == 0 and part != WHOLE else []
            run(
                f"models.train.{network}",
                *without,
                *("--steps", str(STEPS[network]), "--data", str(arguments.data)),
                *("--prepared", str(arguments.prepared), "--weights", str(folder)),
                *(("--atlases", str(arguments.atlases)) if network == "renderer" else ()),
                *("--out", str(folder / "runs")),
            )
        run("export.bundle", "--weights", str(folder), "--out", str(bundle))


def run(module: str, *arguments: str) -> None:
    """``python -m module arguments``; SystemExit where it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} ended with {done.returncode}")


if __name__ == "__main__":
    main()
