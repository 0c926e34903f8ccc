"""Prepared clips as arrays, and the split of the training people into training and validation."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import MEL_PER_FRAME, SILENCE, Float
from parlante.face.pose import Pose

DEFAULT_DATA = Path("../shared/data")
DEFAULT_PREPARED = Path("data/prepared")
# Sharper clips, for what is drawn at the output's own density.
SHARP_DATA = Path("../shared/data512")
SHARP_PREPARED = Path("data/prepared512")
SIZE = 256
MIN_FRAMES = 12
VALIDATION_SHARE = 0.08
# Of the training people; from them only the Sync expert learns.
RESERVED = frozenset({"p156"})
LANDMARK_UNIT = 64  # landmarks are stored as int16, 1/64 pixel


def clips_parser(description: str | None, *, sharp: bool = False) -> argparse.ArgumentParser:
    """A command line with the folders of the clips, and of the ``sharp`` ones."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED)
    if sharp:
        parser.add_argument("--sharp", type=Path, default=SHARP_DATA)
        parser.add_argument("--sharp-prepared", type=Path, default=SHARP_PREPARED)
    return parser


def sharp_clips_parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with the folders of the sharp clips, and of what judges pictures."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARP_DATA)
    parser.add_argument("--prepared", type=Path, default=SHARP_PREPARED)
    parser.add_argument(
        "--assets", type=Path, default=SHARP_DATA.parent / "assets", help="folder with SFace"
    )
    return parser


@dataclass(frozen=True)
class Clip:
    """One row of the manifest."""

    file: str
    split: str
    source: str
    person: str
    audio: bool

    @property
    def name(self) -> str:
        return self.file.removeprefix("clips/").removesuffix(".mp4").replace("/", "_")


def read_manifest(data: Path) -> list[Clip]:
    """The rows of ``manifest.csv`` in the folder ``data``."""
    with (data / "manifest.csv").open(newline="") as file:
        return [
            Clip(
                row["file"],
                row["split"],
                row.get("source", data.name),
                row["person"],
                row["audio"] == "yes",
            )
            for row in csv.DictReader(file)
        ]


@dataclass(frozen=True)
class PreparedClip:
    """One clip of N frames as `models.data.prepare` leaves it, audio aligned with the picture.

    keep bool [N]; expression float32 [N, 53]; pose of N frames (pixels of the 256² crop); identity
    float32 [100]; aperture float32 [N]; closure float32 [N, 2] (right, left; 1 shut); mel float32
    [4·N, 80] or None, moved by ``offset`` frames to match the picture; lips: whether the audio may
    teach lips; told: how much of them it tells, the correlation by which the offset was found.
    Candidate sources: source_frames int [S], source_landmarks float32 [S, 468, 3],
    source_mattes uint8 [S, 256, 256].
    """

    name: str
    path: Path
    source: str
    person: str
    split: str
    keep: NDArray[np.bool_]
    expression: Float
    pose: Pose
    identity: Float
    aperture: Float
    closure: Float
    mel: Float | None
    offset: float
    lips: bool
    told: float
    source_frames: NDArray[np.int64]
    source_landmarks: Float
    source_mattes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keep)

    def runs(self, length: int) -> list[tuple[int, int]]:
        """[start, stop) of the stretches of kept frames at least ``length`` long."""
        edges = np.flatnonzero(np.diff(np.r_[0, self.keep.astype(np.int8), 0]))
        return [
            (int(a), int(b))
            for a, b in zip(edges[::2], edges[1::2], strict=True)
            if b - a >= length
        ]


def is_validation(person: str) -> bool:
    """A fixed 8 % of the training people, chosen by a hash of the label."""
    return hashlib.sha256(person.encode()).digest()[0] < 256 * VALIDATION_SHARE


def frame_weights(clips: Sequence[PreparedClip]) -> list[float]:
    """How much a frame of each clip counts.

    A person with a thousand sentences must not become the voice of all.
    """
    frames = Counter({c.person: 0 for c in clips})
    for clip in clips:
        frames[clip.person] += len(clip)
    return [frames[c.person] ** -0.25 for c in clips]


def align_mel(mel: Float, offset: float, frames: int) -> Float:
    """Log-mel [4·``frames``, 80]: ``mel`` [n, 80] moved later by ``offset`` video frames.

    To a quarter of a frame; silence where there are no columns.
    """
    return shifted(mel, round(offset * MEL_PER_FRAME), frames * MEL_PER_FRAME, SILENCE)


def shifted(values: Float, by: int, length: int, fill: float) -> Float:
    """Rows of ``values`` [n, ...] moved later by ``by``, as float32 [``length``, ...].

    ``fill`` where there are none.
    """
    out = np.full((length, *values.shape[1:]), fill, np.float32)
    first = max(0, by)
    moved = values[max(0, -by) :][: max(0, length - first)]
    out[first : first + len(moved)] = moved
    return out


def load(
    prepared: Path, data: Path, split: str, *, validation: bool | None = None
) -> list[PreparedClip]:
    """All usable clips of ``split``, "train", "test" or "reserved".

    ``validation`` True or False keeps that part of the training people.
    """
    alignment = json.loads((prepared / "alignment.json").read_text())["clips"]
    clips = []
    for row in read_manifest(data):
        own = "reserved" if row.person in RESERVED else row.split
        if own != split or (validation is not None and is_validation(row.person) != validation):
            continue
        path = prepared / "fit" / f"{row.name}.npz"
        if not path.exists():
            continue
        with np.load(path, allow_pickle=False) as arrays:
            if "source_frames" not in arrays:
                continue
            keep = arrays["keep"]
            entry = alignment.get(row.name)
            mel = None if entry is None else align_mel(arrays["mel"], entry["offset"], len(keep))
            clips.append(
                PreparedClip(
                    name=row.name,
                    path=data / row.file,
                    source=row.source,
                    person=row.person,
                    split=row.split,
                    keep=keep,
                    expression=arrays["expression"].astype(np.float32),
                    pose=Pose(arrays["rotation"], arrays["translation"], arrays["scale"]),
                    identity=arrays["identity"],
                    aperture=arrays["aperture"],
                    closure=arrays["closure"].astype(np.float32),
                    mel=mel,
                    offset=0.0 if entry is None else entry["offset"],
                    lips=entry is not None and entry["lips"],
                    told=0.0 if entry is None else entry["correlation"],
                    source_frames=arrays["source_frames"],
                    source_landmarks=arrays["source_landmarks"].astype(np.float32),
                    source_mattes=arrays["source_mattes"],
                )
            )
    return clips


def read_landmarks(prepared: Path, clip: PreparedClip) -> Float:
    """Tracked landmarks float32 [N, 478, 3] of a clip, pixels; zeros where no face was found."""
    with np.load(prepared / "track" / f"{clip.name}.npz", allow_pickle=False) as tracked:
        return np.asarray(tracked["landmarks"].astype(np.float32) / LANDMARK_UNIT)


def read_frames(
    path: Path, indices: Sequence[int] | NDArray[np.int64] | None = None, side: int | None = SIZE
) -> NDArray[np.uint8]:
    """Frames uint8 [N, side, side, 3] RGB of a clip: all, or the ascending ``indices``.

    Without ``side`` as large as they are.
    """
    capture = cv2.VideoCapture(str(path))
    wanted = None if indices is None else {int(i) for i in indices}
    frames, position = [], 0
    while wanted is None or wanted:
        if wanted is not None and position not in wanted:
            if not capture.grab():
                break
        else:
            there, image = capture.read()
            if not there:
                break
            if side is not None and image.shape[:2] != (side, side):
                smaller = side < len(image)
                mode = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
                image = cv2.resize(image, (side, side), interpolation=mode)
            frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            if wanted is not None:
                wanted.discard(position)
        position += 1
    capture.release()
    if not frames or wanted:
        raise ValueError(
            f"{path}: {len(frames)} frames decoded, {len(wanted or ())} wanted frames are missing"
        )
    return np.stack(frames)
