"""A parser of arguments that tells what is wrong in one line."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

from parlante.errors import ParlanteError

_CHOICE = re.compile(r"argument (.+?): invalid choice: '([^']*)'.*\(choose from (.*)\)")
_NUMBER = re.compile(r"argument (.+?): invalid (int|float) value: (.*)")


class Parser(argparse.ArgumentParser):
    """Where arguments are wrong it prints one line, with a hint, in the place of the usage."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with 2."""
        told = ParlanteError(_plain(message))  # of one line
        self.exit(2, f"{self.prog}: error: {told}; see {self.prog} --help\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End, after all that was printed: whoever read it may be gone."""
        print(end="", flush=True)
        super().exit(status, message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Nothing may be left: a command's parser tells it, not the one around it."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            options = self._option_string_actions if left[0].startswith("-") else ()
            near = _nearest(left[0].partition("=")[0], options)
            self.error(f"unknown arguments: {shlex.join(left)}{near}")
        return found, left


def _plain(message: str) -> str:
    """What argparse says, as people are told."""
    if found := _CHOICE.fullmatch(message):
        name, given, known = found[1], found[2], re.findall(r"[\w-]+", found[3])
        what = "there is no command" if name == "COMMAND" else f"{name}: there is no"
        return f"{what} {given!r}{_nearest(given, known)}; give one of {', '.join(known)}"
    if found := _NUMBER.fullmatch(message):
        kind = "a whole number" if found[2] == "int" else "a number"
        return f"{found[1]} {found[3]}: give {kind}"
    return message.removeprefix("argument ")


def _nearest(given: str, known: Iterable[str]) -> str:
    near = get_close_matches(given, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
