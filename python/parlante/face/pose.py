"""Head pose: weak perspective between the 3DMM's axes and the picture's.

``pixels = scale · F · R · points + translation``, with F = diag(1, −1, −1) turning the model's axes
(y up, z to the camera) into the picture's (y down, smaller z nearer). Units: model ≈ cm, picture =
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from parlante.contract import Float

FLIP = np.array([1.0, -1.0, -1.0], np.float32)


@dataclass(frozen=True)
class Pose:
    """Weak-perspective head pose of N frames.

    rotation: float32 [N, 3] rotation vector (radians, model axes); translation: float32 [N, 3]
    pixels;
    scale: float32 [N] pixels per model unit.
    """

    rotation: Float
    translation: Float
    scale: Float

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, index: slice | NDArray[np.intp]) -> Pose:
        return Pose(self.rotation[index], self.translation[index], self.scale[index])

    @cached_property
    def _matrix(self) -> Float:
        return rotation_matrix(self.rotation)

    def apply(self, points: Float) -> Float:
        """Model points [N, V, 3] or [V, 3] to pixels [N, V, 3]."""
        turned = np.einsum(
            "nij,...vj->nvi" if points.ndim == 2 else "nij,nvj->nvi",
            self._matrix,
            points,
        )
        return np.asarray(
            self.scale[:, None, None] * turned * FLIP + self.translation[:, None], np.float32
        )

    def undo(self, pixels: Float) -> Float:
        """Pixels [N, V, 3] to model points [N, V, 3]: the inverse of `apply`."""
        centred = (pixels - self.translation[:, None]) * FLIP / self.scale[:, None, None]
        return np.asarray(np.einsum("nji,nvj->nvi", self._matrix, centred), np.float32)

    def relative_to(self, rest: Pose) -> Float:
        """Pose change [N, 6] from ``rest`` (one frame or N).

        Rotation vector (radians), translation x, y (model units), log scale.
        """
        turn = self._matrix @ np.swapaxes(rest._matrix, -1, -2)
        shift = (self.translation - rest.translation)[:, :2] / rest.scale[:, None]
        grown = np.log(self.scale / rest.scale)[:, None]
        return np.concatenate([rotation_vector(turn), shift, grown], 1, dtype=np.float32)

    def changed_by(self, change: Float) -> Pose:
        """Inverse of `relative_to`: the poses ``change`` [N, 6] from this one (of one frame)."""
        turn = rotation_matrix(change[:, :3]) @ self._matrix
        translation = np.repeat(self.translation, len(change), 0)
        translation[:, :2] += change[:, 3:5] * self.scale[:, None]
        pose = Pose(rotation_vector(turn), translation, self.scale * np.exp(change[:, 5]))
        pose.__dict__["_matrix"] = turn  # which it would find from the vector
        return pose


def rotation_matrix(rotation: Float) -> Float:
    """Rotation vectors [..., 3] (radians) to matrices [..., 3, 3] (Rodrigues)."""
    angle = np.linalg.norm(rotation, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(np.asarray(rotation, np.float64), -1, 0)
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    # sinc forms: exact at angle 0
    a, b = np.sinc(angle / np.pi), 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.asarray(np.eye(3) + a * k + b * (k @ k), np.float32)


def rotation_vector(matrix: Float) -> Float:
    """Rotation matrices [..., 3, 3] to vectors [..., 3]; angles up to π (exclusive)."""
    m = np.asarray(matrix, np.float64)
    cosine = np.clip((np.trace(m, axis1=-2, axis2=-1) - 1) / 2, -1, 1)
    angle = np.arccos(cosine)
    axis = np.stack(
        [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1
    )
    return np.asarray(
        axis * (0.5 / np.maximum(np.sinc(angle / np.pi), 1e-9))[..., None], np.float32
    )


def fit_pose(model: Float, pixels: Float) -> Pose:
    """Least-squares weak-perspective pose that takes model to pixels, both [N, V, 3] (Umeyama)."""
    target = np.asarray(pixels, np.float64) * FLIP
    source = np.asarray(model, np.float64)
    target_mean, source_mean = target.mean(1, keepdims=True), source.mean(1, keepdims=True)
    t, s = target - target_mean, source - source_mean
    u, d, vt = np.linalg.svd(np.einsum("nvi,nvj->nij", t, s))
    sign = np.ones_like(d)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    r = (u * sign[:, None]) @ vt
    scale = (d * sign).sum(1) / (s * s).sum((1, 2))
    translation = (target_mean - scale[:, None, None] * np.einsum("nij,nvj->nvi", r, source_mean))[
        :, 0
    ] * FLIP
    return Pose(
        rotation_vector(np.asarray(r, np.float32)),
        translation.astype(np.float32),
        scale.astype(np.float32),
    )
