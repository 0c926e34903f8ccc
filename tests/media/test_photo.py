"""Loading photos: every kind of file people have, against arrays, OpenCV and plain arithmetic."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from parlante.errors import ImageError
from parlante.media.photo import MAX_PIXELS, load_image

H, W = 130, 190


def picture(channels: int = 3) -> NDArray[np.uint8]:
    """Smooth (so that JPEG keeps it), different in every corner and channel."""
    y, x = np.mgrid[0:H, 0:W]
    planes = [x * 255 / W, y * 255 / H, (x + y) * 255 / (W + H), 255 - x * 200 / W]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def assert_owned(array: NDArray[np.uint8]) -> None:
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable


@pytest.mark.parametrize("kind", ["path", "str", "bytes"])
@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_lossless_files(tmp_path: Path, kind: str, file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(Image.fromarray(picture()), file_format, **options)
    path = tmp_path / "photo"  # the contents decide, not the name
    path.write_bytes(data)
    photo = load_image({"path": path, "str": str(path), "bytes": data}[kind])
    np.testing.assert_array_equal(photo.rgb, picture())
    assert photo.alpha is None
    assert_owned(photo.rgb)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        *[("JPEG", options) for options in ({}, {"progressive": True}, {"subsampling": 0})],
        ("WEBP", {}),
        *[("AVIF", options) for options in ({}, {"subsampling": "4:4:4"})],
    ],
)
def test_lossy_files(file_format: str, options: dict[str, Any]) -> None:
    photo = load_image(encoded(Image.fromarray(picture()), file_format, quality=95, **options))
    assert np.abs(photo.rgb.astype(int) - picture()).mean() < 2


# EXIF 2.32, 4.6.4: where the first row and the first column of the stored picture are shown
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(
        file_format, {}
    )
    data = encoded(Image.fromarray(picture()), file_format, exif=exif, **options)
    expected = UPRIGHT.get(orientation, UPRIGHT[1])(picture())  # 0 and 9 mean nothing
    photo = load_image(data)
    assert photo.rgb.shape == expected.shape
    assert np.abs(photo.rgb.astype(int) - expected).max() <= (24 if file_format == "JPEG" else 0)
    assert_owned(photo.rgb)


def test_alpha_turns_with_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = load_image(encoded(Image.fromarray(picture(4)), "PNG", exif=exif))
    expected = UPRIGHT[6](picture(4))
    np.testing.assert_array_equal(photo.rgb, expected[..., :3])
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, expected[..., 3])


def test_rgba() -> None:
    """The colours under transparent pixels stay as they are."""
    image = picture(4)
    image[:50, :, 3] = 0
    for file_format, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        photo = load_image(encoded(Image.fromarray(image), file_format, **options))
        np.testing.assert_array_equal(photo.rgb, image[..., :3])
        assert photo.alpha is not None
        np.testing.assert_array_equal(photo.alpha, image[..., 3])
        assert_owned(photo.alpha)


def test_opaque_alpha_is_none() -> None:
    image = picture(4)
    image[..., 3] = 255
    assert load_image(encoded(Image.fromarray(image), "PNG")).alpha is None
    assert load_image(image).alpha is None


def test_grey_and_grey_with_alpha() -> None:
    grey = picture()[..., 0]
    photo = load_image(encoded(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(photo.rgb, np.repeat(grey[..., None], 3, 2))
    with_alpha = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(picture()[..., 1])])
    photo = load_image(encoded(with_alpha, "PNG"))
    np.testing.assert_array_equal(photo.rgb, np.repeat(grey[..., None], 3, 2))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, picture()[..., 1])
    bits = Image.fromarray(grey).convert("1")
    photo = load_image(encoded(bits, "PNG"))
    assert set(np.unique(photo.rgb)) == {0, 255}


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey(suffix: str) -> None:
    """Scaled, not clipped; rounded to the nearest. Written by OpenCV."""
    deep = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
    ok, data = cv2.imencode(suffix, deep)
    assert ok
    photo = load_image(data.tobytes())
    np.testing.assert_array_equal(photo.rgb[..., 1], np.round(deep / 257.0).astype(np.uint8))
    assert photo.alpha is None


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour(channels: int) -> None:
    deep = picture(channels).astype(np.uint16) * 257
    bgr = cv2.cvtColor(deep, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA)
    ok, data = cv2.imencode(".png", bgr)
    assert ok
    photo = load_image(data.tobytes())
    np.testing.assert_array_equal(photo.rgb, picture())
    if channels == 4:
        assert photo.alpha is not None
        np.testing.assert_array_equal(photo.alpha, picture(4)[..., 3])


def test_cmyk_jpeg() -> None:
    """Against OpenCV's decoder, and right way round: white paper is white."""
    cmyk = Image.fromarray(picture()).convert("CMYK")
    data = encoded(cmyk, "JPEG", quality=98)
    photo = load_image(data)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(photo.rgb.astype(int) - expected).mean() < 3
    assert np.abs(photo.rgb.astype(int) - picture()).mean() < 3
    paper = Image.new("CMYK", (W, H), (0, 0, 0, 0))
    assert load_image(encoded(paper, "JPEG")).rgb.min() >= 253


def test_palette() -> None:
    image = Image.fromarray(picture()).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    photo = load_image(encoded(image, "PNG"))
    np.testing.assert_array_equal(photo.rgb, np.array(image.convert("RGB")))
    assert photo.alpha is None
    photo = load_image(encoded(image, "PNG", transparency=bytes(range(0, 128, 2))))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.rgb, np.array(image.convert("RGB")))
    np.testing.assert_array_equal(photo.alpha, np.array(image) * 2)
    assert load_image(encoded(image, "GIF")).rgb.shape == (H, W, 3)


def test_one_transparent_colour() -> None:
    image = picture()
    image[:60] = (1, 2, 3)
    photo = load_image(encoded(Image.fromarray(image), "PNG", transparency=(1, 2, 3)))
    np.testing.assert_array_equal(photo.rgb, image)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha[:, 0], [0] * 60 + [255] * (H - 60))
    grey = image[..., 0]
    photo = load_image(encoded(Image.fromarray(grey), "PNG", transparency=1))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, grey == 1)
    deep = grey.astype(np.uint16) * 257
    photo = load_image(encoded(Image.fromarray(deep), "PNG", transparency=257))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, grey == 1)


def test_first_picture_of_an_animation() -> None:
    frames = [Image.fromarray(picture()), Image.new("RGB", (W, H))]
    for file_format in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if file_format == "WEBP" else {}
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(load_image(data).rgb, picture())


def swapped_profile() -> bytes:
    """An sRGB profile with another name and the primaries of red and green exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    name = "sRGB".encode("utf-16-be")
    assert name in profile
    profile[:] = profile.replace(name, "test".encode("utf-16-be"))
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def test_colour_profile_is_applied() -> None:
    image = Image.fromarray(picture())
    photo = load_image(encoded(image, "PNG", icc_profile=swapped_profile()))
    assert np.abs(photo.rgb.astype(int) - picture()[..., [1, 0, 2]]).max() <= 2
    with_alpha = Image.fromarray(picture(4))
    photo = load_image(encoded(with_alpha, "PNG", icc_profile=swapped_profile()))
    assert np.abs(photo.rgb.astype(int) - picture()[..., [1, 0, 2]]).max() <= 2
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, picture(4)[..., 3])


def test_colour_profile_that_says_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"not a profile", swapped_profile()[:200]):
        photo = load_image(encoded(Image.fromarray(picture()), "PNG", icc_profile=profile))
        np.testing.assert_array_equal(photo.rgb, picture())


# Arrays


def test_arrays() -> None:
    for array in (picture(), picture(4), picture()[..., 0], np.asfortranarray(picture())):
        before = array.copy()
        photo = load_image(array)
        expected = array[..., :3] if array.ndim == 3 else np.repeat(array[..., None], 3, 2)
        np.testing.assert_array_equal(photo.rgb, expected)
        assert_owned(photo.rgb)
        photo.rgb[:] = 0
        np.testing.assert_array_equal(array, before)
    photo = load_image(picture(4)[::-1, ::-1])
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, picture(4)[::-1, ::-1, 3])


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((200, 200, 3), np.float32), "float32"),
        (np.zeros((200, 200, 3), np.uint16), "uint16"),
        (np.zeros((200, 200, 2), np.uint8), r"\[200, 200, 2\]"),
        (np.zeros((200, 200, 1), np.uint8), r"\[200, 200, 1\]"),
        (np.zeros((3, 200, 200), np.uint8), r"\[3, 200, 200\]"),
        (np.zeros(200, np.uint8), r"\[200\]"),
        (np.zeros((1, 200, 200, 3), np.uint8), r"\[1, 200, 200, 3\]"),
        (np.zeros((0, 0, 3), np.uint8), "0 x 0"),
        (np.zeros((127, 500, 3), np.uint8), "500 x 127"),
        (np.broadcast_to(np.uint8(0), (9000, 9000, 3)), "9000 x 9000"),
        (None, "NoneType"),
        (3.5, "float"),
    ],
)
def test_bad_arrays(array: Any, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        load_image(array)


# Files that cannot be used


def test_size_limits() -> None:
    smallest = Image.new("RGB", (128, 128))
    assert load_image(encoded(smallest, "PNG")).rgb.shape == (128, 128, 3)
    with pytest.raises(ImageError, match=r"127 x 400 pixels; give at least 128"):
        load_image(encoded(Image.new("RGB", (127, 400)), "PNG"))


def test_8k() -> None:
    wide = Image.new("L", (7680, 4320), 99)
    assert load_image(encoded(wide, "JPEG")).rgb.shape == (4320, 7680, 3)


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8193, 12_000, 60_000, 2**31 - 1])
def test_decompression_bomb(side: int) -> None:
    """Refused by the header, before memory is taken, whatever Pillow's own limit says."""
    assert side * side > MAX_PIXELS
    with pytest.raises(ImageError, match="8K"):
        load_image(png_header(side, side))


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        load_image(tmp_path / "nothing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        load_image(str(tmp_path))
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match="0 bytes"):
        load_image(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="0 bytes"):
        load_image(b"")
    (tmp_path / "notes.jpg").write_text("no picture at all\n" * 50)
    with pytest.raises(ImageError, match=r"notes\.jpg is not an image"):
        load_image(tmp_path / "notes.jpg")
    with pytest.raises(ImageError, match="does not exist"):
        load_image("https://localhost/photo.jpg")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_file(file_format: str, part: float) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (H, W, 3), dtype=np.uint8))
    data = encoded(noise, file_format)
    with pytest.raises(ImageError):
        load_image(data[: int(len(data) * part)])


def test_other_formats_are_not_tried() -> None:
    """Postscript would be given to a program."""
    with pytest.raises(ImageError, match="format known here"):
        load_image(encoded(Image.new("RGB", (200, 200)), "EPS"))


def test_float_tiff() -> None:
    ok, data = cv2.imencode(".tiff", picture()[..., 0].astype(np.float32) / 255)
    assert ok
    with pytest.raises(ImageError, match="8-bit"):
        load_image(data.tobytes())


@pytest.fixture(scope="module")
def small_files() -> dict[str, bytes]:
    image = Image.fromarray(picture(4))
    return {
        "JPEG": encoded(image.convert("RGB"), "JPEG", icc_profile=swapped_profile()),
        "PNG": encoded(image, "PNG", icc_profile=swapped_profile()),
        "WEBP": encoded(image, "WEBP"),
        "GIF": encoded(image.convert("P"), "GIF"),
        "TIFF": encoded(image, "TIFF", compression="tiff_lzw"),
        "BMP": encoded(image.convert("RGB"), "BMP"),
    }


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]))
def test_damaged_files_raise_nothing_else(
    small_files: dict[str, bytes], data: st.DataObject, name: str
) -> None:
    whole = small_files[name]
    broken = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    places = st.one_of(st.integers(0, min(300, len(whole) - 1)), st.integers(0, len(whole) - 1))
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=20)):
        if at < len(broken):
            broken[at] = value
    try:
        photo = load_image(bytes(broken))
    except ImageError:
        return
    assert photo.rgb.ndim == 3
    assert photo.alpha is None or photo.alpha.shape == photo.rgb.shape[:2]
