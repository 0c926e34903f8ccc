"""The renderer: one `Motion` in, one picture out; or many, several of them drawn at once.

attributes → 3DMM → mesh → rasterise → pack → condition network → K denoising steps → compose. The
network draws patches on mouth and eyes where these are not as in the photo; the rest is the warped
photo, bit for bit. Each frame depends on its motion, the portrait and the seed alone; where there
are references, also on which of them the frame before was drawn from.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import ClassVar

import numpy as np

from parlante.contract import POSE, Float, Image
from parlante.face.model import FaceModel
from parlante.options import RenderOptions
from parlante.portrait.portrait import Portrait
from parlante.render.attributes import Attributes
from parlante.render.canvas import Canvas
from parlante.render.chain import StageTimes
from parlante.render.freedom import freedom, limits, within
from parlante.render.mesh import STRAIGHT, WarpMesh
from parlante.render.network import BoundNetwork
from parlante.render.ops import cpu_ops
from parlante.render.scene import Aim, Scene
from parlante.render.stage import stage_of
from parlante.render.warp import Warp
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.speech.motion import Motion

# Change of pose at the lowest point of a nod of strength 1: pitch, radians.
NOD = np.array([0.06, 0, 0, 0, 0, 0], np.float32)


class FrameRenderer:
    """Draws the frames of one portrait. Not safe for use from several threads at once.

    ``times`` adds up what the stages take; ``mesh`` is the portrait's. at_once: how many frames
    `stream` draws at the same time; they share the threads.
    """

    warp_type: ClassVar[type[Warp]] = Warp

    def __init__(
        self,
        bundle: Bundle,
        model: FaceModel,
        portrait: Portrait,
        options: RenderOptions | None = None,
        compute: Compute | None = None,
        at_once: int = 1,
    ) -> None:
        options, compute = options or RenderOptions(), compute or Compute()
        self.mesh = WarpMesh.of(model, portrait)
        self.times = StageTimes()
        self._options = options
        self._expression = portrait.expression
        self._freedom, self._limits = freedom(portrait), limits(portrait)
        self._attributes = Attributes(
            bundle, model, portrait, self.mesh, options, device=compute.device
        )
        self._stage = stage_of(portrait, options, cpu_ops(compute.threads), bundle)
        self._scene = Scene(portrait, self.mesh, self._stage.grid)
        self._canvases = [
            Canvas(
                bundle,
                self._scene,
                self._stage,
                options,
                replace(compute, threads=max(1, compute.threads // at_once)),
                self.times,
                self.warp_type,
            )
            for _ in range(at_once)
        ]

    @property
    def shut(self) -> Float:
        """Lip code float32 [16] of shut lips."""
        return self._attributes.shut

    @property
    def networks(self) -> list[dict[str, BoundNetwork]]:
        """The condition network and the denoiser, by name, as each tile has them."""
        return [chain.networks for chain in self._canvases[0].chains]

    def change(self, options: RenderOptions) -> None:
        """Go over to options that differ in what may change (`parlante.options.CHANGEABLE`)."""
        self._options = options
        self._attributes.change(options)

    def expression(self, motion: Motion) -> Float:
        """3DMM expression float32 [53] of a motion: the photo's own, lips and lids replaced."""
        return self._attributes.expression(motion)

    def render(self, motion: Motion) -> Image:
        """The picture of one motion: uint8 [height, width, 3], as `Portrait.frame_size` has it.

        4 channels for rgba, [1.5 · height, width] for nv12.
        """
        return self._canvases[0].draw(*self._aim_at(motion))

    def stream(self, motions: Iterable[Motion]) -> Iterator[Image]:
        """The pictures of motions, as `render`, in order.

        Motions are taken ahead of the pictures. When taking one fails, the pictures of those before
        come first.
        """
        if len(self._canvases) == 1:
            yield from map(self.render, motions)
            return
        free: SimpleQueue[Canvas] = SimpleQueue()
        for canvas in self._canvases:
            free.put(canvas)

        def draw(aim: Aim, told: Float) -> Image:
            canvas = free.get()
            try:
                return canvas.draw(aim, told)
            finally:
                free.put(canvas)

        source, failure = iter(motions), None
        waiting: deque[Future[Image]] = deque()
        pool = ThreadPoolExecutor(len(self._canvases), "parlante-frame")
        try:
            while True:
                try:
                    motion = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                waiting.append(pool.submit(draw, *self._aim_at(motion)))
                # One more than are being drawn: no canvas waits for its next frame.
                if len(waiting) > len(self._canvases):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
        if failure is not None:
            raise failure

    def draw(self, expression: Float, pose_change: Float, breath: float = 0.0) -> Image:
        """The picture, as `render`, for explicit attributes.

        Expression float32 [53], pose change float32 [6] from the photo's pose, breath from 0.
        """
        return self._canvases[0].draw(*self._aim(expression, pose_change, breath, STRAIGHT))

    def draw_warp(self, expression: Float, pose_change: Float) -> Image:
        """As `draw`, without the network: the warp alone."""
        return self._canvases[0].draw_warp(self._scene.aim(expression, pose_change))

    def still(self) -> Image:
        """The picture, as `render`, of the face as in the photo."""
        return self.draw_warp(self._expression, np.zeros(POSE, np.float32))

    def _aim_at(self, motion: Motion) -> tuple[Aim, Float]:
        pose = motion.pose * np.float32(self._options.pose)
        pose = self._freedom * (pose + NOD * np.float32(self._options.nod * motion.nod))
        change = within(pose, self._limits)
        gaze = self._attributes.gaze(motion, change)
        expression = self._attributes.expression(motion, gaze)
        return self._aim(expression, change, self._options.breath * motion.breath, gaze)

    def _aim(
        self, expression: Float, pose_change: Float, breath: float, gaze: Float
    ) -> tuple[Aim, Float]:
        """What a frame is to show, and what the networks are told of it."""
        now = time.perf_counter()
        aim = self._scene.aim(expression, pose_change, breath, gaze)
        told = self._attributes.told(expression, pose_change)
        self.times.add("mesh", now)
        self.times.frames += 1
        return aim, told
