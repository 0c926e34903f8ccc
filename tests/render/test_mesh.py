"""The warp mesh of the demo photo, moved and rasterised: what has to move, and what must not."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from parlante import _core
from parlante.contract import GRID, VERTICES, Float, Image
from parlante.face.pose import Pose
from parlante.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    LIP_CORNERS,
    LIPS_INNER,
    LIPS_OUTER,
    NOSE_TIP,
    lip_aperture,
)
from parlante.portrait.portrait import Portrait
from parlante.render.contact import shut_lips
from parlante.render.mesh import RING, RING_START, WARP_VERTICES, Moved, WarpMesh
from parlante.render.rings import FADING, RINGS
from parlante.render.silhouette import on_skin, unfolded
from tests.support.portrait_samples import avatar, expression, mode, model

SIZE = 256
SHUT = {"mouthClose": 0.2}  # the lips of the 3DMM cross everywhere
UPPER_LIP, LOWER_LIP = 13, 14  # middles of the inner lips


@cache
def mesh() -> WarpMesh:
    return WarpMesh.of(model(), avatar().portrait)


@cache
def rest() -> tuple[Float, Pose]:
    """The photo's own expression [1, 53] and pose."""
    return avatar().portrait.expression[None], avatar().portrait.pose


def known() -> tuple[Float, Float]:
    """Upper left and lower right end of the demo portrait's canvas, pixels of the 256-grid."""
    left, top, right, bottom = (SIZE * margin for margin in avatar().portrait.margins)
    ends = [-left - 0.5, -top - 0.5], [SIZE + right - 0.5, SIZE + bottom - 0.5]
    return np.float32(ends[0]), np.float32(ends[1])


def own_pixels(size: int = SIZE) -> Float:
    return np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float32)


def rasterised(frame: Moved) -> Float:
    """Place in the photo and opening, float32 [256, 256, 3]; NaN where the mesh covers nothing."""
    warp = np.full((SIZE, SIZE, 3), np.nan, np.float32)
    depth = np.empty((SIZE, SIZE), np.float32)
    attributes = np.column_stack([frame.source[0], mesh().opening])
    _core.rasterize(frame.vertices[0], mesh().triangles, attributes, warp, depth)
    return warp


def moved(shown: Float, pose: Pose | None = None) -> Moved:
    """The mesh at one expression [1, 53]."""
    return mesh().move(shown, rest()[1] if pose is None else pose)


def vertices_of(shown: Float, pose: Pose | None = None) -> Float:
    """Warp vertices [WARP_VERTICES, 3] of one expression [1, 53]."""
    return moved(shown, pose).vertices[0]


@cache
def places() -> Float:
    """Where the vertices lie in the photo, [WARP_VERTICES, 2]."""
    return moved(*rest()).source[0]


def turned(**change: float) -> Pose:
    """The photo's pose after a change: rx, ry, rz (radians), x, y (model units), grown (log)."""
    names = ("rx", "ry", "rz", "x", "y", "grown")
    return rest()[1].changed_by(np.array([[change.get(n, 0) for n in names]], np.float32))


def with_modes(**modes: float) -> Float:
    """The photo's expression with some modes replaced."""
    shown = rest()[0].copy()
    for name, value in modes.items():
        shown[0, mode(name)] = value
    return shown


def outline_of(portrait: Portrait) -> Float:
    """The landmarks as the mesh has them."""
    return on_skin(unfolded(portrait.landmarks, model().face_triangles), portrait.at(GRID))


def area(vertices: Float, loop: tuple[int, ...]) -> float:
    return float(cv2.contourArea(vertices[list(loop), :2]))


def mouth_of(warp: Float) -> Float:
    """The opening below the eyes."""
    below = warp[..., 2].copy()
    below[: int(places()[NOSE_TIP, 1])] = 0
    return below


def mouth_pixels(warp: Float) -> int:
    return int((mouth_of(warp) > 0.5).sum())


# At rest


def test_rest_returns_the_source() -> None:
    vertices = vertices_of(*rest())
    assert vertices.shape == (WARP_VERTICES, 3)
    # Undoing and applying the pose rounds pixels below 512 a few times by 2^-16.
    np.testing.assert_allclose(vertices[:, :2], places(), rtol=0, atol=1e-4)
    landmarks = outline_of(avatar().portrait)
    np.testing.assert_allclose(vertices[:VERTICES], landmarks, rtol=0, atol=1e-4)


def test_rest_is_the_identity_warp() -> None:
    warp = rasterised(moved(*rest()))
    np.testing.assert_allclose(warp[..., :2], own_pixels(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_rest_of_a_photo_that_the_model_cannot_fit(seed: int) -> None:
    """The landmarks are the geometry: what identity and expression miss is not lost."""
    portrait = avatar().portrait
    rough = portrait.landmarks + np.random.default_rng(seed).normal(0, 0.7, (VERTICES, 3)).astype(
        np.float32
    )
    built = WarpMesh.build(
        model(), rough, portrait.identity, portrait.expression, portrait.pose, SIZE
    )
    vertices = built.move(*rest()).vertices[0]
    np.testing.assert_allclose(vertices[:VERTICES], rough, rtol=0, atol=1e-4)


# Coverage


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 52), st.floats(0, 1.5)), max_size=6),
    st.tuples(*[st.floats(-0.6, 0.6)] * 3),
    st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(-0.3, 0.3)),
)
def test_whole_crop_is_covered(
    modes: list[tuple[int, float]],
    turn: tuple[float, float, float],
    shift: tuple[float, float, float],
) -> None:
    """No pixel is left out, whatever the head does, and no source lies outside the mesh."""
    shown = rest()[0].copy()
    for index, value in modes:
        shown[0, index] = value
    pose = rest()[1].changed_by(np.array([[*turn, *shift]], np.float32))
    warp = rasterised(moved(shown, pose))
    assert np.isfinite(warp).all()
    low, high = places().min(0), places().max(0)
    slack = 1e-3  # an affine interpolation of coordinates up to 320, in float32
    assert (warp[..., :2] >= low - slack).all()
    assert (warp[..., :2] <= high + slack).all()
    assert (warp[..., 2] >= -1e-5).all()
    assert (warp[..., 2] <= 1 + 1e-5).all()


def with_matte(matte: Image | None, goes_on: bool = False, **change: float) -> tuple[Float, Float]:
    """Rings [RINGS, RING, 2] of the demo photo with another matte, and how far a change moves them.

    In model units. goes_on: as if more of the photo were around it.
    """
    p = avatar().portrait
    margins = (0.25, 0.25, 0.25, 0.25) if goes_on else p.margins
    built = WarpMesh.build(
        model(), p.landmarks, p.identity, p.expression, p.pose, margins=margins, matte=matte
    )
    still = built.move(*rest()).source[0]
    shift = built.move(rest()[0], turned(**change)).vertices[0, :, :2] - still
    rings = still[RING_START:].reshape(RINGS, RING, 2)
    return rings, shift[RING_START:].reshape(rings.shape) / float(rest()[1].scale[0])


def everywhere() -> Image:
    """A matte of a person who fills the photo."""
    return np.full(avatar().portrait.canvas.shape[:2], 255, np.uint8)


def test_head_that_ends_before_the_edge_moves_as_a_whole() -> None:
    """Nothing of it is drawn out towards the edge; and where it is cut off, it stays there."""
    matte = everywhere()
    matte[: len(matte) // 2] = 0
    rings, shift = with_matte(matte, y=1)
    whole, shift_whole = with_matte(everywhere(), y=1)
    top, bottom = 0, RING // 2
    np.testing.assert_allclose(shift[:, top, 1], [1, 1, *FADING, 0], atol=1e-3)
    assert whole[1, top, 1] < rings[1, top, 1] < rings[0, top, 1]  # next to the person
    assert (np.diff(shift_whole[:, top, 1]) < 0).all()
    assert 0 < shift_whole[1, top, 1] < 0.5
    for own, other in ((rings, whole), (shift, shift_whole)):
        np.testing.assert_array_equal(own[:, bottom], other[:, bottom])
    # A lock of hair that the photo cuts off holds all the hair.
    matte[:, matte.shape[1] // 2 :][:, :20] = 255
    np.testing.assert_allclose(with_matte(matte, y=1)[1], shift_whole, rtol=0, atol=1e-3)


def test_a_skull_that_the_photo_cuts_off_comes_down_by_its_height() -> None:
    """As far at the sides as in the middle: no skull grows to a point."""
    rings, shift = with_matte(everywhere(), y=1)
    top = places()[list(FACE_OVAL), 1].min()
    height = (rings[..., 1] - known()[0][1]) / (top - known()[0][1])
    above = height < 1
    assert (shift[..., 1][above] < height[above] + 1e-3).all()
    of_head = above.copy()
    of_head[1:] = False
    assert of_head.sum() > 5
    np.testing.assert_allclose(shift[..., 1][of_head], height[of_head], atol=1e-3)


def test_with_little_room_above_a_head_comes_down_in_part() -> None:
    """As much as it is free to; the strip above it is not drawn out."""
    shifts = []
    for room in (0.3, 0.035, 0.0):
        matte = everywhere()
        matte[: round(room * min(matte.shape))] = 0
        shifts.append(float(with_matte(matte, y=1)[1][1, 0, 1]))
    free, half, held = shifts
    assert free == pytest.approx(1, abs=1e-3)
    assert held + 0.1 < half < free - 0.1


def test_what_the_photo_cuts_off_may_leave_the_picture() -> None:
    """Upwards hair at the upper edge moves as the head does, to both sides, too."""
    top, bottom = 0, RING // 2
    for change, axis in (({"y": -1}, 1), ({"x": 1}, 0), ({"x": -1}, 0)):
        _, shift = with_matte(everywhere(), **change)
        np.testing.assert_allclose(shift[:, top, axis], next(iter(change.values())), atol=1e-3)
        assert (shift[-1, bottom] == 0).all()
        # Not where the photo goes on: there what is around does not move.
        assert (with_matte(everywhere(), goes_on=True, **change)[1][-1] == 0).all()


@pytest.mark.parametrize("matte", [None, everywhere()], ids=["unknown", "everywhere"])
def test_rings_go_round_and_outwards(matte: Image | None) -> None:
    rings, _ = with_matte(matte)
    areas = [
        float(cv2.contourArea(ring))
        for ring in (places()[list(FACE_OVAL)], *(r.copy() for r in rings))
    ]
    assert areas == sorted(areas)
    # The outermost one is the edge of what the portrait shows, corners and all.
    low, high = known()
    assert float(cv2.contourArea(rings[-1].copy())) == pytest.approx(np.prod(high - low), rel=1e-5)
    np.testing.assert_allclose(rings[-1].min(0), low, atol=1e-4)
    np.testing.assert_allclose(rings[-1].max(0), high, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_face_at_the_edge_of_the_crop(side: str) -> None:
    """A photo without room: the face's oval reaches over the border of its crop."""
    portrait = avatar().portrait
    box = portrait.landmarks[:, :2].min(0), portrait.landmarks[:, :2].max(0)
    shift = np.zeros(3, np.float32)
    axis, low = {"left": (0, True), "right": (0, False), "top": (1, True), "bottom": (1, False)}[
        side
    ]
    shift[axis] = -box[0][axis] - 3 if low else 258 - box[1][axis]
    pose = Pose(portrait.rotation, portrait.translation + shift, portrait.scale)
    built = WarpMesh.build(
        model(), portrait.landmarks + shift, portrait.identity, portrait.expression, pose
    )
    warp = rasterised(built.move(rest()[0], pose))
    assert np.isfinite(warp).all()
    np.testing.assert_allclose(warp[..., :2], own_pixels(), rtol=0, atol=2e-2)


# Motion


@pytest.mark.parametrize("sign", [-1, 1])
def test_nothing_from_beyond_the_border_is_seen(sign: int) -> None:
    pose = turned(rx=0.2 * sign, ry=-0.4, rz=0.3 * sign, x=sign, y=-sign, grown=0.2 * sign)
    border = vertices_of(with_modes(jawOpen=1), pose)[-RING:, :2]
    still, (low, high) = places()[-RING:], known()
    assert (border[still < low + 0.1] <= still[still < low + 0.1]).all()
    assert (border[still > high - 0.1] >= still[still > high - 0.1]).all()


def test_motion_dies_away_outwards() -> None:
    vertices = vertices_of(rest()[0], turned(x=1))
    shift = (vertices[:, :2] - places())[:, 0]
    first, second = shift[RING_START:].reshape(RINGS, RING)[:2]
    scale = float(rest()[1].scale[0])
    np.testing.assert_allclose(shift[:VERTICES], scale, rtol=1e-3)
    assert scale + 1e-3 > first.max() > first.mean() > second.mean() > 1
    # The hair goes with the head, the shoulders below it stay behind.
    assert first[0] == pytest.approx(scale, rel=1e-3)
    assert first[RING // 2] < 0.6 * scale


def test_what_is_under_the_chin_goes_with_it() -> None:
    """Where the jaw falls, the neck is drawn together below it: the chin does not slide over it."""
    before, after = places(), vertices_of(with_modes(jawOpen=1))[:, :2]
    chin = FACE_OVAL.index(152)
    column = [FACE_OVAL[chin], *(RING_START + ring * RING + chin for ring in range(RINGS))]
    fallen = (after - before)[column, 1]
    assert fallen[0] > 4
    assert (np.diff(fallen) < 0).all() and fallen[-1] == 0
    assert (np.diff(after[column, 1]) > 0).all()
    # The edge of what is known stands still, all around.
    np.testing.assert_allclose(after[-RING:], before[-RING:], rtol=0, atol=1e-4)


@pytest.mark.parametrize("yaw", [-0.3, -0.1, 0.1, 0.3])
def test_turning_moves_the_nose_most(yaw: float) -> None:
    vertices = vertices_of(rest()[0], turned(ry=yaw))
    shift = vertices[:, :2] - places()
    nose, ears = shift[NOSE_TIP, 0], shift[[234, 454], 0]
    assert nose * yaw > 0
    assert np.abs(nose) > 2 * np.abs(ears).max()
    # The cheek that turns away is foreshortened, the other one is not.
    tip, right, left = (vertices[v, 0] for v in (NOSE_TIP, 234, 454))
    assert (left - tip < tip - right) == (yaw > 0)


def test_pose_of_the_face_is_the_rigid_motion() -> None:
    """Without a change of expression the face moves as OpenCV turns it."""
    vertices = vertices_of(rest()[0], turned(ry=0.2, rx=-0.1, x=0.5, grown=0.1))[:VERTICES]
    portrait = avatar().portrait
    turn, _ = cv2.Rodrigues(np.array([-0.1, 0.2, 0.0]))
    flip = np.array([1, -1, -1])
    landmarks = outline_of(portrait)
    centred = (landmarks - portrait.translation).astype(np.float64) * flip
    wanted = np.exp(0.1) * (centred @ turn.T) * flip + portrait.translation
    wanted[:, 0] += 0.5 * portrait.scale
    # Float32 coordinates below 512 after four roundings.
    np.testing.assert_allclose(vertices, wanted, rtol=0, atol=5e-4)


def test_frames_do_not_depend_on_each_other() -> None:
    shown = np.concatenate([rest()[0], expression(jawOpen=1), with_modes(eyeBlink_L=1)])
    pose = rest()[1].changed_by(np.random.default_rng(0).normal(0, 0.1, (3, 6)).astype(np.float32))
    together = mesh().move(shown, pose)
    for i in range(3):
        alone = mesh().move(shown[i : i + 1], pose[i : i + 1])
        for a, b in zip(vars(together).values(), vars(alone).values(), strict=True):
            # BLAS may add up a single row in another order.
            np.testing.assert_allclose(a[i], b[0], rtol=0, atol=1e-3)


def test_breath_lifts_the_shoulders() -> None:
    still, lifted = (mesh().move(*rest(), breath=b).vertices[0] for b in (0.0, 1.0))
    shift = (lifted - still)[:, :2]
    assert (shift[:RING_START] == 0).all() and (shift[:, 0] == 0).all()
    first, second, *_, last = shift[RING_START:, 1].reshape(RINGS, RING)
    below = RING // 2
    assert (last == 0).all() and first[0] == second[0] == 0
    height = np.ptp(avatar().portrait.landmarks[list(FACE_OVAL), 1])
    assert second[below] < first[below] < 0
    assert 0.005 < -second[below] / height < 0.03


# Mouth


def test_lips_shut_though_the_photo_shows_teeth() -> None:
    open_in_photo = lip_aperture(avatar().portrait.landmarks[None])[0]
    assert open_in_photo > 0.1
    frame = moved(expression(**SHUT))
    warp = rasterised(frame)
    assert mouth_pixels(rasterised(moved(*rest()))) > 100
    assert mouth_pixels(warp) == 0
    # They meet in the axes of the head (whose nod may show one behind the other).
    inner = rest()[1].undo(frame.vertices[:, :VERTICES])[0, list(LIPS_INNER), 1]
    np.testing.assert_allclose(inner[1:10], inner[:10:-1], rtol=0, atol=1e-4)


def test_neutral_lips_are_all_but_shut() -> None:
    """The 3DMM's own neutral face has its lips a millimetre apart; the photo adds nothing."""
    frame = moved(expression())
    own = model().shape(avatar().portrait.identity, expression())
    assert lip_aperture(frame.vertices)[0] < lip_aperture(own)[0] + 0.01
    assert mouth_pixels(rasterised(frame)) < 0.1 * mouth_pixels(rasterised(moved(*rest())))


def test_mouth_opens_with_the_jaw() -> None:
    pixels, openings = [], []
    for jaw in (0.1, 0.3, 0.6, 1.0):
        frame = moved(expression(jawOpen=jaw))
        vertices = frame.vertices[0]
        pixels.append(mouth_pixels(rasterised(frame)))
        openings.append(float(lip_aperture(vertices[None])[0]))
    assert 0 < pixels[0] < pixels[1] < pixels[2] < pixels[3]
    assert openings == sorted(openings)
    # The mask is the polygon between the inner lips: OpenCV's area of it, but for pixels on the
    # outline, whose number is about the circumference.
    polygon = vertices[list(LIPS_INNER), :2]
    assert abs(area(vertices, LIPS_INNER) - pixels[3]) < cv2.arcLength(polygon, True)


def test_mask_lies_between_the_lips() -> None:
    frame = moved(expression(jawOpen=0.7))
    mask = mouth_of(rasterised(frame)) > 0.5
    vertices = frame.vertices[0]
    polygon = np.round(vertices[list(LIPS_INNER), :2]).astype(np.int32)
    drawn: NDArray[np.uint8] = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(drawn, [polygon], 1)
    around = cv2.dilate(drawn, np.ones((3, 3), np.uint8))
    assert mask.any()
    assert not (mask & (around == 0)).any()


def test_parted_lips_leave_the_line_between_them() -> None:
    """At rest lips show themselves; parted ones, at their edges, what lies further inside them."""
    shut = rest()[0] + shut_lips(model(), mesh().measured)
    frame = moved(shut)
    portrait = avatar().portrait
    built = WarpMesh.build(
        model(), frame.vertices[0, :VERTICES], portrait.identity, shut[0], portrait.pose
    )
    lips = [UPPER_LIP, LOWER_LIP, *LIP_CORNERS]
    parted = shut.copy()
    parted[0, mode("jawOpen")] += 0.6
    still, opened = (built.move(e, portrait.pose).source[0, lips] for e in (shut, parted))
    np.testing.assert_allclose(still, frame.vertices[0, lips, :2], rtol=0, atol=1e-3)
    up, down = (opened - still)[:2, 1]
    width = np.ptp(still[2:, 0])
    assert -0.04 * width < up < -0.005 * width
    assert 0.005 * width < down < 0.04 * width
    np.testing.assert_allclose(opened[2:], still[2:], rtol=0, atol=1e-4)  # the corners


def test_less_is_drawn_beside_the_nose_than_at_the_temples() -> None:
    points, drawn = vertices_of(expression())[:VERTICES, :2], mesh().drawn[:VERTICES]
    width = float(np.ptp(points[list(EYE_RIGHT), 0]))
    height = points[[EYE_RIGHT[0], EYE_LEFT[8]], 1].mean()
    row = np.abs(points[:, 1] - height) < 0.3 * width
    outer, inner = points[EYE_RIGHT[0], 0], points[EYE_RIGHT[8], 0]
    for far in (0.15, 0.3):
        temple = row & (points[:, 0] < outer - far * width)
        nose = row & (points[:, 0] > inner + far * width) & (points[:, 0] < 128)
        assert temple.any() and nose.any()
        assert drawn[nose].max() < drawn[temple].max()


def test_teeth_stay_with_the_head() -> None:
    pose = rest()[1]
    closed, opened = (mesh().move(expression(jawOpen=jaw), pose).teeth[0] for jaw in (0, 1))
    np.testing.assert_array_equal(opened, closed)
    # Between the corners of the mouth.
    corners = vertices_of(expression())[list(LIP_CORNERS)]
    assert corners[0, 0] < closed[:, 0].mean() < corners[1, 0]
    aside = turned(ry=0.3)
    went = mesh().move(expression(), aside).teeth[0, :, 0] - closed[:, 0]
    assert np.ptp(went) > 1  # they are bent as the jaw is
    lips = [vertices_of(expression(), p)[list(LIPS_INNER), 0].mean() for p in (pose, aside)]
    assert abs(went.mean() - (lips[1] - lips[0])) < 3


@pytest.mark.parametrize("jaw", [0.5, 0.8])
def test_parted_lips_meet_as_peoples_do(jaw: float) -> None:
    """Both lips come nearer, the lower one further; the corners of the mouth stay."""
    portrait = avatar().portrait
    shown = with_modes(jawOpen=jaw)
    parted = mesh().move(shown, portrait.pose).vertices[0, :VERTICES]
    built = WarpMesh.build(model(), parted, portrait.identity, shown[0], portrait.pose)
    shut = built.move(shown + shut_lips(model(), built.measured), portrait.pose).vertices[
        0, :VERTICES
    ]
    top, bottom = UPPER_LIP, LOWER_LIP
    gap = parted[bottom, 1] - parted[top, 1]
    assert gap > 1 and shut[bottom, 1] - shut[top, 1] < 0.15 * gap
    assert 0.2 * gap < shut[top, 1] - parted[top, 1] < 0.5 * gap
    corners = list(LIP_CORNERS)
    assert np.abs(shut[corners, 1] - parted[corners, 1]).max() < 0.15 * gap


def test_lips_that_are_shut_stay() -> None:
    expression, pose = rest()
    shown = expression + shut_lips(model(), mesh().measured)
    shut = mesh().move(shown, pose).vertices[0, :VERTICES]
    built = WarpMesh.build(model(), shut, avatar().portrait.identity, shown[0], pose)
    assert np.abs(shut_lips(model(), built.measured)).max() < 0.02


# Eyes


@pytest.mark.parametrize(
    ("name", "index", "own", "other"),
    [("eyeBlink_R", 0, EYE_RIGHT, EYE_LEFT), ("eyeBlink_L", 1, EYE_LEFT, EYE_RIGHT)],
)
def test_blink_closes_its_eye(
    name: str, index: int, own: tuple[int, ...], other: tuple[int, ...]
) -> None:
    before = vertices_of(*rest())
    frame = moved(with_modes(**{name: float(mesh().closed_blink[index])}))
    closed = frame.vertices[0]
    assert area(closed, own) < 0.05 * area(before, own)
    # Nothing of the eye itself shines through.
    seen = eye_pixels(rasterised(moved(*rest())), own)
    assert eye_pixels(rasterised(frame), own) == 0 < 50 < seen
    assert area(closed, other) == pytest.approx(area(before, other), rel=1e-3)
    # The lid comes down over the eye; it does not fall on the cheek.
    lids = {"eyeBlink_R": ((159, 145), (160, 144)), "eyeBlink_L": ((386, 374), (385, 380))}[name]
    for top, bottom in lids:
        assert closed[top, 1] > before[top, 1] + 2
        assert abs(closed[top, 1] - closed[bottom, 1]) < 0.25 * (before[bottom, 1] - before[top, 1])


def eye_pixels(warp: NDArray[np.float32], eye: tuple[int, ...]) -> int:
    """Pixels that show what lies, in the photo, inside an eye and a pixel or more from its lids."""
    outline = np.ascontiguousarray(places()[list(eye)])
    inside = [
        cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y, _ in warp.reshape(-1, 3)
    ]
    return int((np.array(inside) >= 1).sum())


def test_blink_of_a_photo_with_shut_eyes() -> None:
    """Eyes that are shut in the photo need no further blink."""
    portrait = avatar().portrait
    shown = with_modes(
        eyeBlink_R=float(mesh().closed_blink[0]), eyeBlink_L=float(mesh().closed_blink[1])
    )
    shut = mesh().move(shown, portrait.pose).vertices[0, :VERTICES]
    built = WarpMesh.build(model(), shut, portrait.identity, shown[0], portrait.pose)
    np.testing.assert_allclose(built.closed_blink, mesh().closed_blink, atol=0.051)


# Where the network may draw


def test_the_network_draws_lips_and_lids_only() -> None:
    drawn = mesh().drawn
    assert (drawn[VERTICES:RING_START] == 1).all() and (drawn[RING_START:] == 0).all()
    for loop in (LIPS_INNER, LIPS_OUTER, EYE_LEFT, EYE_RIGHT):
        assert (drawn[list(loop)] == 1).all()
    # Chin, forehead, cheeks, the outline.
    for vertex in (152, 10, 151, 50, 280, *FACE_OVAL):
        assert drawn[vertex] == 0
    assert ((drawn > 0) & (drawn < 1)).sum() > 20  # it fades


@pytest.mark.parametrize("side", ["top", "left"])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_nothing_is_seen_from_beyond_the_photo(side: str, margin: float) -> None:
    """However the head moves, each pixel comes from what is known; its edge stays."""
    p = avatar().portrait
    built = WarpMesh.build(
        model(), p.landmarks, p.identity, p.expression, p.pose, SIZE, (margin,) * 4
    )
    push = {"top": {"y": 2.0}, "left": {"x": 2.0}}[side]
    warp = rasterised(built.move(rest()[0], turned(**push)))
    beyond = 0.5 + margin * SIZE + 1e-3
    assert (warp[..., :2] >= -beyond).all() and (warp[..., :2] <= SIZE - 1 + beyond).all()
    edge = warp[0, :, :2] if side == "top" else warp[:, 0, :2]
    own = own_pixels()[0] if side == "top" else own_pixels()[:, 0]
    moved_by = np.abs(edge - own).max()
    # Half a pixel from an edge that stands still; further in the photo, hair goes with the head.
    assert moved_by < 1.5 if margin == 0 else moved_by > 4
