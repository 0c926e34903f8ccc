"""Command-line arguments made from the fields of the option classes, so that each is named once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlante.errors import ParlanteError
from parlante.options import RenderOptions
from parlante.runtime.compute import Compute

if TYPE_CHECKING:
    from parlante.avatar import Avatar
    from parlante.runtime.bundle import Bundle


# Of arguments whose default does not say it.
KINDS = {
    "seed": int,
    "fps": float,
    "background": str,
    "gaze": str,
    "mood": str,
    "marks": str,
    "codec": str,
    "timecode": str,
}


@dataclass(frozen=True)
class Coding:
    """How a file is coded, as `Speech.save` has it."""

    codec: str | None = field(
        default=None,
        metadata={"help": "h264, hevc, av1, or raw in .mkv (default: h264, in .webm vp9)"},
    )
    bits: int = field(default=8, metadata={"help": "of each colour: 8 or 10"})
    timecode: str | None = field(
        default=None, metadata={"help": "HH:MM:SS:FF of the first frame, in .mp4 and .mov"}
    )


def add_coding_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """One argument for each field of `Coding`; returns the group that they are in."""
    group = parser.add_argument_group("the file")
    for one in fields(Coding):
        _add(group, one, one.default)
    return group


def coding_of(arguments: argparse.Namespace) -> Coding:
    """What `add_coding_options` parsed."""
    return Coding(**{one.name: getattr(arguments, one.name) for one in fields(Coding)})


def add_render_options(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """One argument for each field of `RenderOptions`; ``defaults`` in the place of its own."""
    group = parser.add_argument_group("the picture")
    for one in fields(RenderOptions):
        _add(group, one, defaults.get(one.name, one.default))


def render_options(arguments: argparse.Namespace) -> RenderOptions:
    """What `add_render_options` parsed."""
    given = {one.name: getattr(arguments, one.name) for one in fields(RenderOptions)}
    return RenderOptions(**given)


def with_texts(
    options: RenderOptions, coding: Coding, texts: Iterable[tuple[str, str]]
) -> tuple[RenderOptions, Coding]:
    """Both, with values as written in a table in the place of their own.

    Raises:
        ParlanteError: there is no such option, or its value is none.
    """
    drawn: dict[str, Any] = {}
    coded: dict[str, Any] = {}
    known = {one.name: one for one in (*fields(RenderOptions), *fields(Coding))}
    for name, text in texts:
        if name not in known:
            raise ParlanteError(f"unknown option {name}; there are {', '.join(known)}")
        try:
            value = KINDS.get(name, type(known[name].default))(text)
        except ValueError as error:
            raise ParlanteError(f"{name}={text!r}; give a number") from error
        (coded if hasattr(coding, name) else drawn)[name] = value
    return RenderOptions.of(options, **drawn), replace(coding, **coded)


def add_avatar_options(parser: argparse.ArgumentParser) -> None:
    """What an avatar is made with: which face, networks and device."""
    group = parser.add_argument_group("the avatar")
    group.add_argument(
        "--face", type=int, metavar="N", help="which face, where there are several; 0: the largest"
    )
    add_compute_options(group)


def add_compute_options(group: argparse._ActionsContainer) -> None:
    """One argument for each field of `Compute`, and the bundle."""
    for one in fields(Compute):
        _add(group, one, one.default)
    group.add_argument(
        "--bundle", type=Path, metavar="DIR", help="networks to use instead of the built-in ones"
    )


def compute_of(arguments: argparse.Namespace) -> Compute:
    """What `add_compute_options` parsed of `Compute`."""
    return Compute(**{one.name: getattr(arguments, one.name) for one in fields(Compute)})


def bundle_of(folder: Path | None) -> Bundle | None:
    """The bundle in ``--bundle``'s folder, if there is one."""
    from parlante.runtime.bundle import Bundle

    return None if folder is None else Bundle.open(folder)


def avatar_of(arguments: argparse.Namespace, photos: list[Path]) -> Avatar:
    """The avatar of photos, a video or one encoded face, as `add_avatar_options` has it."""
    bundle = bundle_of(arguments.bundle)
    return avatar_with(photos, compute_of(arguments), arguments.face, bundle)


def avatars_of(arguments: argparse.Namespace, files: list[Path]) -> dict[str, Avatar]:
    """An avatar of each file, by their names without an ending, in the order given.

    Raises:
        ParlanteError: two have the same name.
    """
    named: dict[str, Path] = {}
    for path in files:
        if path.stem in named:
            raise ParlanteError(f"{named[path.stem]} and {path} have one name; rename one of them")
        named[path.stem] = path
    compute, bundle = compute_of(arguments), bundle_of(arguments.bundle)
    return {
        name: avatar_with([path], compute, arguments.face, bundle) for name, path in named.items()
    }


def avatar_with(
    photos: list[Path], compute: Compute, face: int | None, bundle: Bundle | None
) -> Avatar:
    """The avatar of photos, made with these."""
    from parlante.avatar import Avatar

    return Avatar(
        photos,
        face=face,
        device=compute.device,
        precision=compute.precision,
        threads=compute.threads,
        bundle=bundle,
    )


def _add(group: argparse._ActionsContainer, one: Field[Any], default: Any) -> None:
    kind = KINDS.get(one.name, type(default))
    shown = "" if default is None else f" (default: {default})"
    group.add_argument(
        f"--{one.name.replace('_', '-')}",
        type=kind,
        default=default,
        metavar=one.name.upper(),
        help=one.metadata["help"] + shown,
    )
