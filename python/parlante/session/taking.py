"""Items of an iterator for whoever takes them, in threads and in asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Generic, TypeVar

from parlante.errors import ParlanteError

Item = TypeVar("Item")


class Taker(Generic[Item]):
    """Gives out the items of ``source``, to one taker at a time.

    An item whose taker was cancelled while it waited is the next one's: none is lost.
    """

    def __init__(self, source: Iterator[Item]) -> None:
        self._source, self._taking = source, Lock()
        self._coming: Future[Item | None] | None = None

    def take(self) -> Item | None:
        """The next item, None after the last.

        Raises:
            ParlanteError: somebody else waits for one.
        """
        self._begin()
        try:
            coming, self._coming = self._coming, None
            return next(self._source, None) if coming is None else coming.result()
        finally:
            self._taking.release()

    async def wait(self) -> Item | None:
        """As `take`; another thread makes the item."""
        self._begin()
        try:
            if self._coming is None:
                self._coming = Future()
                asyncio.get_running_loop().run_in_executor(None, self._make, self._coming)
            coming = self._coming
            with suppress(Exception):  # where this is cancelled, the next taker gets it
                await asyncio.shield(asyncio.wrap_future(coming))
            self._coming = None
            return coming.result()
        finally:
            self._taking.release()

    def _begin(self) -> None:
        if not self._taking.acquire(blocking=False):
            raise ParlanteError(
                "somebody waits for a frame already; take them in one thread or task at a time"
            )

    def _make(self, coming: Future[Item | None]) -> None:
        try:
            coming.set_result(next(self._source, None))
        except BaseException as error:
            coming.set_exception(error)
