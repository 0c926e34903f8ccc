"""What all frames of one portrait share, and where each of them has everything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from parlante.contract import ATLAS, BANDS, PATCHES, UNSHUFFLE, Float, Image
from parlante.face.patches import Patches, own_places, through
from parlante.face.topology import LIPS_INNER, LIPS_OUTER
from parlante.portrait.portrait import Portrait
from parlante.render.contact import EYES as EYE_LOOPS
from parlante.render.contact import eye_openings, sides
from parlante.render.grid import Grid, crop_grid
from parlante.render.lashes import density, without_lashes
from parlante.render.mesh import STRAIGHT, Moved, WarpMesh
from parlante.render.mouth import are_enough, are_parted, are_teeth, upper_teeth
from parlante.render.reference import NearestReference
from parlante.render.silhouette import Outlines
from parlante.render.softness import softer
from parlante.render.texture import grain, texture
from parlante.render.tone import LUMA, Skin, Tone, balanced, hue_of, light_of

# How far lips, right and left lids are from where the photo has them, at most: lips in pixels of
# the atlas, lids as a share of the eye's opening. Up to the first the warp is the picture, and for
# lids that are half shut the best one; from the second on the network draws what it may.
STILL = np.array([1.0, 0.6, 0.6], np.float32)
STIRRED = np.array([2.0, 0.8, 0.8], np.float32)
LASHES = 0.15, 0.8  # how much darker than skin they are, at least and at most
# Levels of grey added to what is dark before its hue is told: black has none; and how far the hue
# of what is drawn dark is that of skin.
BLACK, OF_SKIN = 30.0, 0.5
EYE_RIM = 0.08  # of an eye's width: so near to an eye nothing tells the colour of skin
SEEN = 512  # side of the crop as the networks see it, pixels: that of the training's sharp clips


@dataclass(frozen=True)
class Aim:
    """A frame before it is drawn: everything that its picture depends on.

    moved: the mesh, of one frame; maps float32 [3, 2, 3]: from the 256-grid to the atlas, by patch;
    places float32 [3, V, 2]: of the vertices in the atlas; shares float32 [3]: how far each patch
    is drawn, since lips or lids are not as in the photo; references: numbers of those shown, by
    patch, None in tiles that are not drawn, or where there are none; referred float32 [3]: how far
    they are shown.
    """

    moved: Moved
    maps: Float
    places: Float
    shares: Float
    references: list[int | None]
    referred: Float

    @cached_property
    def tiles(self) -> list[int]:
        """Those of the atlas in which anything is drawn."""
        return [tile for tile, own in enumerate(PATCHES) if self.shares[own].any()]

    @property
    def patches(self) -> list[int]:
        """Those in these tiles, one with a share of 0 among them: the network sees it, too."""
        return [patch for tile in self.tiles for patch in PATCHES[tile]]


class Scene:
    """One portrait on one grid.

    source uint8 [512, 512, 4]: the crop as the networks see it; lashless: without the lashes before
    its upper lids, and lashed float32 [512, 512]: where they are; tone: the photo's, by whose
    balance its colours, and those of the references, are not the photo's; skins: those around the
    right and the left eye; light: of skin around the mouth, 0 to 1; shows_teeth: whether the photo
    does, enough to go on from; own float32 [512, 512]: 1 but where a mouth opens in which it does
    not show the inside; texture float32 [16, 32, 32]: of the cheeks, in the cells of the eyes'
    tile; grain float32 [128, 128]: by what share of it light in a mouth differs; softer: by how
    many pixels of the atlas what is drawn is to be blurred, to be no sharper than the photo;
    lashes: how much darker the edges of the upper lids are than skin, 0 to 1, lash_hue float32 [3]
    their hue, and dense float32 [128, 128] how dense they are, in the eyes' tile; outlines: where
    the mesh folds; at_rest float32 [rows, columns, 2] and atlas_rest [256, 128, 6]: the flows where
    nothing moves.
    """

    def __init__(self, portrait: Portrait, mesh: WarpMesh, grid: Grid) -> None:
        self.mesh, self.grid, self.seen = mesh, grid, crop_grid(SEEN)
        self._pose = portrait.pose
        self._patches = Patches.of(mesh.measured)
        self._unit = np.array([self._patches.pixel[0], *eye_openings(mesh.measured)], np.float32)
        source = portrait.at(SEEN)
        seen = self._patches.seen(portrait.pose, SEEN)
        inside = self._within(portrait, LIPS_INNER)
        lips = self._within(portrait, LIPS_OUTER) > inside
        photo = source[..., :3]
        eyes = sum(self._within(portrait, eye) for eye in EYE_LOOPS) > 0
        self.tone = Tone.of(photo, _at(photo, seen), photo[lips], photo[eyes])
        self.source = balanced(source, self.tone.balance)
        landmarks = self.seen(portrait.landmarks[:, :2])
        self.lashless, self.lashed = without_lashes(self.source, landmarks)
        self.skins = self._skins(portrait, seen)
        self.light = light_of(_at(self.source[..., :3], seen[slice(*BANDS[0])]))
        luma = np.asarray(self.source[..., :3] @ LUMA, np.float32)
        self.shows_teeth, self.own = self._teeth(portrait, inside, luma / np.float32(255))
        own = texture(luma / 127.5, seen)
        self.texture = in_cells(own)
        mouth, eye = self._patches.pixel[:2]
        self.grain = grain(own, self.light, float(eye / mouth))
        of_atlas = cv2.remap(luma, seen[..., 0], seen[..., 1], cv2.INTER_LINEAR)
        self.softer = softer(np.asarray(of_atlas, np.float32))
        self.lashes, self.lash_hue = self._lashes(portrait)
        self.dense = density(mesh.measured)
        references = balanced(portrait.references, self.tone.balance)
        if self.tone.grey:
            references[:] = np.round(references @ LUMA)[..., None]
        self.references = NearestReference(references, portrait.reference_places)
        skin = (mesh.opening[mesh.triangles] == 0).all(1)
        self.outlines = Outlines(mesh.triangles[skin], *EYE_LOOPS)
        self.at_rest = np.zeros((grid.rows, grid.columns, 2), np.float32)
        self.at_rest[..., 1], self.at_rest[..., 0] = np.mgrid[: grid.rows, : grid.columns]
        # Where the mesh covers nothing: the photo as it lies.
        self.atlas_rest = np.zeros((*ATLAS, 6), np.float32)
        self.atlas_rest[..., :2] = seen
        self.atlas_rest[..., 4:] = own_places()

    def _within(self, portrait: Portrait, loop: tuple[int, ...]) -> Image:
        """1 within these landmarks of the crop as the networks see it, but for the edge.

        Uint8 [512, 512].
        """
        out: Image = np.zeros((SEEN, SEEN), np.uint8)
        outline = self.seen(portrait.landmarks[list(loop), :2])
        cv2.fillPoly(out, [np.round(outline).astype(np.int32)], 1)
        return np.asarray(cv2.erode(out, np.ones((3, 3), np.uint8)), np.uint8)

    def _teeth(self, portrait: Portrait, inside: Image, luma: Float) -> tuple[bool, Float]:
        """Whether the photo shows teeth, and `own`; inside [512, 512]: 1 between the lips."""
        rows, columns = BANDS[0][1] - 0.5, ATLAS[1] - 0.5
        corners = np.array([[-0.5, -0.5], [columns, -0.5], [columns, rows], [-0.5, rows]])
        patch = through(self._patches.to_picture(portrait.pose)[:1], corners)[0]
        own = np.ones((SEEN, SEEN), np.float32)
        cv2.fillPoly(own, [np.round(self.seen(patch)).astype(np.int32)], 0)
        if not (are_parted(self.mesh.measured) and are_teeth(luma[inside > 0], self.light)):
            return False, own
        teeth = upper_teeth(np.asarray(self.source[..., :3].min(2), np.float32), inside)
        width = float(np.ptp(self.seen(portrait.landmarks[list(LIPS_OUTER), :2])[:, 0]))
        if not are_enough(teeth, inside, luma, self.light, width):
            return False, own
        return True, np.maximum(own, teeth)

    def _skins(self, portrait: Portrait, seen: Float) -> list[Skin]:
        """Of what lies around each eye."""
        eyes: Image = np.zeros((SEEN, SEEN), np.uint8)
        for loop in EYE_LOOPS:
            outline = self.seen(portrait.landmarks[list(loop), :2])
            rim = round(EYE_RIM * float(np.ptp(outline[:, 0])))
            points = [np.round(outline).astype(np.int32)]
            cv2.fillPoly(eyes, points, 1)
            cv2.polylines(eyes, points, True, 1, 2 * rim + 1)
        bands = [seen[slice(*band)] for band in BANDS[1:]]
        return [Skin.of(_at(self.source[..., :3], own)[_at(eyes, own) == 0]) for own in bands]

    def _lashes(self, portrait: Portrait) -> tuple[float, Float]:
        """How much darker than skin, by the eye that has more of them, and the hue [3] there.

        Along a lid, the darkest of a few pixels.
        """
        soft = cv2.GaussianBlur(self.source[..., :3], (0, 0), 1)
        darkest = np.asarray(cv2.erode(soft, np.ones((3, 3))), np.uint8)
        edges = [self.seen(portrait.landmarks[sides(eye)[0], :2]) for eye in EYE_LOOPS]
        colours = [np.median(_at(darkest, edge), 0) for edge in edges]
        own = min(colours, key=LUMA.dot)
        dark = 1 - float(own @ LUMA) / 255 / max(self.light, 1e-3)
        hues = [skin.at(np.float32(skin.light)) / skin.light for skin in self.skins]
        hue = hue_of(own + BLACK * self.tone.balance)
        hue += OF_SKIN * (np.mean(hues, axis=0, dtype=np.float32) - hue)
        return float(np.clip(dark, *LASHES)), hue

    def aim(
        self,
        expression: Float,
        pose_change: Float,
        breath: float = 0.0,
        gaze: Float = STRAIGHT,
    ) -> Aim:
        """A frame of an expression [53] and a pose change [6] from the photo's pose.

        Breath and gaze as for `WarpMesh.move`.
        Of references those are chosen that are nearest, starting from the choice for the frame
        before.
        """
        pose = self._pose.changed_by(pose_change[None])
        moved = self.mesh.move(expression[None], pose, breath, gaze)
        maps = self._patches.to_atlas(pose)
        places = through(maps, moved.vertices[0, :, :2])
        stirred = moved.stirred[0] / self._unit
        shares = np.clip((stirred - STILL) / (STIRRED - STILL), 0, 1)
        none = np.zeros(len(BANDS), np.float32)
        aim = Aim(moved, maps, places, np.asarray(shares, np.float32), [None] * len(BANDS), none)
        for patch in aim.patches if self.references else ():
            number = self.references.choose(patch, places[patch])
            aim.references[patch] = number
            aim.referred[patch] = self.references.share(patch, number, places[patch])
        return aim


def in_cells(image: Float) -> Float:
    """An image [4 h, 4 w] as the networks have it: [16, h, w]."""
    rows, columns = (side // UNSHUFFLE for side in image.shape)
    blocks = image.reshape(rows, UNSHUFFLE, columns, UNSHUFFLE).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(blocks.reshape(-1, rows, columns))


def in_rows(cells: Float) -> Float:
    """The opposite of `in_cells`: a view [..., h, 4, w, 4] of cells [..., 16, h, w]."""
    *planes, _, rows, columns = cells.shape
    blocks = cells.reshape(*planes, UNSHUFFLE, UNSHUFFLE, rows, columns)
    view: Float = np.moveaxis(blocks, (-4, -3), (-3, -1))
    return view


def _at(photo: Image, places: Float) -> Image:
    """What a photo has in the pixels nearest to ``places`` [..., 2]."""
    columns, rows = np.moveaxis(np.clip(np.round(places), 0, len(photo) - 1).astype(int), -1, 0)
    colours: Image = photo[rows, columns]
    return colours
