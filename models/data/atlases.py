"""Cut what the renderer trains on: ``python -m models.data.atlases`` (after prepare).

Of every training clip the atlases (`parlante.face.patches`), as a small lossy film, and the
geometry of the frames: two files a clip, tens of megabytes in all, which another machine can be
given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.dataset import (
    LANDMARK_UNIT,
    PreparedClip,
    clips_parser,
    load,
    read_frames,
    read_landmarks,
)
from parlante.contract import ATLAS, NATIVE_FPS, VERTICES, Float
from parlante.face.patches import Patches, atlas_of, through
from parlante.face.pose import Pose
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER
from parlante.render.grid import crop_grid

DEFAULT_ATLASES = Path("data/atlases")
DENSE = 512  # side of the frame that atlases are cut from
IRISES = (468, 473)  # landmarks: middles of the right and the left iris
# Frames held of a sharp clip and of another one, evenly spread; and other clips of one person.
SHARP_FRAMES, FRAMES, CLIPS = 150, 16, 3
# x264's constant quality. Colour is as fine as light: lips are red on skin.
FILM = {"crf": "12", "preset": "medium"}


@dataclass(frozen=True)
class Held:
    """The frames of a clip that training holds, F of them.

    sharp: whether of a sharp clip; frames int64 [F]: their numbers in the clip; landmarks float32
    [F, 478, 3] in pixels of the 256-grid; to_atlas float32 [F, 3, 2, 3]; pose of F frames;
    expression float32 [F, 53]; aperture float32 [F]; closure float32 [F, 2]; identity float32
    [100]; film: where `read` finds the atlases.
    """

    person: str
    sharp: bool
    frames: NDArray[np.int64]
    landmarks: Float
    to_atlas: Float
    pose: Pose
    expression: Float
    aperture: Float
    closure: Float
    identity: Float
    film: Path

    @classmethod
    def of(cls, clip: PreparedClip, prepared: Path, limit: int, *, sharp: bool) -> Held:
        """Up to ``limit`` of the clip's kept frames, evenly spread. Its film is not there yet."""
        usable = np.flatnonzero(clip.keep)
        frames = usable[np.linspace(0, len(usable) - 1, min(limit, len(usable))).astype(int)]
        landmarks = read_landmarks(prepared, clip)[frames]
        poses = clip.pose[frames]
        patches = Patches.of(poses.undo(landmarks[:, :VERTICES]).mean(0))
        maps = np.stack([patches.to_atlas(poses[i : i + 1]) for i in range(len(frames))])
        return cls(
            person=clip.person,
            sharp=sharp,
            frames=frames,
            landmarks=landmarks,
            to_atlas=maps,
            pose=poses,
            expression=clip.expression[frames],
            aperture=clip.aperture[frames],
            closure=clip.closure[frames],
            identity=clip.identity,
            film=Path(),
        )

    @classmethod
    def load(cls, path: Path) -> Held:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            landmarks = np.cumsum(arrays["landmarks"], 0, dtype=np.int16)
            return cls(
                person=str(arrays["person"]),
                sharp=bool(arrays["sharp"]),
                frames=arrays["frames"],
                landmarks=landmarks.astype(np.float32) / LANDMARK_UNIT,
                to_atlas=arrays["to_atlas"],
                pose=Pose(arrays["rotation"], arrays["translation"], arrays["scale"]),
                expression=arrays["expression"].astype(np.float32),
                aperture=arrays["aperture"],
                closure=arrays["closure"],
                identity=arrays["identity"],
                film=path.with_suffix(".mp4"),
            )

    def save(self, path: Path, atlases: Sequence[NDArray[np.uint8]]) -> None:
        """Write all of it as ``path``, a .npz, and the film beside it."""
        landmarks = np.round(self.landmarks * LANDMARK_UNIT).astype(np.int16)
        np.savez_compressed(
            path,
            person=self.person,
            sharp=self.sharp,
            frames=self.frames,
            landmarks=np.diff(landmarks, axis=0, prepend=np.int16(0)),
            to_atlas=self.to_atlas,
            **vars(self.pose),
            expression=self.expression.astype(np.float16),
            aperture=self.aperture,
            closure=self.closure,
            identity=self.identity,
        )
        write_film(path.with_suffix(".mp4"), atlases)

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def face(self) -> Float:
        """The mesh's landmarks in the model's axes: float32 [F, 468, 3]."""
        return self.pose.undo(self.landmarks[:, :VERTICES])

    @cached_property
    def irises(self) -> Float:
        """Middles of the irises in the atlas: float32 [F, 2, 2]."""
        points = self.landmarks[:, list(IRISES), :2]
        return np.stack(
            [
                np.stack([through(m[1 + e][None], p[e : e + 1])[0, 0] for e in range(2)])
                for m, p in zip(self.to_atlas, points, strict=True)
            ]
        )

    @cached_property
    def shapes(self) -> tuple[Float, Float]:
        """Lips [F, n] and lids [F, n], by which the nearest reference is found."""
        lips = self.face[:, [*LIPS_OUTER, *LIPS_INNER], :2]
        lids = self.face[:, [*EYE_RIGHT, *EYE_LEFT], :2]
        return lips.reshape(len(self), -1), lids.reshape(len(self), -1)

    def read(self) -> NDArray[np.uint8]:
        """The atlases of the frames: uint8 [F, 256, 128, 3] RGB."""
        return read_frames(self.film, side=None)


def cut(held: Held, clip: Path) -> list[NDArray[np.uint8]]:
    """The atlases of the held frames of a clip: F of uint8 [256, 128, 3] RGB."""
    images = read_frames(clip, held.frames, DENSE)
    maps = [crop_grid(DENSE).maps(m) for m in held.to_atlas]
    return [atlas_of(image, own) for image, own in zip(images, maps, strict=True)]


def write_film(path: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Write images uint8 [256, 128, 3] RGB as H.264."""
    import av  # where training only reads, it need not be there

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=NATIVE_FPS, options=dict(FILM))
        (stream.height, stream.width), stream.pix_fmt = ATLAS, "yuv444p"
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def load_atlases(folder: Path) -> list[Held]:
    """All clips in a folder, sharp ones first."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"no atlases in {folder}: python -m models.data.atlases")
    return sorted(map(Held.load, paths), key=lambda held: not held.sharp)


def main() -> None:
    parser = clips_parser(__doc__, sharp=True)
    parser.add_argument("--out", type=Path, default=DEFAULT_ATLASES)
    parsed = parser.parse_args()
    parsed.out.mkdir(parents=True, exist_ok=True)
    seen: Counter[str] = Counter()

    def wanted(clip: PreparedClip) -> bool:
        seen[clip.person] += 1
        return seen[clip.person] <= CLIPS

    jobs = [(clip, True) for clip in load(parsed.sharp_prepared, parsed.sharp, "train")]
    jobs += [(c, False) for c in load(parsed.prepared, parsed.data, "train") if wanted(c)]

    def write(job: tuple[PreparedClip, bool]) -> None:
        clip, sharp = job
        prepared = parsed.sharp_prepared if sharp else parsed.prepared
        held = Held.of(clip, prepared, SHARP_FRAMES if sharp else FRAMES, sharp=sharp)
        name = f"{'sharp_' if sharp else ''}{clip.name}.npz"
        held.save(parsed.out / name, cut(held, clip.path))

    with ThreadPoolExecutor() as pool:
        list(tqdm(pool.map(write, jobs), total=len(jobs), desc="atlases", mininterval=5))


if __name__ == "__main__":
    main()
