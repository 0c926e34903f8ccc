"""Pinned frames: what `speak` draws of the demo and of clips, to the bit and as thumbnails.

``python -m tests.support.frames --write`` makes ``tests/frames.json`` anew: after a change that is
meant to change frames, and only then. `PARLANTE_DATA` names the folder of clips that
`models.data.prepare --data` takes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info
from tqdm import tqdm

from parlante import Avatar, Frame
from parlante.contract import Precision
from parlante.runtime.machine import cpu_features, cpu_threads
from tests.support.portrait_samples import PHOTO, VOICE

PINS = Path(__file__).parents[1] / "frames.json"
FRAMES = 60  # of each case
EVERY = 10  # frames have a thumbnail
SIDE = 16  # of a thumbnail, pixels

# What ONNX Runtime picks its kernels by, which add up in different orders.
_CPU = (
    *("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx_vnni", "avx512_vnni"),
    *("avx512_bf16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)
_PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "av", "pillow")


@dataclass(frozen=True)
class Case:
    """``clip`` in the folder of clips is photo and sound; None is the demo."""

    clip: str | None
    options: dict[str, Any]
    precision: Precision = "float32"

    def frames(self) -> Iterator[Frame]:
        """The first `FRAMES`; FileNotFoundError where the clip is not there."""
        photo, sound = PHOTO, VOICE
        if self.clip is not None:
            photo = sound = clips() / self.clip
        avatar = Avatar(photo, cache=False, precision=self.precision)
        return islice(avatar.speak(sound, **self.options), FRAMES)


CASES = {
    "demo": Case(None, {"size": 512}),
    "int8": Case(None, {"size": 256}, "int8"),
    "grid": Case("clips/test/grid/p157_001.mp4", {"size": 256, "seed": 3}),
    "hdtf": Case(
        "clips/test/hdtf/p179_001.mp4",
        {
            **{"size": 360, "steps": 1, "fps": 30, "seed": 5, "pose": 0.5},
            **{"pixels": "rgba", "background": "green"},
        },
    ),
    "talkvid": Case(
        "clips/test/talkvid/p357_001.mp4",
        {"size": 256, "steps": 4, "pixels": "nv12", "expression": 1.5},
    ),
}


def clips() -> Path:
    """The folder of clips; FileNotFoundError where there is none."""
    folder = os.environ.get("PARLANTE_DATA")
    if folder is None:
        raise FileNotFoundError("PARLANTE_DATA does not name a folder of clips")
    if not (Path(folder) / "clips").is_dir():
        raise FileNotFoundError(f"PARLANTE_DATA={folder} holds no clips")
    return Path(folder)


def environment() -> dict[str, Any]:
    """What decides the last bits of a frame: two machines that agree in it draw the same."""
    blas = {
        f"{library['internal_api']} {library.get('architecture')}"
        for library in threadpool_info()
        if library["user_api"] == "blas" and "numpy" in library["filepath"]
    }
    return {
        "machine": platform.machine(),
        "blas": sorted(blas),
        "cpu": [feature for feature in _CPU if feature in cpu_features()],
        "threads": cpu_threads(),  # numerical libraries divide their sums among them
        **{name: version(name) for name in _PACKAGES},
    }


@dataclass
class Pin:
    """What is kept of a case: SHA-256 of image, sound and pts of its frames, their number, and
    thumbnails uint8 [N, 16, 16]."""

    sha256: str
    frames: int
    thumbnails: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def of(cls, frames: Iterator[Frame], pixels: str = "rgb") -> Pin:
        digest, count, thumbnails = hashlib.sha256(), 0, []
        for count, frame in enumerate(frames, 1):
            digest.update(frame.image.tobytes())
            digest.update(frame.audio.tobytes())
            digest.update(str(frame.pts).encode())
            if count % EVERY == 1:
                thumbnails.append(thumbnail(frame.image, pixels))
        return cls(digest.hexdigest(), count, np.stack(thumbnails))

    def to_json(self) -> dict[str, Any]:
        encoded = [base64.b64encode(one.tobytes()).decode() for one in self.thumbnails]
        return {"sha256": self.sha256, "frames": self.frames, "thumbnails": encoded}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Pin:
        thumbnails = [
            np.frombuffer(base64.b64decode(one), np.uint8).reshape(SIDE, SIDE)
            for one in given["thumbnails"]
        ]
        return cls(given["sha256"], given["frames"], np.stack(thumbnails))


def thumbnail(image: NDArray[np.uint8], pixels: str) -> NDArray[np.uint8]:
    """A frame of those ``pixels`` in grey, uint8 [16, 16]."""
    if pixels == "nv12":
        grey = image[: image.shape[1]]
    else:
        grey = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def pin(case: Case) -> Pin:
    return Pin.of(case.frames(), case.options.get("pixels", "rgb"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Pin the frames that are drawn.")
    parser.add_argument("--write", action="store_true", required=True, help=f"make {PINS} anew")
    parser.parse_args()
    clips()  # a file without them would no longer hold them
    made = {name: pin(case).to_json() for name, case in tqdm(CASES.items())}
    content = {"environment": environment(), "cases": made}
    PINS.write_text(f"{json.dumps(content, indent=1)}\n")


if __name__ == "__main__":
    main()
