"""How landmarks really move: ``python -m models.train.modes``, before the renderer.

The modes of the 3DMM are a sculptor's. A face that is moved by them opens its mouth in a V and
drags the chin to the wrong place. Here a linear map from coefficients to what the landmarks of
training people do beyond the modes is found by ridge regression, in closed form. A mode is
corrected only where it moves the face: two that people use together, as of both lids, stay apart.
`export.bundle` adds the map to the modes as `FaceModel.motion`; the fit of coefficients keeps the
modes themselves. Beside it goes how much people use which modes of the lips, and with which others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from models.data.dataset import PreparedClip, clips_parser, load, read_landmarks
from models.train.loop import WEIGHTS
from parlante.contract import VERTICES, Float
from parlante.face.model import FaceModel
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, FACE_OVAL, LIPS_INNER, LIPS_OUTER
from parlante.runtime.bundle import Bundle

FRAMES = 40  # of a clip, at most
LEAST_FRAMES = 20
# Ridge weight, in squared coefficients summed over frames: modes that people hardly use keep what
# the 3DMM says.
PRIOR = 30.0
# Of a mode's largest displacement: where it moves a vertex by less, it is left alone there.
REACH = 0.03
PARTS = {
    "lips": LIPS_INNER + LIPS_OUTER,
    "lids": EYE_RIGHT + EYE_LEFT,
    "outline": FACE_OVAL,
    "all": tuple(range(VERTICES)),
}


def changes(
    prepared: Path, clip: PreparedClip, model: FaceModel, rng: np.random.Generator
) -> tuple[Float, Float] | None:
    """From one frame of a clip to N others of it, or None for a short clip.

    Change of the coefficients [N, 53], and of the landmarks beyond what the modes make of it
    [N, 468, 3], model units.
    """
    kept = np.flatnonzero(clip.keep)
    if len(kept) < LEAST_FRAMES:
        return None
    frames = rng.choice(kept, min(FRAMES, len(kept)), replace=False)
    landmarks = read_landmarks(prepared, clip)[frames, :VERTICES]
    measured = clip.pose[frames].undo(landmarks)
    still = int(clip.aperture[frames].argmin())
    coefficients = clip.expression[frames] - clip.expression[frames[still]]
    moved = np.tensordot(coefficients, model.expression, 1)
    return coefficients, np.asarray(measured - measured[still] - moved, np.float32)


def gathered(
    folders: list[tuple[Path, Path]], model: FaceModel, *, validation: bool
) -> tuple[Float, Float]:
    """`changes` of all clips of the training people, or of those for validation."""
    rng = np.random.default_rng(0)
    found = [
        changes(prepared, clip, model, rng)
        for prepared, data in folders
        for clip in load(prepared, data, "train", validation=validation)
    ]
    coefficients, beyond = zip(*(pair for pair in found if pair is not None), strict=True)
    return np.concatenate(coefficients), np.concatenate(beyond)


def fit(coefficients: Float, beyond: Float, modes: Float, prior: float = PRIOR) -> Float:
    """The linear map [53, 468, 3] from coefficients [N, 53] to landmarks [N, 468, 3].

    modes [53, 468, 3]: a coefficient is held back the more, the less its mode moves a vertex.
    """
    moved = np.linalg.norm(modes, axis=2)
    share = moved / moved.max(1, keepdims=True)
    share = np.sqrt(np.where(share < REACH, 0, share)).astype(np.float64)
    gram = coefficients.T.astype(np.float64) @ coefficients
    toward = np.einsum("nm,nvx->vmx", coefficients, beyond, optimize=True).astype(np.float64)
    out = np.empty_like(modes)
    for vertex, own in enumerate(share.T):
        system = own[:, None] * gram * own + prior * np.eye(len(own))
        out[:, vertex] = own[:, None] * np.linalg.solve(system, own[:, None] * toward[vertex])
    return out


def main() -> None:
    parser = clips_parser(__doc__, sharp=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parsed = parser.parse_args()
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    folders = [(parsed.sharp_prepared, parsed.sharp), (parsed.prepared, parsed.data)]
    coefficients, beyond = gathered(folders, model, validation=False)
    change = fit(coefficients, beyond, model.expression)
    lips = coefficients[:, list(model.mode_groups["lip"])]
    spread = lips.T @ lips / len(lips)
    coefficients, beyond = gathered(folders, model, validation=True)
    left = beyond - np.tensordot(coefficients, change, 1)
    print(f"{len(beyond)} frames of validation people: error in x and y, model units")
    for part, vertices in PARTS.items():
        before, after = (np.sqrt(np.square(v[:, vertices, :2]).mean()) for v in (beyond, left))
        print(f"{part:<8} {before:.3f} of the modes alone, {after:.3f} with their correction")
    found = {"change": torch.from_numpy(change).half(), "lip_spread": torch.from_numpy(spread)}
    save_file(found, parsed.weights / "modes.safetensors")


if __name__ == "__main__":
    main()
