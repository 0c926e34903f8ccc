"""From a `Motion` to the 3DMM's expression, and to what the renderer's networks are told of it."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float
from parlante.face.model import BLINK_MODES, EXPRESSION_MAX, FaceModel
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait
from parlante.render.mesh import WarpMesh
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion

CODES = ["lip", "blink", "residual"]


class Attributes:
    """The attributes of one portrait's frames.

    ``shut`` float32 [16] is the lip code of shut lips.
    """

    def __init__(
        self,
        bundle: Bundle,
        model: FaceModel,
        portrait: Portrait,
        mesh: WarpMesh,
        options: RenderOptions,
        *,
        device: str,
    ) -> None:
        self._encode = bundle.session("attributes_encode", device=device, threads=1)
        self._decode = bundle.session("attributes_decode", device=device, threads=1)
        self._options, self._mesh = options, mesh
        self._own = portrait.expression
        self._lip_modes = list(model.mode_groups["lip"])
        self._blink_modes = [model.expression_names.index(name) for name in BLINK_MODES]
        self._codes = self._coded(self._own)
        self.shut = np.array(bundle.manifest.networks["lip_decode"]["shut"], np.float32)
        self._shut_lips = self._lips(self.shut)

    def expression(self, motion: Motion) -> Float:
        """3DMM expression [53] of one motion: the photo's own, with lips and lids replaced.

        The code of shut lips shuts this photo's lips: how far a fitted mouth is open depends on the
        shape that the fit gave to the face, so opening is measured from there.
        """
        expression = self._own + self._mesh.shut_lips
        lip = self.shut + np.float32(self._options.expression) * (motion.lip - self.shut)
        expression[self._lip_modes] += self._lips(lip) - self._shut_lips
        closure = np.clip(motion.closure * np.float32(self._options.blink), 0, 1)
        own = self._own[self._blink_modes]
        expression[self._blink_modes] = own + closure * np.maximum(self._mesh.closed_blink - own, 0)
        return np.asarray(np.clip(expression, -EXPRESSION_MAX, 2 * EXPRESSION_MAX), np.float32)

    def told(self, expression: Float, pose_change: Float) -> Float:
        """What the condition network is told of an expression [53] and a pose change [6].

        Float32 [36]: how the codes differ from the photo's, and the pose.
        """
        codes = self._coded(expression)
        change = [codes[name][0] - self._codes[name][0] for name in CODES]
        return np.concatenate([*change, pose_change], dtype=np.float32)

    def _coded(self, expression: Float) -> dict[str, Float]:
        codes = self._encode.run(CODES, {"expression": expression[None]})
        return dict(zip(CODES, codes, strict=True))

    def _lips(self, lip: Float) -> Float:
        """Lip modes of the expression that a lip code [16] decodes to."""
        codes = {**self._codes, "lip": np.asarray(lip[None], np.float32)}
        (made,) = self._decode.run(["expression"], codes)
        return np.asarray(made[0, self._lip_modes])
