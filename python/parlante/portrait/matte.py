"""Separates the person from the background of a picture.

Two networks look at it: MediaPipe's selfie segmentation knows people, but not their hair, and takes
what stands close to them for clothes; U2-Net finds what stands out, to its very edge, but loses
dark clothes before a dark wall. Where they agree it is known what belongs to the person; along the
outline the colours of the picture itself decide.
"""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from parlante.contract import Double, Float, Image
from parlante.face.roi import Roi, crop, require_image, to_tensor, transform
from parlante.portrait.colour_lines import SIDES, refined, solved
from parlante.portrait.portrait import Box, cut

SIDE = 256  # the networks' inputs, pixels
# Widths, of what shows head and shoulders: how far around a place U2-Net is judged by what it
# finds of what is surely the person; how far from the person it may find more; how far within the
# person nothing is asked; how wide the soft edge may be, inwards and outwards.
JUDGED, MORE, WITHIN, INWARDS, OUTWARDS = 0.06, 0.05, 0.03, 0.012, 0.03
TRUSTED, DISTRUSTED = 0.1, 0.4  # the part of it that U2-Net misses
DOUBT = 0.05, 0.2  # from an opacity of 0 or 1: there the other network is not sure
GUESS = 0.06  # weight of the networks where the colours decide
LOWEST, HIGHEST = 0.25, 0.85  # opacities that count as 0 and 1: colours alone leave a haze
SMALLEST_HOLE = 2e-3  # of the picture: smaller gaps within the person are mistakes
SEAM = 0.06  # of the smaller side of a part, over which its matte and that of the whole blend


class Matte:
    """Draws the matte of a person.

    The sessions take image f32[1,3,256,256] in [0,1] and give f32[1,1,256,256]: ``people`` runs
    ``matte.onnx``, ``salience`` ``salience.onnx``.
    """

    def __init__(
        self, people: onnxruntime.InferenceSession, salience: onnxruntime.InferenceSession
    ) -> None:
        self._people, self._salience = people, salience

    def predict(
        self, image: Image, *, at: tuple[float, float] | None = None, part: Box | None = None
    ) -> Float:
        """Opacity f32[H,W] in [0,1] of the person in ``image`` u8[H,W,3] RGB.

        The networks know pictures that show a head and shoulders, about square: crop larger
        pictures first, or name the ``part`` that is one. Only one connected piece is kept: the one
        with the pixel ``at`` (x, y; for example the tip of the nose), or else the largest. Raises
        ValueError for anything that is not such a picture.
        """
        require_image(image)
        people = self._of_people(image, at)
        if part is None or part[2] == max(image.shape[:2]):
            salience = self._salient(image)
        else:
            (left, top, _), inner = part, cut(image, part)
            at = None if at is None else (at[0] - left, at[1] - top)
            lay_in(people, self._of_people(inner, at), left, top)
            salience = people.copy()
            lay_in(salience, self._salient(inner), left, top)
        side = part[2] if part else max(people.shape)
        scale = min(1.0, SIDES[-1] / max(people.shape))
        size = [max(1, round(length * scale)) for length in people.shape[::-1]]
        small = [
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
            for one in (people, salience)
        ]
        colours = image / np.float32(255)
        opacity = refined(colours, solved(colours, *together(small[0], small[1], side * scale)))
        return np.asarray(np.interp(opacity, (LOWEST, HIGHEST), (0, 1)), np.float32)

    def _of_people(self, image: Image, at: tuple[float, float] | None) -> Float:
        (raw,), to_crop = self._run(self._people, image)
        height, width = image.shape[:2]
        if at is not None:
            x, y = transform(at, to_crop)
            at = float(x), float(y)
        return warp(one_piece_within(raw[0, 0], height, width, at), to_crop, width, height)

    def _salient(self, image: Image) -> Float:
        (raw,), to_crop = self._run(self._salience, image)
        return warp(raw[0, 0], to_crop, *image.shape[1::-1])

    @staticmethod
    def _run(session: onnxruntime.InferenceSession, image: Image) -> tuple[list[Float], Double]:
        """What a network says of ``image``, and f64[2,3] from its pixels to those of that."""
        height, width = image.shape[:2]
        roi = Roi((width - 1) / 2, (height - 1) / 2, max(height, width))
        raw = session.run(None, {"image": to_tensor(crop(image, roi, SIDE))})
        return raw, np.asarray(cv2.invertAffineTransform(roi.matrix(SIDE)), np.float64)


def together(people: Float, salience: Float, side: float) -> tuple[Float, Float]:
    """What both networks, f32[H,W] each, know of the person: opacity f32[H,W], and how surely.

    A weight f32[H,W] of 1 where it is known, of `GUESS` along the outline. ``side`` pixels show
    head and shoulders.
    """
    sure = np.asarray(people > 1 - DOUBT[0], np.float32)
    missed = _mean(sure * (1 - salience), JUDGED * side) / (_mean(sure, JUDGED * side) + 1e-3)
    doubt = np.interp(np.minimum(people, 1 - people), DOUBT, (0, 1))
    trust = np.maximum(np.interp(missed, (TRUSTED, DISTRUSTED), (1, 0)), doubt)
    opacity = np.where(
        (people > 0.5) == (salience > 0.5),
        np.where(people > 0.5, np.maximum(people, salience), np.minimum(people, salience)),
        trust * salience + (1 - trust) * people,
    )
    opacity = np.where(_grown(people > 0.5, MORE * side), opacity, np.minimum(opacity, people))
    within = _shrunk(people > 1 - DOUBT[0], WITHIN * side)
    inside = within | _shrunk(np.minimum(people, salience) > 1 - TRUSTED, INWARDS * side)
    outside = _shrunk(opacity < TRUSTED, OUTWARDS * side)
    weight = np.where(inside | outside, 1, GUESS)
    opacity = np.where(inside, 1, np.where(outside, 0, opacity))
    return opacity.astype(np.float32), weight.astype(np.float32)


def lay_in(whole: Float, part: Float, left: int, top: int) -> None:
    """Lay the better matte of a part f32[h,w] into that of the ``whole`` picture f32[H,W].

    Its upper left pixel at ``left``, ``top``; less of it towards those of its edges beyond which
    the picture goes on.
    """
    weights = []
    for before, own, all_of in zip((top, left), part.shape, whole.shape, strict=True):
        from_start = (np.arange(own, dtype=np.float32) + 1) / (SEAM * min(part.shape))
        weight = np.ones(own, np.float32)
        if before:
            weight = np.minimum(weight, from_start)
        if before + own < all_of:
            weight = np.minimum(weight, from_start[::-1])
        weights.append(weight)
    inside = whole[top : top + part.shape[0], left : left + part.shape[1]]
    inside += np.minimum(weights[0][:, None], weights[1]) * (part - inside)


def one_piece_within(
    matte: Float, height: int, width: int, at: tuple[float, float] | None
) -> Float:
    """`one_piece` of the part of a square ``matte`` that a centred height x width picture fills.

    What the picture's repeated border adds around it must not connect people.
    """
    side = len(matte)
    top, left = (
        min(round(side * (1 - length / max(height, width)) / 2), (side - 1) // 2)
        for length in (height, width)
    )
    if at is not None:
        at = at[0] - left, at[1] - top
    inner = one_piece(matte[top : side - top, left : side - left], at)
    return np.pad(inner, ((top, top), (left, left)), mode="edge")


def _mean(plane: Float, radius: float) -> Float:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(radius, 0.5)), np.float32)


def _shrunk(mask: NDArray[np.bool_], by: float) -> NDArray[np.bool_]:
    """A mask without what is within ``by`` pixels of its edge; the picture's is none."""
    return ~_grown(~mask, by)


def _grown(mask: NDArray[np.bool_], by: float) -> NDArray[np.bool_]:
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(away <= by)


def warp(image: Float, matrix: Double, width: int, height: int) -> Float:
    """f32[H,W] sampled bilinearly at ``matrix`` f64[2,3] times each pixel; border repeated."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE
    warped = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=border)
    return np.asarray(warped, np.float32)


def one_piece(matte: Float, at: tuple[float, float] | None) -> Float:
    """``matte`` with one connected piece and without its smallest holes."""
    height, width = matte.shape
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((matte > 0.5).astype(np.uint8))
    if count == 1:
        return matte
    kept = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    if at is not None:
        x, y = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(at, (width, height), strict=True))
        kept = int(labels[y, x]) or kept
    # Soft edges are outside the pieces: another piece's reach is where it is the nearest.
    others = (labels != kept) & (labels != 0)
    if others.any():
        to_kept, to_others = (
            cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
            for mask in (labels == kept, others)
        )
        matte = np.where(to_others < to_kept, np.float32(0), matte)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        (matte <= 0.5).astype(np.uint8), connectivity=4
    )
    small = statistics[:, cv2.CC_STAT_AREA] < SMALLEST_HOLE * height * width
    inside = (
        (statistics[:, cv2.CC_STAT_LEFT] > 0)
        & (statistics[:, cv2.CC_STAT_TOP] > 0)
        & (statistics[:, cv2.CC_STAT_LEFT] + statistics[:, cv2.CC_STAT_WIDTH] < width)
        & (statistics[:, cv2.CC_STAT_TOP] + statistics[:, cv2.CC_STAT_HEIGHT] < height)
    )
    holes = small & inside
    holes[0] = False  # not a hole but the person
    return np.where(holes[labels], np.float32(1), matte)
