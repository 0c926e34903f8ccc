"""What is composed, and where it lies: a square around the head, or the whole photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import GRID, Image
from parlante.errors import ImageError, ParlanteError
from parlante.face.patches import through
from parlante.face.topology import NOSE_TIP
from parlante.options import RenderOptions
from parlante.portrait.encoder import PortraitEncoder
from parlante.portrait.portrait import Portrait
from parlante.render import stage
from parlante.render.framing import placement
from parlante.render.grid import Grid, crop_grid
from parlante.render.renderer import FrameRenderer
from parlante.render.stage import cut_out
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import avatar, demo_rgb, mode, model

TURNED = np.float32([0.05, 0.2, 0.05, 0.3, 0.2, 0.0])


@cache
def wide() -> Portrait:
    """The demo's head at the left of a photo of 900 x 500."""
    rng = np.random.default_rng(0)
    paper = cv2.resize(rng.uniform(90, 160, (10, 18, 3)).astype(np.float32), (900, 500))
    photo = np.asarray(np.round(paper), np.uint8)
    photo[100:452, 60:412] = demo_rgb()
    from parlante.media.photo import Photo

    return PortraitEncoder(Bundle.default()).encode([Photo(photo, None)])


def renderer(portrait: Portrait, **options: object) -> FrameRenderer:
    chosen = RenderOptions(**options)  # type: ignore[arg-type]
    return FrameRenderer(Bundle.default(), model(), portrait, chosen)


def spoken(portrait: Portrait) -> NDArray[np.float32]:
    expression = portrait.expression.copy()
    expression[mode("jawOpen")] += 0.4
    return expression


def rest(draws: FrameRenderer) -> Image:
    stage = draws._stage
    assert stage.rest is not None
    return stage.rest


def test_points_and_maps_of_a_grid_agree() -> None:
    grid = Grid(100, 200, np.float32([1.7, 0.6]), np.float32([3, -4]))
    maps = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    points = np.random.default_rng(1).uniform(0, GRID, (5, 2)).astype(np.float32)
    np.testing.assert_allclose(
        through(grid.maps(maps), grid(points)), through(maps, points), atol=1e-2
    )
    assert crop_grid(GRID)(points).tobytes() == points.tobytes()
    np.testing.assert_allclose(crop_grid(512)(points), points * 2 + 0.5)


@pytest.mark.parametrize("size", [300, 500, 1080])
@pytest.mark.parametrize("pixels", ["rgb", "bgr", "nv12"])
def test_with_nothing_moved_the_frame_is_the_photo(size: int, pixels: str) -> None:
    portrait = wide()
    width, height = portrait.frame_size("photo", size)
    short = min(size, 500)  # never more than the photo has
    assert (width, height) == (round(short * 1.8), short)
    draws = renderer(portrait, frame="photo", size=size, pixels=pixels)
    made = draws.draw_warp(portrait.expression, np.zeros(6, np.float32))
    photo = cv2.resize(portrait.picture, (width, height), interpolation=cv2.INTER_AREA)
    if pixels == "nv12":
        assert made.shape == (height * 3 // 2, width)
        seen = cv2.cvtColor(made, cv2.COLOR_YUV2RGB_NV12)
        assert cv2.PSNR(seen, photo) > 25  # another matrix (BT.601), and half the colours
        assert np.abs(made.astype(int) - rest(draws)).max() <= 1
    else:
        wanted = photo if pixels == "rgb" else photo[..., ::-1]
        assert np.abs(made.astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("pixels", ["rgb", "nv12"])
def test_what_lies_beyond_the_head_is_copied(pixels: str) -> None:
    portrait = wide()
    draws = renderer(portrait, frame="photo", size=500, pixels=pixels)
    made = draws.draw(spoken(portrait), TURNED)
    (x, y), (height, width) = draws._stage.place, draws._stage.plate.shape[:2]
    assert x % 2 == y % 2 == height % 2 == width % 2 == 0
    assert width < 0.7 * made.shape[1]
    outside = np.ones(made.shape[:2], bool)
    outside[y : y + height, x : x + width] = False
    if pixels == "nv12":
        outside[500 + y // 2 : 500 + (y + height) // 2, x : x + width] = False
    np.testing.assert_array_equal(made[outside], rest(draws)[outside])
    assert (made != rest(draws)).any()
    # No seam: at the box's edge nothing moves.
    edge = made[y : y + height, x + width - 1].astype(int)
    assert np.abs(edge - rest(draws)[y : y + height, x + width - 1]).max() <= 2


def test_the_photo_shows_the_head_as_the_square_does() -> None:
    portrait = avatar().portrait
    left, top, side = portrait.box
    size = min(portrait.picture.shape[:2])
    whole = renderer(portrait, frame="photo", size=size)
    alone = renderer(portrait, size=int(side) // 2 * 2)
    a = whole.draw(spoken(portrait), TURNED)
    b = alone.draw(spoken(portrait), TURNED)
    y, x = int(top), int(left)
    part = a[y : y + len(b), x : x + len(b)]
    assert cv2.PSNR(part, np.ascontiguousarray(b[: len(part), : part.shape[1]])) > 28


@pytest.mark.parametrize("pixels", ["rgb", "nv12"])
def test_the_whole_photo_before_another_background(pixels: str) -> None:
    """Far from the person there is nothing else; the person is the photo's, moved or not."""
    portrait = wide()
    draws = renderer(portrait, frame="photo", size=500, pixels=pixels, background="#0080ff")
    still = draws.draw_warp(portrait.expression, np.zeros(6, np.float32))
    moved = draws.draw(spoken(portrait), TURNED)
    plain = renderer(portrait, frame="photo", size=500, pixels=pixels)
    photo = plain.draw_warp(portrait.expression, np.zeros(6, np.float32))
    if pixels == "nv12":
        assert still.shape == (750, 900)
        seen = cv2.cvtColor(still, cv2.COLOR_YUV2RGB_NV12)
        assert np.abs(seen[20:480, 600:].astype(int) - (0, 128, 255)).max() < 40  # BT.601
        return
    for made in (still, moved):
        assert (made[:, 600:] == (0, 128, 255)).all()
        assert (made[:100, :400] == (0, 128, 255)).mean() > 0.8
    nose = (portrait.landmarks[NOSE_TIP, :2] / GRID * portrait.box[2] + portrait.box[:2]).astype(
        int
    )
    face = slice(nose[1] - 20, nose[1] + 20), slice(nose[0] - 20, nose[0] + 20)
    np.testing.assert_array_equal(still[face], photo[face])
    assert (moved[face] != photo[face]).any()


def test_the_whole_photo_cut_out_and_before_a_picture() -> None:
    portrait = wide()
    cut_out = renderer(portrait, frame="photo", size=500, pixels="rgba")
    rgba = cut_out.draw(spoken(portrait), TURNED)
    assert rgba.shape == (500, 900, 4)
    assert (rgba[:, 600:, 3] == 0).all() and rgba[..., 3].max() == 255
    halves = np.zeros((300, 300, 3), np.uint8)
    halves[:, 150:] = 200
    before = renderer(portrait, frame="photo", size=500, background=halves)
    made = before.draw(spoken(portrait), TURNED)
    opaque, clear = rgba[..., 3] == 255, rgba[..., 3] == 0
    assert np.abs(made[opaque].astype(int) - rgba[opaque][:, :3]).max() <= 1
    wanted = np.zeros_like(made)
    wanted[:, 450:] = 200
    near = slice(440, 460)  # where the picture is scaled
    clear[:, near] = False
    np.testing.assert_array_equal(made[clear], wanted[clear])


@pytest.mark.parametrize("frame", ["1920x1080", "600x1000", "320x240"])
@pytest.mark.parametrize("face", [wide, lambda: avatar().portrait], ids=["wide", "demo"])
def test_a_frame_of_so_many_pixels_is_filled(frame: str, face: Callable[[], Portrait]) -> None:
    """With the photo, which stands still but for the head; beside it with the photo, blurred."""
    portrait = face()
    draws = renderer(portrait, frame=frame)
    still = draws.draw_warp(portrait.expression, np.zeros(6, np.float32))
    width, height = map(int, frame.split("x"))
    assert still.shape == (height, width, 3)
    # All of head and shoulders is there, as it is.
    left, top, side = (int(v) for v in portrait.box)
    shown = portrait.picture[max(top, 0) : top + side, max(left, 0) : left + side]
    scale = placement(portrait, RenderOptions(frame=frame)).scale[0]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=how)[2:-2, 2:-2]
    found = cv2.matchTemplate(still, shown, cv2.TM_SQDIFF)
    assert found.min() / shown.size < 100  # levels, squared; some pixels off it is thousands
    # No bars: what is along the edges is not of one colour, and not black.
    for edge in (still[:, 0], still[:, -1], still[0], still[-1]):
        assert edge.mean() > 0.3 * portrait.picture.mean() and edge.std() > 1
    moved = draws.draw(spoken(portrait), TURNED)
    (x, y), (high, wide_) = draws._stage.place, draws._stage.plate.shape[:2]
    outside = np.ones(still.shape[:2], bool)
    outside[y : y + high, x : x + wide_] = False
    np.testing.assert_array_equal(moved[outside], still[outside])
    assert (moved != still).any()


def test_a_person_cut_out_stands_on_the_lower_edge() -> None:
    portrait = avatar().portrait
    draws = renderer(portrait, frame="400x900", pixels="rgba")
    matte = draws.draw(spoken(portrait), TURNED)[..., 3]
    assert matte.shape == (900, 400)
    assert (matte[:150] == 0).all()
    assert (matte[-1] == 255).mean() > 0.5


def test_a_frame_names_what_it_shows() -> None:
    for wrong in ("all", "1921x1080", "64x64", "1920x", 7):
        with pytest.raises(ParlanteError, match="head, photo, or width and height"):
            RenderOptions(frame=wrong)  # type: ignore[arg-type]


def test_a_damaged_photo_is_said_to_be_one() -> None:
    damaged = replace(avatar().portrait, photo=avatar().portrait.photo[:100])
    assert damaged.frame_size("head", 256) == (256, 256)
    with pytest.raises(ImageError, match="image"):
        damaged.frame_size("photo", 256)


def test_a_photo_of_an_odd_size_gives_an_even_frame() -> None:
    portrait = wide()
    assert portrait.frame_size("head", 512) == (512, 512)
    for size in (128, 331, 499):
        assert not any(length % 2 for length in portrait.frame_size("photo", size // 2 * 2))


def test_a_person_is_cut_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one frame and size: for all sessions, before whatever background."""
    portrait = replace(wide())  # nothing is kept of it yet
    made: list[tuple[int, ...]] = []

    def counted(image: Image) -> Image:
        made.append(image.shape)
        return cut_out(image)

    monkeypatch.setattr(stage, "cut_out", counted)
    frames = [
        renderer(portrait, frame=frame, size=256, background=background).draw_warp(
            portrait.expression, TURNED
        )
        for frame in ("head", "photo")
        for background in ((0, 200, 0), (0, 200, 0), (0, 0, 200))
    ]
    assert len(made) == 2
    for first in (0, 3):
        np.testing.assert_array_equal(frames[first], frames[first + 1])
        assert (frames[first] != frames[first + 2]).any()
