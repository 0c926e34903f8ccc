"""Blinks as people do them: lids fall at once, stay down for a moment, and come up again."""

from __future__ import annotations

from collections.abc import Generator

BEGIN, OVER = 0.39, 0.35  # drawn closures: from which on a blink begins, and when it is over
SHORTEST, LONGEST = 2, 3  # frames that lids are down
# How far they are shut in the frame before, and in those after: medians of 181 blinks of training
# people.
FALLING, RISING = 0.15, (0.8, 0.37, 0.2, 0.1, 0.05)


def blinks() -> Generator[float, float, None]:
    """Sent the drawn closure of a frame, yields how far its lids are shut, 0 to 1.

    What is drawn varies in depth, and may stay half shut for a while; people's blinks do neither.
    """
    drawn = yield 0.0
    while True:
        while drawn > OVER:
            drawn = yield 0.0
        while drawn <= BEGIN:
            drawn = yield 0.0
        drawn = yield FALLING
        down = 0
        while down < SHORTEST or (down < LONGEST and drawn > OVER):
            down += 1
            drawn = yield 1.0
        for closure in RISING:
            drawn = yield closure
