"""From a `Motion` to the 3DMM's expression, and to what the renderer's networks are told of it."""

from __future__ import annotations

import numpy as np

from parlante.contract import LIP, Float
from parlante.face.model import BLINK_MODES, BROW_MODES, EXPRESSION_MAX, FaceModel
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait
from parlante.render.contact import as_people_move, shut_lips
from parlante.render.mesh import STRAIGHT, WarpMesh
from parlante.render.mood import EASE, added, taken_back
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import Motion

CODES = ["lip", "blink", "residual"]
EYEBALL = 0.4  # widths of an eye by which an iris moves with each radian that the eye turns
LID_TRAVEL = 0.33  # widths of an eye: of an open one from lid to lid
WIDER = 0.3  # of a blink, the other way: how far lids open at most


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
        self._model, self._mesh = model, mesh
        self._own = portrait.expression
        self._lip_modes = list(model.mode_groups["lip"])
        self._blink_modes = model.indices(BLINK_MODES)
        self._brow_modes = [model.indices(names) for names in BROW_MODES]
        self._codes = self._coded(self._own)
        self.shut = bundle.manifest.numbers("lip_decode", "shut", LIP)
        self._shut_lips = self._lips(self.shut)
        self._likely = as_people_move(model)
        self.change(options)
        self._rest = self._resting

    def change(self, options: RenderOptions) -> None:
        """Go over to other options."""
        self._options = options
        self._looks = np.radians(np.array(options.gaze, np.float32))
        assert not isinstance(options.mood, str)
        own = taken_back(self._model, self._own, options.neutral)
        mood = added(self._model, *options.mood)
        parted, shown = (
            self._mesh.measured + np.tensordot(change, self._model.motion, 1)
            for change in (own, own + mood)
        )
        # The expression that lips and lids start from, with lips that meet.
        self._resting = self._own + own + mood + shut_lips(self._model, shown, parted)

    def gaze(self, motion: Motion, pose_change: Float) -> Float:
        """How far the irises are from where the photo has them: float32 [2], widths of an eye.

        While the head turns by ``pose_change`` [6], eyes stay with what they look at.
        """
        pitch, yaw = pose_change[:2]
        moved = motion.gaze + np.array([-yaw, pitch], np.float32)
        return np.asarray(EYEBALL * (self._options.eyes * moved + self._looks), np.float32)

    def expression(self, motion: Motion, gaze: Float = STRAIGHT) -> Float:
        """3DMM expression [53] of one motion: that at rest, with lips, lids and brows replaced.

        The code of shut lips shuts this photo's lips: how far a fitted mouth is open depends on the
        shape that the fit gave to the face, so opening is measured from there. After a change of
        the options the face goes over to the new rest little by little.
        """
        self._rest = self._rest + np.float32(EASE) * (self._resting - self._rest)
        expression = self._rest.copy()
        lip = self.shut + np.float32(self._options.expression) * (motion.lip - self.shut)
        expression[self._lip_modes] += self._likely @ (self._lips(lip) - self._shut_lips)
        closure = np.clip(motion.closure * np.float32(self._options.blink), 0, 1)
        # The lid goes up and down with the eye.
        closure = np.clip(closure - gaze[1] / LID_TRAVEL, -WIDER, 1)
        own = self._own[self._blink_modes]
        expression[self._blink_modes] = own + closure * np.maximum(self._mesh.closed_blink - own, 0)
        for modes, raised in zip(self._brow_modes, motion.brows, strict=True):
            expression[modes] += np.float32(self._options.brows) * raised
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
