"""What the Python harnesses make of libFuzzer's bytes, and what they accept as a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from parlante.errors import ParlanteError

T = TypeVar("T")


class Input:
    """Bytes in order; zeros after the last."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def bytes(self, count: int) -> bytes:
        taken = self._data[self._place : self._place + count]
        self._place += count
        return taken.ljust(count, b"\0")

    def byte(self) -> int:
        return self.bytes(1)[0]

    def chance(self, share: int = 2) -> bool:
        """True for one byte of ``share``."""
        return self.byte() % share == 1

    def whole(self, low: int, high: int) -> int:
        """``low`` to ``high``, which lie less than 2^16 apart."""
        return low + int.from_bytes(self.bytes(2), "little") % (high - low + 1)

    def one_of(self, values: Sequence[T]) -> T:
        return values[self.byte() % len(values)]


@contextmanager
def refusal() -> Iterator[None]:
    """Where an input may be refused: by a `ParlanteError` of one line that says something."""
    try:
        yield
    except ParlanteError as error:
        message = str(error)
        assert message and message.isprintable(), f"not one printable line: {message!r}"
