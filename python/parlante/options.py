"""How a video is drawn: one value that says everything, checked when it is made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypedDict, get_args

import numpy as np

from parlante.backdrop import Backdrop, Color, background_of
from parlante.checks import choice, frame_pixels, number, whole
from parlante.contract import (
    FUTURES,
    LOOK_AHEAD,
    NATIVE_FPS,
    Mark,
    Mood,
    Picture,
    Pixels,
)
from parlante.errors import ParlanteError, shown

if TYPE_CHECKING:
    from typing_extensions import Unpack

MIN_SIZE, MAX_SIZE = 128, 1080
MAX_STEPS = 50
MAX_FPS = 120
FRAME_MS = int(1000 / NATIVE_FPS)  # of a frame of motion
LOOK_AHEADS = tuple(ahead * FRAME_MS for ahead in FUTURES)
MAX_GAIN = 2.0
GAINS = ("pose", "nod", "blink", "brows", "eyes", "expression", "breath")
MAX_GAZE = 25.0  # degrees
NO_MARKS = "none"
# What may be changed while a session is live.
CHANGEABLE = (*GAINS, "gaze", "mood", "neutral")


class RenderKeywords(TypedDict, total=False):
    """The keywords of `Avatar.speak` and `Avatar.live`; see `RenderOptions` for what they mean."""

    steps: int
    seed: int | None
    size: int
    frame: str
    fps: Fraction | int | float
    look_ahead: int
    pose: float
    nod: float
    blink: float
    brows: float
    eyes: float
    gaze: tuple[float, float] | str
    mood: tuple[Mood, float] | str
    neutral: float
    expression: float
    breath: float
    pixels: Pixels
    background: Color | Picture | Backdrop | None
    marks: Collection[Mark] | str
    payload: int


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """What a video looks like.

    Give it to `Avatar.speak` or `Avatar.live`, or give its fields there as keywords.

    Raises:
        ParlanteError: a value is out of its range.
        ImageError: the background cannot be read.
    """

    steps: int = field(default=2, metadata={"help": "diffusion steps a frame, 1 to 50"})
    """Diffusion steps a frame (K of the paper), 1 to 50. 1 is fastest, 4 or more change little."""

    seed: int | None = field(
        default=None,
        metadata={"help": "of head motion, blinks and noise (default: by face and sound)"},
    )
    """Seed of head motion, blinks and noise, 0 to 2⁶⁴ − 1. The same seed gives the same video, bit
    for bit; change it for another performance of the same speech. Left out, it comes from the face
    and the sound (live, from the face alone), see `Speech.seed`: also the same whenever these are,
    but no two speeches move alike."""

    size: int = field(
        default=512, metadata={"help": "side of the picture, pixels, even, 128 to 1080"}
    )
    """Side of the square picture in pixels, even, 128 to 1080; of a whole photo the shorter side,
    where the photo has as many. Time a frame grows with it."""

    frame: str = field(
        default="head",
        metadata={"help": "what is shown: head, a square; photo, all of it; or 1920x1080 pixels"},
    )
    """What a frame shows: ``"head"``, a square around head and shoulders; ``"photo"``, the whole
    photo with its own aspect, in which the head moves and the rest stands still; or as much of it
    as fills a frame of a width and a height, ``"1920x1080"``, both even, 128 to 1920, whatever
    ``size`` is. Head and shoulders are never cut off there: what the photo leaves of the frame
    shows it blurred, or the ``background``."""

    fps: Fraction | int | float = field(
        default=Fraction(25), metadata={"help": "frames a second, 1 to 120"}
    )
    """Frames a second, 1 to 120; 29.97 and the like mean 30000/1001. Change it to match the
    recording or display that the video goes to. Kept as an exact fraction."""

    look_ahead: int = field(
        default=LOOK_AHEAD * FRAME_MS,
        metadata={"help": "sound that lips wait for, ms: 40, 80 or 160"},
    )
    """Milliseconds of sound that lips wait for before they are drawn: 40, 80 or 160. Lips prepare
    what comes next, so with less of it they are less right; a live face answers so much sooner."""

    pose: float = field(default=1.0, metadata={"help": "strength of head motion, 0 to 2"})
    """Strength of head motion, 0 (still) to 2 (double)."""

    nod: float = field(default=0.0, metadata={"help": "strength of nods at stressed words, 0 to 2"})
    """Strength of nods at stressed words, 0 (none: people's heads move with them, but in no
    direction) to 2 (7 degrees)."""

    blink: float = field(default=1.0, metadata={"help": "strength of blinks, 0 to 2"})
    """Strength of blinks, 0 (never) to 2."""

    brows: float = field(default=1.0, metadata={"help": "strength of brow motion, 0 to 2"})
    """Strength of the motion of brows and of what is around the eyes, 0 (still) to 2 (double)."""

    eyes: float = field(default=1.0, metadata={"help": "strength of eye motion, 0 to 2"})
    """Strength of the motion of the eyes, 0 (still in the head) to 2: they jump from point to
    point, and stay with what they look at while the head turns."""

    gaze: tuple[float, float] | str = field(
        default=(0.0, 0.0),
        metadata={"help": "where the eyes look: degrees to the right and up, R,U, -25 to 25"},
    )
    """Where the eyes look, from where they look in the photo: degrees to the right of the picture
    and up, −25 to 25 each, or both in a text, ``"R,U"``."""

    mood: tuple[Mood, float] | str = field(
        default=("neutral", 1.0),
        metadata={"help": "neutral, friendly, serious, sad or surprised; NAME,0.5 for half of it"},
    )
    """The mood that is laid over the photo's own expression: ``"neutral"`` (none), ``"friendly"``,
    ``"serious"``, ``"sad"`` or ``"surprised"``, with a strength from 0 to 1 where wanted:
    ``("friendly", 0.5)`` or ``"friendly,0.5"``."""

    neutral: float = field(
        default=0.0, metadata={"help": "how far the photo's own expression is taken back, 0 to 1"}
    )
    """How far the photo's own expression is taken back, 0 (it stays: a smile lasts) to 1."""

    expression: float = field(default=1.0, metadata={"help": "strength of lip motion, 0 to 2"})
    """Strength of lip motion, 0 (shut) to 2 (double)."""

    breath: float = field(default=1.0, metadata={"help": "strength of breath, 0 to 2"})
    """Strength of the breath that lifts the shoulders, 0 (none) to 2 (double)."""

    pixels: Pixels = field(
        default="rgb", metadata={"help": "of the frames: rgb, bgr, rgba (straight alpha) or nv12"}
    )
    """How a frame lies in memory: ``"rgb"``, ``"bgr"`` (as OpenCV wants it), ``"rgba"`` (straight
    alpha: the matte, where there is no background) or ``"nv12"`` (BT.709). Files are made from rgb
    or, transparent ones, from rgba; streams and the web page from rgb."""

    background: Color | Picture | Backdrop | None = field(
        default=None,
        metadata={
            "help": "instead of the photo's own: green, a colour R,G,B or #rrggbb, or a picture"
        },
    )
    """Instead of the photo's own background: ``"green"`` (chroma key), a colour (r, g, b),
    ``"R,G,B"`` or ``"#rrggbb"``, or a picture (path, bytes of an image file, or array), of which
    the middle fills the frame."""

    marks: Collection[Mark] | str = field(
        default="manifest,watermark",
        metadata={"help": "what says that it was made: manifest, watermark, both, or none"},
    )
    """What says that it was made: ``"manifest"``, a signed C2PA manifest in files (.mp4 and .mov),
    and ``"watermark"``, an invisible mark in every frame, of which `parlante.provenance` tells
    more; several in a text, ``"manifest,watermark"``; ``()`` or ``"none"`` for none. Whoever leaves
    them out has to say in other ways that a machine made the pictures (EU AI Act, art. 50)."""

    payload: int = field(
        default=0, metadata={"help": "a number of yours in the watermark, 0 to 2^48 - 1"}
    )
    """A number of yours that the watermark carries, 0 to 2⁴⁸ − 1."""

    def __post_init__(self) -> None:
        choice("pixels", self.pixels, get_args(Pixels))
        frame_pixels(self.frame)
        checked = {
            "size": _size(self.size),
            "steps": whole("steps", self.steps, 1, MAX_STEPS),
            "seed": None if self.seed is None else whole("seed", self.seed, 0, 2**64 - 1),
            "fps": frame_rate(self.fps),
            "look_ahead": _look_ahead(self.look_ahead),
            "gaze": _gaze(self.gaze),
            "mood": _mood(self.mood),
            "neutral": number("neutral", self.neutral, 1.0, "(as in the photo) to 1 (none)"),
            **{
                name: number(name, getattr(self, name), MAX_GAIN, "(off) to 2 (double)")
                for name in GAINS
            },
            "background": background_of(self.background),
            "marks": _marks(self.marks),
            "payload": whole("payload", self.payload, 0, 2**48 - 1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls, options: RenderOptions | None = None, **keywords: Unpack[RenderKeywords]
    ) -> RenderOptions:
        """``options`` (the defaults where None), with ``keywords`` in the place of its fields."""
        try:
            return replace(options or cls(), **keywords)
        except TypeError as error:
            unknown = sorted(keywords.keys() - cls.__dataclass_fields__.keys())
            raise ParlanteError(
                f"unknown option {', '.join(unknown) or error}; there are "
                f"{', '.join(cls.__dataclass_fields__)}"
            ) from None

    def changed(self, /, **keywords: Unpack[RenderKeywords]) -> RenderOptions:
        """These, with ``keywords`` that a live session can change (`CHANGEABLE`)."""
        fixed = sorted(keywords.keys() - set(CHANGEABLE))
        if fixed:
            raise ParlanteError(
                f"{', '.join(fixed)} cannot change in a session; {', '.join(CHANGEABLE)} can"
            )
        return RenderOptions.of(self, **keywords)

    @property
    def rate(self) -> Fraction:
        """``fps`` as the fraction that it is."""
        assert isinstance(self.fps, Fraction)
        return self.fps

    @property
    def ahead(self) -> int:
        """``look_ahead`` in frames of motion."""
        return self.look_ahead // FRAME_MS

    @property
    def backdrop(self) -> Color | Backdrop | None:
        """``background`` as what it is; None for what the photo shows."""
        assert self.background is None or isinstance(self.background, (tuple, Backdrop))
        return self.background


def frame_rate(fps: Fraction | int | float) -> Fraction:
    """An exact rate: 29.97, 23.976 and 59.94 become n · 1000/1001. ParlanteError outside 1…120."""
    number = isinstance(fps, (int, float, Fraction, np.integer, np.floating))
    if isinstance(fps, bool) or not number or not 1 <= fps <= MAX_FPS:
        raise ParlanteError(f"fps={shown(fps)}; give a number from 1 to {MAX_FPS}")
    if isinstance(fps, Fraction):
        if max(fps.as_integer_ratio()) >= 2**31:  # what videos can state
            raise ParlanteError(f"fps={shown(fps)}; give a fraction of smaller numbers")
        return fps
    nearest = round(float(fps))
    if float(fps) == nearest:
        return Fraction(nearest)
    ntsc = Fraction(round(float(fps) * 1.001) * 1000, 1001)
    near = abs(float(ntsc) - float(fps)) < 0.01
    return ntsc if near else Fraction(float(fps)).limit_denominator(1001)


def _size(size: int) -> int:
    if whole("size", size, MIN_SIZE, MAX_SIZE) % 2:
        raise ParlanteError(f"size={size}; give an even number, H.264 has no others")
    return int(size)


def _look_ahead(given: int) -> int:
    if whole("look_ahead", given, LOOK_AHEADS[0], LOOK_AHEADS[-1]) not in LOOK_AHEADS:
        known = ", ".join(map(str, LOOK_AHEADS))
        raise ParlanteError(f"look_ahead={shown(given)}; give one of {known}")
    return int(given)


def _gaze(given: object) -> tuple[float, float]:
    parts = given.split(",") if isinstance(given, str) else given
    try:
        right, up = (float(part) for part in parts)  # type: ignore[attr-defined]
        if abs(right) <= MAX_GAZE and abs(up) <= MAX_GAZE:
            return right, up
    except (TypeError, ValueError, OverflowError):
        pass
    raise ParlanteError(
        f"gaze={shown(given)}; give degrees to the right and up, each from {-MAX_GAZE:.0f} to "
        f"{MAX_GAZE:.0f}"
    )


def _mood(given: object) -> tuple[str, float]:
    """The mood and its strength in ``"friendly"``, ``"friendly,0.5"`` or ``("friendly", 0.5)``."""
    parts = given.split(",") if isinstance(given, str) else given
    try:
        name, strength = (*parts, 1.0)[:2]  # type: ignore[misc]
        known = isinstance(name, str) and name in get_args(Mood)
        if known and 0 <= float(strength) <= 1 and len(parts) <= 2:  # type: ignore[arg-type]
            return name, float(strength)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ParlanteError(
        f"mood={shown(given)}; give one of {', '.join(get_args(Mood))}, and after a comma a "
        "strength from 0 to 1 where you like"
    )


def _marks(given: Collection[str] | str) -> tuple[str, ...]:
    """The marks in ``("manifest", "watermark")``, ``"manifest,watermark"``, or ``"none"``."""
    if isinstance(given, str):
        given = [] if given == NO_MARKS else given.split(",")
    if isinstance(given, Collection) and all(
        isinstance(mark, str) and mark in get_args(Mark) for mark in given
    ):
        return tuple(mark for mark in get_args(Mark) if mark in given)
    raise ParlanteError(
        f"marks={shown(given)}; give some of {', '.join(get_args(Mark))}, or {NO_MARKS}"
    )
