"""A renderer whose frames carry a watermark."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from parlante.contract import Image
from parlante.options import RenderOptions
from parlante.provenance.watermark import Overlay, Watermark
from parlante.render.renderer import FrameRenderer
from parlante.speech.motion import Motion


class Marked:
    """Frames of a `FrameRenderer`, with a watermark that is made for its portrait and options."""

    def __init__(self, renderer: FrameRenderer, options: RenderOptions) -> None:
        self._renderer = renderer
        still = renderer.still()
        if options.pixels == "nv12":  # colours come below
            light, channels = still[: len(still) * 2 // 3], 1
        else:
            as_rgb = still[..., 2::-1] if options.pixels == "bgr" else still[..., :3]
            grey = cv2.cvtColor(np.ascontiguousarray(as_rgb), cv2.COLOR_RGB2GRAY)
            light, channels = np.asarray(grey, np.uint8), still.shape[-1]
        self._overlay = Overlay(Watermark.own(options.payload), light, channels)

    def render(self, motion: Motion) -> Image:
        """The picture of one motion."""
        return self._marked(self._renderer.render(motion))

    def stream(self, motions: Iterable[Motion]) -> Iterator[Image]:
        """The pictures of motions, in order; motions may be taken ahead of them."""
        return map(self._marked, self._renderer.stream(motions))

    def change(self, options: RenderOptions) -> None:
        """Draw the frames from now on with other options."""
        self._renderer.change(options)

    def _marked(self, image: Image) -> Image:
        now = time.perf_counter()
        self._overlay.add(image)
        self._renderer.times.add("watermark", now)
        return image
