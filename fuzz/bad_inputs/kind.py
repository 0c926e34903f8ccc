"""One kind of bad input, and what is said to it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import NamedTuple

from parlante.errors import ParlanteError

NATIVE = ("TypeError", "ValueError")
USAGE = "usage"  # what the command line's own parser refuses


class Answer(NamedTuple):
    """The error's class, or where it came from, and its message."""

    error: str
    message: str


@dataclass(frozen=True)
class Kind:
    """``act`` gives the input; it raises, or returns the answer of a program or server."""

    what: str
    act: Callable[[], object]
    native: bool = False  # a native op, which raises errors of `NATIVE`

    def answer(self) -> Answer:
        """What the input gets.

        Raises:
            AssertionError: it is taken, or ends in an error that is not meant for people.
        """
        try:
            answer = self.act()
        except ParlanteError as error:
            return Answer(type(error).__name__, str(error))
        except (TypeError, ValueError) as error:
            assert self.native, f"{self.what}: {error!r}"
            return Answer(type(error).__name__, str(error))
        assert isinstance(answer, Answer), f"{self.what}: taken, gave {answer!r}"
        return answer


def command(*arguments: str) -> Callable[[], Answer]:
    """A command line of ``parlante``, and what it prints."""

    def act() -> Answer:
        from parlante.app.cli import main

        told = io.StringIO()
        try:
            with redirect_stderr(told), redirect_stdout(io.StringIO()):
                code = main(list(arguments))
        except SystemExit as ended:
            assert ended.code == 2
            line = told.getvalue().strip().splitlines()[-1]
            return Answer(USAGE, line.partition("error: ")[2])
        line = told.getvalue().strip().splitlines()[-1]
        assert code == 1 and line.startswith("parlante: "), told.getvalue()
        error, _, message = line.removeprefix("parlante: ").partition(": ")
        return Answer(error, message)

    return act


def awaited(act: Callable[[], Awaitable[Answer]]) -> Callable[[], Answer]:
    """Something asynchronous as an act."""

    async def run() -> Answer:
        return await act()

    return lambda: asyncio.run(run())
