"""Photos in: a file, its bytes or an array becomes upright 8-bit sRGB and, if it has one, an alpha.

Pillow reads the files: it knows more of the formats that photos come in than OpenCV does (CMYK and
16-bit files, palettes with transparency, orientation, colour profiles) and reports what is damaged.
"""

import io
import logging
import os
import struct
import warnings
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from parlante.checks import open_file
from parlante.contract import Image, Picture
from parlante.errors import ImageError, reason

_log = logging.getLogger(__name__)

MIN_SIDE: Final = 128
# 8K in any orientation; decoded, that is 256 MB of RGBA. Also the guard against small files that
# decode to gigabytes.
MAX_PIXELS: Final = 8192 * 8192

# Pillow's other formats are rare, and one of them (EPS) runs a program on the file.
_FORMATS: Final = ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"]

# What Pillow's parsers let through on files that are damaged or made to be.
_PARSER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    EOFError,
    struct.error,
    Pillow.DecompressionBombError,
)


class Photo(NamedTuple):
    """`rgb` u8 [H, W, 3], sRGB, upright; `alpha` u8 [H, W], straight, or None if all is opaque."""

    rgb: Image
    alpha: Image | None


def load_image(source: Picture) -> Photo:
    """Load a photo of 128 pixels a side to 8K (8192 x 8192 pixels in all).

    Args:
        source: path or contents of an image file (JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM, JPEG
            2000; of several pictures the first), or u8 [H, W], [H, W, 3] RGB or [H, W, 4] RGBA.

    Returns:
        Arrays of their own, C-contiguous. Files are turned by their EXIF orientation and converted
        to sRGB by their colour profile; 16 bits are rounded to 8.

    Raises:
        ImageError: missing, damaged, truncated or unknown file; too small or too large; an array of
            another type or shape.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes):
        if not source:
            raise ImageError("image is 0 bytes; give the contents of an image file")
        return _from_file(io.BytesIO(source), f"image ({len(source)} bytes)")
    if not isinstance(source, (str, Path)):
        raise ImageError(
            f"image is of type {type(source).__name__}; give a path, the bytes of an image file "
            "or a numpy array"
        )
    path = Path(source)
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder; give the path of an image file")
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ImageError(f"{path} is empty (0 bytes); give an image file")
            return _from_file(file, str(path))
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist; check the path") from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read; check its permissions") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise ImageError(f"{path} cannot be read ({reason(error)}); check the path") from error


def _from_array(array: NDArray[Any]) -> Photo:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or (array.ndim == 3 and channels not in (3, 4)):
        raise ImageError(
            f"image array has shape {list(array.shape)}; give [H, W], [H, W, 3] RGB "
            "or [H, W, 4] RGBA"
        )
    if array.dtype != np.uint8:
        raise ImageError(f"image array is {array.dtype}; give uint8 in 0..255")
    check_size(array.shape[1], array.shape[0], "image array")
    if array.ndim == 2:
        return Photo(np.repeat(array[:, :, None], 3, axis=2), None)
    rgb = array[:, :, :3].copy(order="C")
    return Photo(rgb, _alpha_or_none(array[:, :, 3].copy(order="C")) if channels == 4 else None)


def _from_file(file: IO[bytes], name: str) -> Photo:
    try:
        with warnings.catch_warnings():
            # Pillow's own limit is above ours, which is checked before anything is decoded.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            # Odd metadata in an image that decodes is no concern of the caller.
            warnings.simplefilter("ignore", UserWarning)
            with Pillow.open(file, formats=_FORMATS) as image:
                check_size(image.width, image.height, name)
                image.load()
                upright = ImageOps.exif_transpose(image)
                return Photo(_rgb(upright, name), _alpha(upright))
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image in a format known here; convert it to JPEG or PNG"
        ) from error
    except Pillow.DecompressionBombError as error:
        raise ImageError(f"{name} has too many pixels; scale it down to 8K or less") from error
    except _PARSER_ERRORS as error:
        raise ImageError(
            f"{name} is damaged or cut short ({error}); export or copy the image again"
        ) from error


def check_size(width: int, height: int, name: str) -> None:
    """ImageError unless both sides are at least 128 and the area is at most 8192 x 8192."""
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{name} is {width} x {height} pixels; give at least {MIN_SIDE} pixels on each side"
        )
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {width} x {height} pixels; scale it down to 8K "
            f"({MAX_PIXELS / 1e6:.0f} million pixels) or less"
        )


def _rgb(image: Pillow.Image, name: str) -> Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _grey_from_16_bits(image, name)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if "transparency" in image.info and image.mode != "RGBA":
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        # Not convert("RGB") at once: premultiplied modes have to be divided by their alpha first.
        image = image.convert("RGBA").convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    image = _to_srgb(image, name)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), order="C")


def _grey_from_16_bits(image: Pillow.Image, name: str) -> Image:
    """Pillow would clip at 255 instead."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" or low < 0 or high > 65535:
        raise ImageError(
            f"{name} holds {values.dtype} values {low:g}..{high:g}, expected 8 or 16 bits; "
            "export it as 8-bit JPEG or PNG"
        )
    grey: Image = ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return grey


def _to_srgb(image: Pillow.Image, name: str) -> Pillow.Image:
    """By the file's profile: phones write Display P3 and print shops CMYK; skin shows it."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(given):
            return image
        converted = ImageCms.profileToProfile(
            image, given, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        _log.info("%s: colour profile ignored (%s)", name, error)
        return image
    return image if converted is None else converted


def _alpha(image: Pillow.Image) -> Image | None:
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "La", "RGBa"):
        return None
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return _alpha_or_none(np.array(image.convert("RGBA").getchannel("A"), order="C"))
    # 16-bit grey with one transparent value.
    key = image.info["transparency"]
    if not isinstance(key, int):
        return None
    return _alpha_or_none(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))


def _alpha_or_none(alpha: Image) -> Image | None:
    return None if bool((alpha == 255).all()) else alpha
