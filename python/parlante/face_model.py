"""The 3DMM: ICT-FaceKit at the 468 MediaPipe vertices, and its fit to landmarks.

A face is ``landmarks = scale · F · R · (neutral + identity · α + expression · ε) + translation``
(weak perspective), with F = diag(1, −1, −1) turning the model's axes (y up, z to the camera) into
the picture's (y down, smaller z nearer). Units: model ≈ cm, picture = pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

VERTICES = 468
FLIP = np.array([1.0, -1.0, -1.0], np.float32)

# Loops of MediaPipe vertices, from the picture's left corner: along the top, then back along the
# bottom.
LIPS_INNER = (
    78,
    191,
    80,
    81,
    82,
    13,
    312,
    311,
    310,
    415,
    308,
    324,
    318,
    402,
    317,
    14,
    87,
    178,
    88,
    95,
)
LIPS_OUTER = (
    61,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    291,
    375,
    321,
    405,
    314,
    17,
    84,
    181,
    91,
    146,
)
EYE_RIGHT = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
EYE_LEFT = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# MediaPipe vertex of each of the 68 Multi-PIE landmarks: jaw, brows, nose, eyes, outer and inner
# lips.
LANDMARKS_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)  # fmt: skip
# (upper lid, lower lid) pairs across each eye and (upper, lower) pairs across the inner lips.
LID_PAIRS_RIGHT = ((160, 144), (159, 145), (158, 153))
LID_PAIRS_LEFT = ((385, 380), (386, 374), (387, 373))
LIP_PAIRS = ((82, 87), (13, 14), (312, 317))
LIP_CORNERS = (78, 308)
NOSE_TIP = 1
# Right eye first, as everywhere that both eyes are named.
BLINK_MODES = ("eyeBlink_R", "eyeBlink_L")
# Forehead, temples, nose and cheekbones: what jaw, lips and lids leave in place.
RIGID = (
    *(
        10,
        338,
        297,
        332,
        284,
        251,
        389,
        127,
        162,
        21,
        54,
        103,
        67,
        109,
        151,
        9,
        8,
        168,
        6,
        197,
        195,
        5,
        4,
        1,
    ),
    *(
        108,
        69,
        104,
        68,
        71,
        139,
        337,
        299,
        333,
        298,
        301,
        368,
        122,
        196,
        3,
        51,
        45,
        351,
        419,
        248,
        281,
        275,
    ),
    *(
        234,
        454,
        93,
        323,
        127,
        356,
        116,
        345,
        111,
        340,
        117,
        346,
        118,
        347,
        143,
        372,
        193,
        417,
        245,
        465,
    ),
)

EXPRESSION_MAX = 1.5  # blink and jaw modes of wide-eyed or wide-mouthed people go past 1
IDENTITY_PRIOR = (
    0.05  # ridge weights, in squared model units per vertex: chosen on training clips so that
)
EXPRESSION_PRIOR = (
    0.005  # one frame of a clip gives nearly the expression that the whole clip gives
)
DEPTH_WEIGHT = 0.15  # MediaPipe's z is coarse next to its x and y
FIT_ROUNDS = 4


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

    def apply(self, points: Float) -> Float:
        """Model points [N, V, 3] or [V, 3] to pixels [N, V, 3]."""
        turned = np.einsum(
            "nij,...vj->nvi" if points.ndim == 2 else "nij,nvj->nvi",
            rotation_matrix(self.rotation),
            points,
        )
        return np.asarray(
            self.scale[:, None, None] * turned * FLIP + self.translation[:, None], np.float32
        )

    def undo(self, pixels: Float) -> Float:
        """Pixels [N, V, 3] to model points [N, V, 3]: the inverse of `apply`."""
        centred = (pixels - self.translation[:, None]) * FLIP / self.scale[:, None, None]
        return np.asarray(
            np.einsum("nji,nvj->nvi", rotation_matrix(self.rotation), centred), np.float32
        )

    def relative_to(self, rest: Pose) -> Float:
        """Pose change [N, 6] from ``rest`` (one frame or N): rotation vector (radians), translation
        x, y (model units), log scale."""
        turn = rotation_matrix(self.rotation) @ np.swapaxes(rotation_matrix(rest.rotation), -1, -2)
        shift = (self.translation - rest.translation)[:, :2] / rest.scale[:, None]
        grown = np.log(self.scale / rest.scale)[:, None]
        return np.concatenate([rotation_vector(turn), shift, grown], 1, dtype=np.float32)

    def changed_by(self, change: Float) -> Pose:
        """The poses that lie ``change`` [N, 6] away from this one (of one frame): inverse of
        `relative_to`."""
        turn = rotation_matrix(change[:, :3]) @ rotation_matrix(self.rotation)
        translation = np.repeat(self.translation, len(change), 0)
        translation[:, :2] += change[:, 3:5] * self.scale[:, None]
        return Pose(rotation_vector(turn), translation, self.scale * np.exp(change[:, 5]))


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
    """Least-squares weak-perspective pose (Umeyama) that takes model [N, V, 3] to pixels [N, V,
    3]."""
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


@dataclass(frozen=True)
class Fit:
    """3DMM fit of N frames of one person: identity float32 [100], expression float32 [N, 53], pose
    of N."""

    identity: Float
    expression: Float
    pose: Pose


@dataclass(frozen=True)
class FaceModel:
    """ICT-FaceKit reduced to the face mesh (vertices 0–467) and the mouth interior (the rest).

    neutral float32 [V, 3]; identity float32 [100, V, 3]; expression float32 [53, V, 3] (deltas);
    face_triangles int32 [898, 3]; interior_triangles int32 [T, 3] (indices from the first interior
    vertex); interior_part int32 [V − 468]: 0 upper teeth, 1 lower teeth, 2 gums and tongue;
    interior_shade float32 [V − 468] in [0, 1].
    """

    neutral: Float
    identity: Float
    expression: Float
    expression_names: tuple[str, ...]
    face_triangles: NDArray[np.int32]
    interior_triangles: NDArray[np.int32]
    interior_part: NDArray[np.int32]
    interior_shade: Float

    @classmethod
    def load(cls, path: Path) -> FaceModel:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                neutral=arrays["neutral"],
                identity=arrays["identity"].astype(np.float32),
                expression=arrays["expression"].astype(np.float32),
                expression_names=tuple(str(name) for name in arrays["expression_names"]),
                face_triangles=arrays["face_triangles"],
                interior_triangles=arrays["interior_triangles"],
                interior_part=arrays["interior_part"],
                interior_shade=arrays["interior_shade"],
            )

    def shape(self, identity: Float, expression: Float) -> Float:
        """Model points [N, V, 3] for one identity [100] and N expressions [N, 53]."""
        own = self.neutral + np.tensordot(identity, self.identity, 1)
        return np.asarray(own + np.tensordot(expression, self.expression, 1), np.float32)

    @cached_property
    def mode_groups(self) -> dict[str, tuple[int, ...]]:
        """Indices of the expression modes that the lip, blink and residual codes stand for."""
        groups: dict[str, list[int]] = {"lip": [], "blink": [], "residual": []}
        for i, name in enumerate(self.expression_names):
            lip, blink = name.startswith(("jaw", "mouth")), name.startswith("eyeBlink")
            groups["lip" if lip else "blink" if blink else "residual"].append(i)
        return {name: tuple(indices) for name, indices in groups.items()}

    @cached_property
    def _weights(self) -> Float:
        """Square-root weights [468, 3] of the expression fit: lips and lids count most."""
        weight = np.ones(VERTICES)
        weight[list(LIPS_OUTER)] = 2.0
        weight[list(LIPS_INNER + EYE_RIGHT + EYE_LEFT)] = 3.0
        return np.asarray(np.sqrt(weight)[:, None] * np.sqrt([1.0, 1.0, DEPTH_WEIGHT]), np.float32)

    @cached_property
    def _expression_system(self) -> tuple[Float, Float, float]:
        basis = (self.expression[:, :VERTICES] * self._weights).reshape(len(self.expression), -1)
        gram = basis @ basis.T + EXPRESSION_PRIOR * VERTICES / 10 * np.eye(
            len(basis), dtype=np.float32
        )
        return basis, gram, float(np.linalg.eigvalsh(gram)[-1])

    @cached_property
    def _identity_system(self) -> tuple[Float, Float]:
        basis = (self.identity[:, :VERTICES] * self._weights).reshape(len(self.identity), -1)
        gram = basis @ basis.T + IDENTITY_PRIOR * VERTICES / 10 * np.eye(
            len(basis), dtype=np.float32
        )
        return basis, np.linalg.inv(gram)

    def _fit_expression(self, residual: Float) -> Float:
        """Box-constrained ridge (accelerated projected gradient) for residuals [N, 468, 3] → [N,
        53]."""
        basis, gram, lipschitz = self._expression_system
        linear = (residual * self._weights).reshape(len(residual), -1) @ basis.T
        current = ahead = np.clip(linear @ np.linalg.inv(gram), 0, EXPRESSION_MAX)
        momentum = 1.0
        for _ in range(60):
            following = np.clip(ahead - (ahead @ gram - linear) / lipschitz, 0, EXPRESSION_MAX)
            grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = following + (momentum - 1) / grown * (following - current)
            current, momentum = following, grown
        return np.asarray(current, np.float32)

    def fit(self, landmarks: Float, identity: Float | None = None) -> Fit:
        """Fit identity (one for all frames), expression and pose to landmarks [N, ≥468, 3] in
        pixels.

        With ``identity`` given only expression and pose are fitted.
        """
        pixels = np.asarray(landmarks[:, :VERTICES], np.float32)
        rigid = np.array(RIGID)
        fixed = identity is not None
        alpha = (
            np.zeros(len(self.identity), np.float32)
            if identity is None
            else np.asarray(identity, np.float32)
        )
        epsilon = np.zeros((len(pixels), len(self.expression)), np.float32)
        # A few spread frames settle the identity; all frames then share it.
        sample = (
            np.unique(np.linspace(0, len(pixels) - 1, 64).astype(int))
            if not fixed
            else np.arange(0)
        )
        chosen, chosen_epsilon = pixels[sample], epsilon[sample]
        for _ in range(0 if fixed else FIT_ROUNDS):
            model = self.shape(alpha, chosen_epsilon)[:, :VERTICES]
            observed = fit_pose(model[:, rigid], chosen[:, rigid]).undo(chosen)
            chosen_epsilon = self._fit_expression(
                observed - self.shape(alpha, chosen_epsilon * 0)[:, :VERTICES]
            )
            basis, inverse = self._identity_system
            bent = np.tensordot(chosen_epsilon, self.expression[:, :VERTICES], 1)
            rest = ((observed - self.neutral[:VERTICES] - bent).mean(0) * self._weights).reshape(-1)
            alpha = np.asarray(inverse @ (basis @ rest), np.float32)
        own = self.shape(alpha, np.zeros((1, len(self.expression)), np.float32))[:, :VERTICES]
        for _ in range(2):
            model = (own + np.tensordot(epsilon, self.expression[:, :VERTICES], 1)).astype(
                np.float32
            )
            pose = fit_pose(model[:, rigid], pixels[:, rigid])
            epsilon = self._fit_expression(pose.undo(pixels) - own)
        return Fit(alpha, epsilon, pose)


def lip_aperture(landmarks: Float) -> Float:
    """Inner-lip opening over mouth width [N] of landmarks [N, ≥468, 2 or 3]."""
    return _opening(landmarks, LIP_PAIRS, LIP_CORNERS)


def eye_aperture(landmarks: Float) -> Float:
    """Lid opening over eye width, right and left eye [N, 2], of landmarks [N, ≥468, 2 or 3]."""
    right = _opening(landmarks, LID_PAIRS_RIGHT, (33, 133))
    return np.stack([right, _opening(landmarks, LID_PAIRS_LEFT, (362, 263))], -1)


def _opening(
    landmarks: Float, pairs: tuple[tuple[int, int], ...], corners: tuple[int, int]
) -> Float:
    plane = landmarks[..., :2]
    width = np.linalg.norm(plane[:, corners[0]] - plane[:, corners[1]], axis=-1)
    heights = [np.linalg.norm(plane[:, a] - plane[:, b], axis=-1) for a, b in pairs]
    return np.asarray(np.mean(heights, 0) / np.maximum(width, 1e-6), np.float32)
