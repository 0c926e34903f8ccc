"""What files and pictures say of their origin, and whether that is true of them; offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from parlante.checks import open_file, path_of
from parlante.contract import Image
from parlante.errors import ImageError, ParlanteError, reason, shown
from parlante.media.photo import load_image
from parlante.media.video import read_video
from parlante.provenance.manifest import FACT, SOURCE_TYPE
from parlante.provenance.watermark import FRAMES, Watermark, find

UNTRUSTED = "signingCredential.untrusted"
UNKNOWN = "NotSupported"  # begins what the C2PA's library says of other kinds of files
PIECES = 10  # of two seconds: so much of a video is searched for a watermark


@dataclass(frozen=True)
class Provenance:
    """What a file says of its origin.

    found: whether there is a manifest; intact: whether the file is as it was when that was signed;
    trusted: whether the signer is of those that the C2PA trusts; signer: who it says it is;
    generated: whether it says that a trained model made it; product: what made it, and its version;
    face: the key of the encoded face, where parlante made it; wrong: what does not agree, by the
    C2PA's codes; watermark: the one in its pictures, if there is one.
    """

    found: bool = False
    intact: bool = False
    trusted: bool = False
    generated: bool = False
    signer: str = ""
    product: str = ""
    face: str = ""
    wrong: tuple[str, ...] = ()
    watermark: Watermark | None = None

    @property
    def made(self) -> bool:
        """Whether it says, by a manifest that holds or a watermark alone, that it was made."""
        return self.intact and self.generated if self.found else self.watermark is not None

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def detect(frames: Iterable[Image]) -> Watermark | None:
    """The watermark in pictures uint8 [H, W, 3] RGB; None where none is found.

    They are one picture, or frames of a video that follow each other, all of one size; of the first
    50 every fifth is searched, all together. A mark outlasts coding, scaling from 0.45 to 2.2 of
    the size it was made in, cuts, and changes of brightness; not turns, and hardly pictures under
    200 pixels.

    Raises:
        ImageError: these are no such pictures.
    """
    return find(_checked(frames))


def _checked(frames: Iterable[Image]) -> Iterator[Image]:
    if not isinstance(frames, Iterable):
        raise ImageError(f"the frames are {shown(frames)}; give a list of uint8 [H, W, 3]")
    size: tuple[int, ...] = ()
    for frame in frames:
        given = frame.shape if isinstance(frame, np.ndarray) else ()
        usable = len(given) == 3 and given[2] == 3 and 0 not in given and frame.dtype == np.uint8
        if not usable or given != (size or given):
            raise ImageError(
                f"a frame is {given or type(frame).__name__}; give uint8 [H, W, 3], all of one size"
            )
        size = given
        yield frame


def verify(path: str | Path) -> Provenance:
    """What a video or picture file says of its origin, and whether that is true of it.

    Of a video up to 20 seconds are searched for a watermark.

    Raises:
        ParlanteError: it cannot be read.
    """
    path = path_of(path, ParlanteError)
    try:
        found = _manifest_of(path)
        return replace(found, watermark=next(filter(None, map(detect, _pieces(path))), None))
    except ParlanteError as error:
        raise ParlanteError(
            f"{path} cannot be verified ({reason(error)}); give a video or a picture"
        ) from error


def _manifest_of(path: Path) -> Provenance:
    import c2pa

    try:
        with open_file(path) as file:
            reader = c2pa.Reader.try_create(path.suffix.lower().lstrip("."), file)
            if reader is None:
                return Provenance()
            told = json.loads(reader.json())
    except (c2pa.C2paError, OSError, ValueError) as error:
        if str(error).startswith(UNKNOWN):
            return Provenance()
        raise ParlanteError(reason(error)) from error
    manifest = told["manifests"][told["active_manifest"]]
    assertions = {one["label"]: one["data"] for one in manifest.get("assertions", [])}
    actions = assertions.get("c2pa.actions.v2", {}).get("actions", [])
    made_by = manifest.get("claim_generator_info", [{}])[0]
    wrong = tuple(status["code"] for status in told.get("validation_status", []))
    return Provenance(
        found=True,
        intact=not set(wrong) - {UNTRUSTED},
        trusted=not wrong,
        generated=any(action.get("digitalSourceType") == SOURCE_TYPE for action in actions),
        signer=manifest.get("signature_info", {}).get("issuer", ""),
        product=f"{made_by.get('name', '')} {made_by.get('version', '')}".strip(),
        face=assertions.get(FACT, {}).get("face", ""),
        wrong=wrong,
    )


def _pieces(path: Path) -> Iterator[Iterator[Image]]:
    """The frames of a picture or of pieces of a video, whatever the file is; of one size each."""
    try:
        yield iter([load_image(path).rgb])
        return
    except ImageError:
        frames = islice(read_video(path), PIECES * FRAMES)
    for _, same in groupby(frames, np.shape):
        alike = iter(same)
        for first in alike:
            yield chain([first], islice(alike, FRAMES - 1))
