"""Numbers that users give."""

from __future__ import annotations

import numpy as np

from parlante.errors import ParlanteError


def whole(name: str, value: int, low: int, high: int) -> int:
    """``value`` as an int; ParlanteError unless it is a whole number from ``low`` to ``high``."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not low <= value <= high
    ):
        raise ParlanteError(f"{name}={value!r}; give a whole number from {low} to {high}")
    return int(value)


def number(name: str, value: float, most: float, meaning: str) -> float:
    """``value`` as a float; ParlanteError, which says what it means, outside 0 to ``most``."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not 0 <= value <= most
    ):
        raise ParlanteError(f"{name}={value!r}; give a number from 0 {meaning}")
    return float(value)
