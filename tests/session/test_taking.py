"""Frames are given to one taker at a time, and none is lost where a taker gives up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from parlante.errors import ParlanteError
from parlante.session.taking import Taker


def slow(go: threading.Event) -> Iterator[int]:
    for number in range(4):
        assert go.wait(10)
        yield number


def test_what_a_cancelled_task_waited_for_is_the_next_ones() -> None:
    go = threading.Event()
    taker = Taker(slow(go))

    async def give_up() -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(taker.wait(), 0.01)
        go.set()
        assert [await taker.wait() for _ in range(2)] == [0, 1]

    asyncio.run(give_up())
    assert [taker.take(), taker.take(), taker.take()] == [2, 3, None]


def test_nor_is_it_in_another_loop_or_thread() -> None:
    go = threading.Event()
    taker = Taker(slow(go))

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(taker.wait(), 0.01)
        go.set()

    asyncio.run(give_up())
    assert asyncio.run(taker.wait()) == 0
    assert taker.take() == 1


def test_two_takers_at_once() -> None:
    go = threading.Event()
    taker = Taker(slow(go))

    async def both() -> None:
        first = asyncio.create_task(taker.wait())
        await asyncio.sleep(0)
        with pytest.raises(ParlanteError, match="already"):
            await taker.wait()
        with pytest.raises(ParlanteError, match="already"):
            taker.take()
        go.set()
        assert await first == 0 and await taker.wait() == 1

    asyncio.run(both())


def test_an_error_comes_once() -> None:
    def failing() -> Iterator[int]:
        yield 0
        raise ParlanteError("no more")

    async def take() -> None:
        taker = Taker(failing())
        assert await taker.wait() == 0
        with pytest.raises(ParlanteError, match="no more"):
            await taker.wait()
        assert await taker.wait() is None

    asyncio.run(take())
