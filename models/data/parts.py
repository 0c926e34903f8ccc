"""Carry the training data to another machine in parts.

``python -m models.data.parts split`` and ``join``.

``split`` writes folders of about 42 MB each (``data/parts/part_0`` …): the training clips as H.264
without sound, log-mel as 8 bits, landmarks as int16, coefficients as fp16. ``join`` there adds a
part to a data folder and a prepared folder that `models.data.dataset.load` reads as if it had been
prepared on the spot.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from models.data.dataset import (
    DEFAULT_DATA,
    DEFAULT_PREPARED,
    MIN_FRAMES,
    Clip,
    read_manifest,
)
from parlante.contract import SILENCE

PART_BYTES = 42_000_000
DROPPED = ("dropped",)  # arrays that only the report needs
MEL_STEP = 0.125  # nepers: an eighth of what the augmentation adds at random


def slim(arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays of one prepared clip, in their small types."""
    out = {k: v for k, v in arrays.items() if k not in DROPPED}
    out["mel"] = np.clip(
        np.round((arrays["mel"].astype(np.float32) - SILENCE) / MEL_STEP), 0, 255
    ).astype(np.uint8)
    out["source_landmarks"] = np.clip(
        np.round(arrays["source_landmarks"] * 64), -32768, 32767
    ).astype(np.int16)
    out["aperture"] = arrays["aperture"].astype(np.float16)
    return out


def restore(arrays: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `slim`."""
    out = dict(arrays)
    out["mel"] = (arrays["mel"].astype(np.float32) * MEL_STEP + SILENCE).astype(np.float16)
    out["source_landmarks"] = arrays["source_landmarks"].astype(np.float32) / 64
    out["aperture"] = arrays["aperture"].astype(np.float32)
    return out


def picture_only(source: Path, target: Path) -> None:
    """Copy the H.264 stream of a clip, without its sound."""
    import av

    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)


def split(data: Path, prepared: Path, parts: Path) -> None:
    alignment = json.loads((prepared / "alignment.json").read_text())
    number, size = 0, 0
    rows: list[str] = []

    def close() -> None:
        (parts / f"part_{number}" / "rows.json").write_text(json.dumps(rows))

    for clip in read_manifest(data):
        file = prepared / "fit" / f"{clip.name}.npz"
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        if clip.split != "train" or arrays["keep"].sum() < MIN_FRAMES:
            continue
        if size > PART_BYTES:
            close()
            number, size, rows = number + 1, 0, []
        folder = parts / f"part_{number}"
        for sub in ("fit", "clips"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / "fit" / file.name, **slim(arrays))
        picture_only(data / clip.file, folder / "clips" / f"{clip.name}.mp4")
        size += sum(
            (folder / sub / name).stat().st_size
            for sub, name in (("fit", file.name), ("clips", f"{clip.name}.mp4"))
        )
        rows.append(clip.name)
    close()
    (parts / "part_0" / "alignment.json").write_text(json.dumps(alignment))
    shutil.copy(data / "manifest.csv", parts / "part_0" / "manifest.csv")
    print(f"{number + 1} parts in {parts}")


def join(data: Path, prepared: Path, part: Path) -> None:
    (prepared / "fit").mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    for name, folder in (("alignment.json", prepared), ("manifest.csv", data)):
        if (part / name).exists():
            shutil.copy(part / name, folder / name)
    clips: dict[str, Clip] = {c.name: c for c in read_manifest(data)}
    for name in json.loads((part / "rows.json").read_text()):
        with np.load(part / "fit" / f"{name}.npz", allow_pickle=False) as stored:
            np.savez(prepared / "fit" / f"{name}.npz", **restore(dict(stored)))
        target = data / clips[name].file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(part / "clips" / f"{name}.mp4", target)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("split", "join"))
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED)
    parser.add_argument(
        "--parts", type=Path, default=Path("data/parts"), help="join: one part's folder"
    )
    arguments = parser.parse_args()
    if arguments.action == "split":
        split(arguments.data, arguments.prepared, arguments.parts)
    else:
        join(arguments.data, arguments.prepared, arguments.parts)


if __name__ == "__main__":
    main()
