"""All kinds of bad inputs by groups, and the page of the documentation that lists them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fuzz.bad_inputs import calls, commands, media, models, native, network
from fuzz.bad_inputs.kind import Answer, Kind
from parlante.runtime.assets import networks_folder

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bad-inputs.md"
GROUPS: dict[str, Callable[[], Iterator[Kind]]] = {
    "Photos": media.photos,
    "Sounds": media.sounds,
    "Videos of a person": media.videos,
    "Encoded faces": models.faces,
    "Bundles": models.bundles,
    "Options of the picture": calls.options,
    "Avatar, speak and live": calls.avatars,
    "Live sessions": calls.sessions,
    "Writing": calls.writers,
    "Marks, captions, certificates": calls.others,
    "Commands": commands.commands,
    "parlante serve": network.pages,
    "Native ops": native.arrays,
}


@contextmanager
def scratch() -> Iterator[None]:
    """An empty folder to be in, so that messages name the same paths everywhere."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def answers(group: str) -> Iterator[tuple[str, Answer]]:
    """What each input of a group is, and gets."""
    with scratch():
        places = f"{Path.cwd()}/", f"{networks_folder().parent}/"
        for kind in GROUPS[group]():
            answer = kind.answer()
            message = answer.message
            for place in places:
                message = message.replace(place, "")
            yield kind.what, answer._replace(message=message)


def cell(text: str) -> str:
    """A text as a cell of a table."""
    shown = text if len(text) < 400 else f"{text[:300]} … {text[-90:]}"
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return shown.replace("\n", "⏎").replace("\0", "\\0")


def rows(group: str) -> list[str]:
    """The rows of a group's table."""
    return [
        f"| {cell(what)} | {answer.error} | {cell(answer.message)} |"
        for what, answer in answers(group)
    ]


def page() -> str:
    """The whole page."""
    told = {group: rows(group) for group in GROUPS}
    count = sum(map(len, told.values()))
    lines = [
        "# Bad inputs",
        "",
        f"{count} kinds of inputs that cannot be used, and what each is told. An error of the",
        "Python API is a `ParlanteError`, by the name in the second column; a command prints it",
        "and returns 1. *usage* is what the command line's own parser says, which returns 2. The",
        "native ops raise `TypeError` and `ValueError`. Made by `python -m fuzz.bad_inputs`.",
        "",
    ]
    for group, table in told.items():
        lines += [
            f"## {group}",
            "",
            "| input | error | message |",
            "| --- | --- | --- |",
            *table,
            "",
        ]
    return "\n".join(lines)
