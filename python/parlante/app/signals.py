"""Signals that end a command: on its way out nothing half-written is left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import current_thread, main_thread
from types import FrameType

# What ends a command from outside, but for Ctrl-C; Windows has no hang-up.
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class EndedError(BaseException):
    """A signal came that ends the process."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def handled(handlers: Mapping[int, Callable[[int, FrameType | None], object]]) -> Iterator[None]:
    """Handlers of signals, for as long as the block runs; only the main thread can have some."""
    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ended_by_signals() -> AbstractContextManager[None]:
    """Where one of `ENDINGS` comes, the block ends with an `EndedError`."""

    def end(number: int, _: object) -> None:
        raise EndedError(number)

    return handled(dict.fromkeys(ENDINGS, end))
