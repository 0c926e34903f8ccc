"""The renderer: one `Motion` in, one picture out.

attributes → 3DMM → mesh → rasterise → pack → condition network → K denoising steps → compose. The
network draws patches on mouth and eyes where these are not as in the photo; the rest is the warped
photo, bit for bit. Each frame depends on its motion, the portrait and the seed alone; where there are references, also on which of
them the frame before was drawn from.
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from parlante.contract import (
    BANDS,
    CELL_PIXELS,
    CELLS,
    COLOR_PLANES,
    PATCHES,
    TILE,
    TILES,
    Float,
    Image,
)
from parlante.face.model import FaceModel
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait
from parlante.render.attributes import Attributes
from parlante.render.chain import Chain, StageTimes
from parlante.render.freedom import freedom
from parlante.render.mesh import WarpMesh
from parlante.render.network import BoundNetwork
from parlante.render.ops import cpu_ops
from parlante.render.stage import picture_shape, stage_of
from parlante.render.warp import LUMA, Warp, is_grey
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.speech.motion import Motion

BAND_ROWS = np.array(BANDS, np.int32)


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
        self._freedom = freedom(portrait)
        self._attributes = Attributes(
            bundle, model, portrait, self.mesh, options, device=compute.device
        )
        self._stage = stage_of(portrait, options, self._ops)
        self._warp = self.warp_type(self._ops, portrait, self.mesh, self._stage.grid)
        self._x0 = np.empty((TILES, COLOR_PLANES, *CELLS), np.float32)
        self._chains = [
            Chain(
                bundle,
                self._ops,
                self._warp.condition[tile : tile + 1],
                self._warp.atlas_flow[tile * TILE : (tile + 1) * TILE],
                self._attributes.told[tile : tile + 1],
                self._x0[tile : tile + 1],
                steps=options.steps,
                seed=options.seed,
                compute=compute,
            )
            for tile in range(TILES)
        ]
        self._grey = is_grey(portrait.image[..., :3])

    @property
    def shut(self) -> Float:
        """Lip code float32 [16] of shut lips."""
        return self._attributes.shut

    @property
    def networks(self) -> list[dict[str, BoundNetwork]]:
        """The condition network and the denoiser, by name, as each tile has them."""
        return [chain.networks for chain in self._chains]

    def expression(self, motion: Motion) -> Float:
        """3DMM expression float32 [53] of a motion: the photo's own, lips and lids replaced."""
        return self._attributes.expression(motion)

    def render(self, motion: Motion) -> Image:
        """The picture of one motion: uint8 [height, width, 3], as `Portrait.frame_size` has it.

        4 channels for rgba, [1.5 · height, width] for nv12.
        """
        change = motion.pose * np.float32(self._options.pose) * self._freedom
        return self.draw(self.expression(motion), change, self._options.breath * motion.breath)

    def draw(self, expression: Float, pose_change: Float, breath: float = 0.0) -> Image:
        """The picture, as `render`, for explicit attributes.

        Expression float32 [53], pose change float32 [6] from the photo's pose, breath from 0.
        """
        now = time.perf_counter()
        self._warp.move(expression, pose_change, breath)
        now = self.times.add("warp", now)
        self._attributes.tell(expression, pose_change)
        for tile in self._warp.tiles:
            now = self._chains[tile].run(self.times, now)
            self._in_the_photos_colours(tile)
        image = self._compose(self._warp.tiles)
        self.times.add("compose", now)
        self.times.frames += 1
        return image

    def draw_warp(self, expression: Float, pose_change: Float) -> Image:
        """As `draw`, without the network: the warp alone."""
        self._warp.move(expression, pose_change)
        return self._compose([])

    def _in_the_photos_colours(self, tile: int) -> None:
        """Undo the balance of warp and drawing; what is drawn in a grey photo is grey."""
        warp = self._warp.condition[tile, :COLOR_PLANES].reshape(3, CELL_PIXELS, *CELLS)
        drawn = self._x0[tile].reshape(warp.shape)  # both are views
        drawn -= warp
        for planes, middle in ((drawn, 0), (warp, 1)):
            planes += middle
            planes /= self._warp.balance[:, None, None, None]
            planes -= middle
        if self._grey:
            drawn[:] = np.tensordot(LUMA, drawn, 1)
        drawn += warp

    def _compose(self, tiles: list[int]) -> Image:
        stage, pixels, warp = self._stage, self._options.pixels, self._warp
        height, width = stage.plate.shape[:2]
        image = np.empty(picture_shape(height, width, pixels), np.uint8)
        patches = slice(0, 0)
        if tiles:  # those of both are neighbours
            patches = slice(PATCHES[tiles[0]].start, PATCHES[tiles[-1]].stop)
        self._ops.compose(
            stage.source,
            stage.plate,
            warp.flow,
            self._x0 if tiles else None,
            warp.condition,
            warp.cover,
            warp.places[patches],
            BAND_ROWS[patches],
            image,
            format=pixels,
            background=stage.background,
            corner=stage.corner,
        )
        return stage.whole(image, pixels)
