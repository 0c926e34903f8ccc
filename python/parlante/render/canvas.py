"""The memory in which one frame after another is drawn."""

from __future__ import annotations

import time

import cv2
import numpy as np

from parlante import _core
from parlante.contract import (
    ATTRIBUTES,
    BANDS,
    CELL_PIXELS,
    CELLS,
    COLOR_PLANES,
    DRAWN_PLANES,
    EYES,
    MOUTH,
    OPENING_PLANES,
    PATCHES,
    TILE,
    TILES,
    UNSHUFFLE,
    Float,
    Image,
)
from parlante.options import RenderOptions
from parlante.render.chain import Chain, StageTimes
from parlante.render.lip import tint_edge
from parlante.render.ops import cpu_ops
from parlante.render.scene import Aim, Scene, in_cells, in_rows
from parlante.render.stage import Stage, picture_shape
from parlante.render.tone import LUMA
from parlante.render.warp import Warp
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute

BAND_ROWS = np.array(BANDS, np.int32)
# How much of what the network changes in a reference is kept: real pixels that are nearly right are
# best left alone. Chosen on validation people, by the feature distance.
REFERRED = 0.6
# Lids are drawn where light is changed by so much, of 2, or more; over so many cells.
CHANGED, NEAR = 0.12, 1.2
LID_ROWS = [slice(*((row - TILE) // UNSHUFFLE for row in band)) for band in BANDS[1:]]  # of cells
WHITE = 0.05  # what is brighter by so much than the brightest skin is none of it
LEAST = 0.05  # of what a mean is taken of
# Along lids that have met: how much of the photo's lashes there is, over skin around so many cells,
# and how soft they are, pixels of the tile.
LASHES, AROUND, SOFT = 0.75, 5, 1.2


class Canvas:
    """Draws one frame at a time; several canvases of a scene may be drawn on at once.

    chains: of each tile.
    """

    def __init__(
        self,
        bundle: Bundle,
        scene: Scene,
        stage: Stage,
        options: RenderOptions,
        compute: Compute,
        times: StageTimes,
        warp_type: type[Warp] = Warp,
    ) -> None:
        self._scene, self._stage, self._pixels, self._times = scene, stage, options.pixels, times
        self._ops = cpu_ops(compute.threads)
        self._warp = warp_type(self._ops, scene)
        # What the condition network is told of the frame, and 1 for the tile.
        self._told = np.zeros((TILES, ATTRIBUTES), np.float32)
        self._told[:, -TILES:] = np.eye(TILES)
        self._taken = np.empty((CELL_PIXELS, *CELLS), np.float32)
        self._plane = np.empty((TILE, TILE), np.float32)
        self._x0 = np.empty((TILES, COLOR_PLANES, *CELLS), np.float32)
        self.chains = [
            Chain(
                bundle,
                self._warp.condition[tile : tile + 1],
                self._warp.atlas_flow[tile * TILE : (tile + 1) * TILE],
                self._told[tile : tile + 1],
                self._x0[tile : tile + 1],
                options,
                compute,
            )
            for tile in range(TILES)
        ]

    def draw(self, aim: Aim, told: Float) -> Image:
        """The picture of a frame of which the networks are told float32 [36]."""
        now = time.perf_counter()
        self._warp.draw(aim)
        now = self._times.add("warp", now)
        self._told[:, :-TILES] = told
        for tile in aim.tiles:
            now = self.chains[tile].run(self._times, now)
            self._in_the_photos_colours(tile, float(aim.referred[PATCHES[tile].start]))
        image = self._compose(aim.tiles)
        self._times.add("compose", now)
        return image

    def draw_warp(self, aim: Aim) -> Image:
        """As `draw`, without the network: the warp alone."""
        self._warp.draw(aim)
        return self._compose([])

    def _in_the_photos_colours(self, tile: int, referred: float) -> None:
        """Undo the balance of warp and drawing; in a photo without colours none are drawn.

        Of references less is changed than the network would. Without one nothing of a mouth is made
        bluer than it is: unsure of its colour, the network draws the inside violet.
        """
        warp = self._warp.condition[tile, :COLOR_PLANES].reshape(3, CELL_PIXELS, *CELLS)
        drawn = self._x0[tile].reshape(warp.shape)  # both are views
        drawn -= warp
        if self._scene.softer:
            self._soften(drawn)
            # A blur reaches further than what may be drawn.
            drawn *= self._warp.condition[tile, DRAWN_PLANES] > 0
        if referred:
            drawn *= 1 - (1 - REFERRED) * referred
        if tile == MOUTH and not referred:
            np.minimum(drawn[1], drawn[2], out=drawn[2])
        tone = self._scene.tone
        tone.apply(drawn)
        if tile == MOUTH and not referred:
            opening, gate = np.moveaxis(self._warp.atlas_flow[:TILE, :, 2:4], -1, 0)
            tint_edge(drawn, warp, opening, gate)
        if tile == EYES:
            self._as_skin(drawn, warp)
            self._add_lashes(drawn, warp)
        for planes, middle in ((drawn, 0), (warp, 1)):
            planes += middle
            planes /= tone.balance[:, None, None, None]
            planes -= middle
        drawn += warp

    def _soften(self, drawn: Float) -> None:
        """Blur what is drawn: it is no sharper than the photo."""
        for plane in drawn:
            rows = in_rows(plane)
            np.copyto(self._plane.reshape(rows.shape), rows)
            cv2.GaussianBlur(self._plane, (0, 0), self._scene.softer, dst=self._plane)
            np.copyto(rows, self._plane.reshape(rows.shape))

    def _as_skin(self, drawn: Float, warp: Float) -> None:
        """Give lids that are drawn the colours of skin around, and the texture of its cheeks."""
        scene = self._scene
        gate, opening = (self._warp.condition[EYES, p] for p in (DRAWN_PLANES, OPENING_PLANES))
        changed = cv2.GaussianBlur(np.abs(drawn).mean((0, 1)), (0, 0), NEAR)
        changed = np.minimum(changed / CHANGED, 1)
        for skin, rows in zip(scene.skins, LID_ROWS, strict=True):
            own, open_ = drawn[..., rows, :], opening[:, rows]
            # Of lids the network tells the light alone.
            hueless = np.multiply.outer(skin.hue, np.tensordot(LUMA, own, 1))
            own += (1 - open_) * (hueless - own)
            whole = warp[..., rows, :] + 1 + own
            light = np.tensordot(LUMA, whole, 1)
            # Between lids that have met nothing is as white as the eye.
            white = np.clip((light / skin.lightest - 1) / WHITE, 0, 1) * (1 - open_)
            light = light + white * (np.minimum(light, skin.lightest) - light)
            lashes = np.multiply.outer(scene.lash_hue, light)
            toned = lashes + skin.share(light) * (skin.at(light) - lashes)
            share = np.maximum(changed[rows], white) * gate[:, rows]
            own += share * (toned - whole)
        np.multiply(scene.texture, changed, out=self._taken)
        self._taken *= gate
        drawn += self._taken

    def _add_lashes(self, drawn: Float, warp: Float) -> None:
        """Where lids meet it is as dark as the photo's lashes, or darker, by their density."""
        edges = self._warp.edges[EYES * TILE : (EYES + 1) * TILE]
        soft = cv2.GaussianBlur(np.square(edges), (0, 0), SOFT)
        line = in_cells(np.asarray(soft * self._scene.dense, np.float32))
        whole = warp + 1 + drawn
        light = np.tensordot(LUMA, whole, 1)
        around = cv2.blur(light.mean(0), (AROUND, AROUND))
        most = (1 - LASHES * self._scene.lashes) * around
        whole *= line * (np.minimum(most / np.maximum(light, LEAST), 1) - 1)
        drawn += whole

    def _compose(self, tiles: list[int]) -> Image:
        stage, pixels, warp = self._stage, self._pixels, self._warp
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
        _core.soften(image[:height], warp.outlines, warp.flow)
        return stage.whole(image, pixels)
