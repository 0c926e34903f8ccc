"""The 3DMM: ICT-FaceKit at the 468 MediaPipe vertices, and its fit to landmarks.

A face is ``landmarks = scale · F · R · (neutral + identity · α + expression · ε) + translation``;
see `parlante.face.pose` for the axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parlante.contract import EXPRESSION, IDENTITY, VERTICES, Float, Image
from parlante.errors import BundleError
from parlante.face.pose import Pose, fit_pose
from parlante.face.topology import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER, RIGID
from parlante.runtime.manifest import REINSTALL

# Right eye first, as everywhere that both eyes are named.
BLINK_MODES = ("eyeBlink_R", "eyeBlink_L")
FILE = "face_model.npz"
LIP_MODES = ("jaw", "mouth")  # begin the names of the lips'
# What brows and the muscles around the eyes do, in the order of `Motion.brows`.
BROW_MODES = (
    ("browInnerUp_R", "browInnerUp_L"),
    ("browOuterUp_R",),
    ("browOuterUp_L",),
    ("eyeSquint_R",),
    ("eyeSquint_L",),
)

EXPRESSION_MAX = 1.5  # blink and jaw modes of wide-eyed or wide-mouthed people go past 1
# Ridge weights, in squared model units per vertex: chosen on training clips so that one frame of a
# clip gives nearly the identity and the expression that the whole clip gives.
IDENTITY_PRIOR = 0.05
EXPRESSION_PRIOR = 0.005
DEPTH_WEIGHT = 0.15  # MediaPipe's z is coarse next to its x and y
FIT_ROUNDS = 4

_FLOATS: Final = (np.dtype(np.float16), np.dtype(np.float32))
# Types and shape of the arrays in a file, None: one or more.
_ARRAYS: Final[Mapping[str, tuple[tuple[np.dtype[Any], ...], tuple[int | None, ...]]]] = {
    "neutral": (_FLOATS[1:], (VERTICES, 3)),
    "identity": (_FLOATS, (IDENTITY, VERTICES, 3)),
    "expression": (_FLOATS, (EXPRESSION, VERTICES, 3)),
    "motion": (_FLOATS, (EXPRESSION, VERTICES, 3)),
    "lip_spread": (_FLOATS[1:], (None, None)),
    "face_triangles": ((np.dtype(np.int32),), (None, 3)),
    "teeth_vertices": (_FLOATS[1:], (None, 3)),
    "teeth_places": (_FLOATS[1:], (None, 2)),
    "teeth_triangles": ((np.dtype(np.int32),), (None, 3)),
    "teeth_picture": ((np.dtype(np.uint8),), (None, None, 4)),
}


@dataclass(frozen=True)
class Fit:
    """3DMM fit of N frames of one person.

    identity float32 [100], expression float32 [N, 53], pose of N.
    """

    identity: Float
    expression: Float
    pose: Pose


@dataclass(frozen=True)
class FaceModel:
    """ICT-FaceKit reduced to the face mesh, and its upper teeth.

    neutral float32 [468, 3]; identity float32 [100, 468, 3]; expression float32 [53, 468, 3]
    (deltas), which coefficients are fitted with; motion, as large: how people's landmarks really
    move with these coefficients (`models.train.modes`), which faces are moved with; lip_spread
    float32 [27, 27]: mean products of people's changes of the lips' modes; face_triangles int32
    [898, 3]. The teeth are a card that wears a picture: teeth_vertices float32 [C, 3], from
    the edge of the middle ones on; teeth_places float32 [C, 2] in the picture; teeth_triangles
    int32 [T, 3]; teeth_picture uint8 [H, W, 4]: RGB times alpha, and alpha.
    """

    neutral: Float
    identity: Float
    expression: Float
    motion: Float
    lip_spread: Float
    expression_names: tuple[str, ...]
    face_triangles: NDArray[np.int32]
    teeth_vertices: Float
    teeth_places: Float
    teeth_triangles: NDArray[np.int32]
    teeth_picture: Image

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> FaceModel:
        """The model of the arrays in a bundle's ``face_model.npz``.

        Raises:
            BundleError: an array is missing or of another type or shape, or holds what it cannot.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise BundleError(
                f"model bundle: {FILE} holds no face model ({', '.join(missing)} is missing); "
                f"{REINSTALL}"
            )
        given = {field.name: np.asarray(arrays[field.name]) for field in fields(cls)}
        for name, (types, shape) in _ARRAYS.items():
            array = given[name]
            if array.dtype not in types or not _has_shape(array, shape):
                raise BundleError(
                    f"model bundle: {FILE}: {name} is {array.dtype} {array.shape}; {REINSTALL}"
                )
        names = tuple(map(str, given["expression_names"].reshape(-1)))
        wrong = _wrong(given, names)
        if wrong:
            raise BundleError(f"model bundle: {FILE}: {wrong}; {REINSTALL}")
        for name in ("identity", "expression", "motion"):
            given[name] = given[name].astype(np.float32)
        made: dict[str, Any] = {**given, "expression_names": names}
        return cls(**made)

    def shape(self, identity: Float, expression: Float) -> Float:
        """Model points [N, V, 3] for one identity [100] and N expressions [N, 53]."""
        own = self.neutral + np.tensordot(identity, self.identity, 1)
        return np.asarray(own + np.tensordot(expression, self.expression, 1), np.float32)

    @cached_property
    def mode_groups(self) -> dict[str, tuple[int, ...]]:
        """Indices of the expression modes that the lip, blink and residual codes stand for."""
        groups: dict[str, list[int]] = {"lip": [], "blink": [], "residual": []}
        for i, name in enumerate(self.expression_names):
            lip, blink = name.startswith(LIP_MODES), name.startswith("eyeBlink")
            groups["lip" if lip else "blink" if blink else "residual"].append(i)
        return {name: tuple(indices) for name, indices in groups.items()}

    def indices(self, names: tuple[str, ...]) -> list[int]:
        """Of expression modes by their names."""
        return [self.expression_names.index(name) for name in names]

    def brows(self, expression: Float) -> Float:
        """Brows [N, 5] of expressions [N, 53]: the mean of each of `BROW_MODES`."""
        parts = [expression[:, self.indices(names)].mean(1) for names in BROW_MODES]
        return np.stack(parts, 1, dtype=np.float32)

    @cached_property
    def _weights(self) -> Float:
        """Square-root weights [468, 3] of the expression fit: lips and lids count most."""
        weight = np.ones(VERTICES)
        weight[list(LIPS_OUTER)] = 2.0
        weight[list(LIPS_INNER + EYE_RIGHT + EYE_LEFT)] = 3.0
        return np.asarray(np.sqrt(weight)[:, None] * np.sqrt([1.0, 1.0, DEPTH_WEIGHT]), np.float32)

    @cached_property
    def _expression_system(self) -> tuple[Float, Float, float]:
        basis = (self.expression * self._weights).reshape(len(self.expression), -1)
        gram = basis @ basis.T + EXPRESSION_PRIOR * VERTICES / 10 * np.eye(
            len(basis), dtype=np.float32
        )
        return basis, gram, float(np.linalg.eigvalsh(gram)[-1])

    @cached_property
    def _identity_system(self) -> tuple[Float, Float]:
        basis = (self.identity * self._weights).reshape(len(self.identity), -1)
        gram = basis @ basis.T + IDENTITY_PRIOR * VERTICES / 10 * np.eye(
            len(basis), dtype=np.float32
        )
        return basis, np.linalg.inv(gram)

    def _fit_expression(self, residual: Float) -> Float:
        """Box-constrained ridge for residuals [N, 468, 3] → [N, 53].

        By accelerated projected gradient.
        """
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
        """Fit identity, expression and pose to landmarks [N, ≥468, 3] in pixels.

        Identity is one for all frames.

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
            model = self.shape(alpha, chosen_epsilon)
            observed = fit_pose(model[:, rigid], chosen[:, rigid]).undo(chosen)
            chosen_epsilon = self._fit_expression(observed - self.shape(alpha, chosen_epsilon * 0))
            basis, inverse = self._identity_system
            bent = np.tensordot(chosen_epsilon, self.expression, 1)
            rest = ((observed - self.neutral - bent).mean(0) * self._weights).reshape(-1)
            alpha = np.asarray(inverse @ (basis @ rest), np.float32)
        own = self.shape(alpha, np.zeros((1, len(self.expression)), np.float32))
        for _ in range(2):
            model = (own + np.tensordot(epsilon, self.expression, 1)).astype(np.float32)
            pose = fit_pose(model[:, rigid], pixels[:, rigid])
            epsilon = self._fit_expression(pose.undo(pixels) - own)
        return Fit(alpha, epsilon, pose)


def _has_shape(array: NDArray[Any], shape: tuple[int | None, ...]) -> bool:
    return array.ndim == len(shape) and all(
        size > 0 if wanted is None else size == wanted
        for size, wanted in zip(array.shape, shape, strict=True)
    )


def _wrong(given: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> str:
    """What does not agree in arrays of the right types, or is no number; "" where nothing is."""
    for name, array in given.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"{name} is not finite"
    needed = {"jawOpen", *BLINK_MODES, *(name for group in BROW_MODES for name in group)}
    if len(set(names)) != EXPRESSION or not needed <= set(names):
        return f"expression_names are not those of {EXPRESSION} modes"
    lips = sum(name.startswith(LIP_MODES) for name in names)
    if given["lip_spread"].shape != (lips, lips):
        return f"lip_spread is {given['lip_spread'].shape}, of {lips} modes of the lips"
    corners = len(given["teeth_vertices"])
    if len(given["teeth_places"]) != corners:
        return f"teeth_places are {len(given['teeth_places'])}, of {corners} vertices"
    for name, most in (("face_triangles", VERTICES), ("teeth_triangles", corners)):
        if given[name].min() < 0 or given[name].max() >= most:
            return f"{name} name vertices that there are not"
    return ""
