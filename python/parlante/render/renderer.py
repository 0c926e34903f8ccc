"""The renderer: one `Motion` in, one picture out.

attributes → 3DMM → mesh → rasterise → pack → condition network → K denoising steps → compose. Each
frame depends on its motion, the portrait and the seed alone, never on the frame before.
"""

from __future__ import annotations

import time
from typing import ClassVar, Literal

import numpy as np

from parlante.contract import CELL_PIXELS, CELLS, COLOR_PLANES, Float, Image
from parlante.face.model import FaceModel
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait, resized
from parlante.render.attributes import Attributes
from parlante.render.chain import Chain, StageTimes
from parlante.render.mesh import WarpMesh
from parlante.render.network import BoundNetwork
from parlante.render.ops import cpu_ops
from parlante.render.warp import Warp
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.speech.motion import Motion

# Of red, green and blue (BT.709).
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
# Levels by which the channels of a black-and-white photo differ, at most, in all but one of a
# thousand pixels: what compression leaves.
GREY_LEVELS = 4


def is_grey(image: Image) -> bool:
    """Whether a photo uint8 [H, W, 3] is black and white: what is drawn in it is grey, too."""
    spread = image.max(2) - image.min(2)
    return bool(np.percentile(spread, 99.9) <= GREY_LEVELS)


class FrameRenderer:
    """Draws the frames of one portrait. Not safe for use from several threads at once.

    ``times`` adds up what the stages take; ``mesh`` is the portrait's.
    """

    warp_type: ClassVar[type[Warp]] = Warp

    def __init__(
        self,
        bundle: Bundle,
        model: FaceModel,
        portrait: Portrait,
        options: RenderOptions | None = None,
        compute: Compute | None = None,
    ) -> None:
        options, compute = options or RenderOptions(), compute or Compute()
        self.mesh = WarpMesh.of(model, portrait)
        self.times = StageTimes()
        self._ops = cpu_ops(compute.threads)
        self._options = options
        self._attributes = Attributes(
            bundle, model, portrait, self.mesh, options, device=compute.device
        )
        self._warp = self.warp_type(self._ops, model, portrait, self.mesh)
        self._chain = Chain(
            bundle,
            self._ops,
            self._warp,
            self._attributes.told,
            portrait.style,
            steps=options.steps,
            seed=options.seed,
            compute=compute,
        )
        self._source, self._corner = portrait.around(options.size)
        self._plate = resized(portrait.plate, options.size)
        self._grey = is_grey(portrait.image[..., :3])
        self._background: tuple[int, int, int] | Literal["plate", "picture", "alpha"] = "plate"
        backdrop = options.backdrop
        if isinstance(backdrop, tuple):
            self._background = backdrop
        elif backdrop is not None:
            self._background, self._plate = "picture", backdrop
        elif options.pixels == "rgba":
            self._background = "alpha"

    @property
    def shut(self) -> Float:
        """Lip code float32 [16] of shut lips."""
        return self._attributes.shut

    @property
    def networks(self) -> dict[str, BoundNetwork]:
        """The condition network and the denoiser, by name."""
        return self._chain.networks

    def expression(self, motion: Motion) -> Float:
        """3DMM expression float32 [53] of a motion: the photo's own, lips and lids replaced."""
        return self._attributes.expression(motion)

    def render(self, motion: Motion) -> Image:
        """The picture of one motion: uint8 [size, size, 3].

        4 channels for rgba, [1.5 · size, size] for nv12.
        """
        change = motion.pose * np.float32(self._options.pose)
        return self.draw(self.expression(motion), change)

    def draw(self, expression: Float, pose_change: Float) -> Image:
        """The picture, as `render`, for explicit attributes.

        Expression float32 [53], pose change float32 [6] from the photo's pose.
        """
        now = time.perf_counter()
        self._warp.move(expression, pose_change)
        now = self.times.add("warp", now)
        self._attributes.tell(expression, pose_change)
        now = self._chain.run(self.times, now)
        self._keep_to_lips_and_lids(self._chain.x)
        image = self._compose(self._chain.x)
        self.times.add("compose", now)
        self.times.frames += 1
        return image

    def draw_warp(self, expression: Float, pose_change: Float) -> Image:
        """As `draw`, without the network: the warp over the plate, uint8 [size, size, 3] RGB."""
        self._warp.move(expression, pose_change)
        return self._compose(np.ascontiguousarray(self._warp.condition[:, :COLOR_PLANES]))

    def _keep_to_lips_and_lids(self, x0: Float) -> None:
        """Take back what the network did elsewhere: there x̂_0 is the warp, to the bit."""
        warp = self._warp.condition[0, :COLOR_PLANES].reshape(3, CELL_PIXELS, CELLS, CELLS)
        drawn = x0[0].reshape(warp.shape)  # a view
        drawn -= warp
        drawn *= self._warp.drawn
        if self._grey:
            drawn[:] = np.tensordot(LUMA, drawn, 1)
        drawn += warp

    def _compose(self, x0: Float) -> Image:
        size, pixels = self._options.size, self._options.pixels
        shape: tuple[int, ...] = (size, size, 4 if pixels == "rgba" else 3)
        if pixels == "nv12":
            shape = (size * 3 // 2, size)
        image = np.empty(shape, np.uint8)
        self._ops.compose(
            self._source,
            self._plate,
            self._warp.flow,
            x0,
            self._warp.condition,
            image,
            format=pixels,
            background=self._background,
            corner=self._corner,
        )
        return image
