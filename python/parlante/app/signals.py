"""Signals that end a command: on its way out nothing half-written is left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import current_thread, main_thread
from types import FrameType

# What ends a command from outside, but for Ctrl-C; Windows has no hang-up.
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


# Those that came since `ended_by_signals` began.
_came: list[int] = []


class EndedError(KeyboardInterrupt):
    """A signal came that ends the process: Ctrl-C, or one of `ENDINGS`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end(number: int, _: FrameType | None) -> None:
    """Handle a signal: what runs ends with an `EndedError`."""
    _came.append(number)
    raise EndedError(number)


def check() -> None:
    """Raise the `EndedError` of a signal, if one came: for loops that go through libraries.

    PyAV loses what a handler raises while it makes an error of its own, as it does once a frame.
    """
    if _came:
        raise EndedError(_came[0])


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
    """Where Ctrl-C or one of `ENDINGS` comes, the block ends with an `EndedError`."""
    _came.clear()
    return handled(dict.fromkeys((signal.SIGINT, *ENDINGS), end))
