"""From nothing to all of it."""

from __future__ import annotations

import numpy as np

from parlante.contract import Float


def ramp(values: Float, first: float, last: float) -> Float:
    """0 up to ``first``, 1 from ``last`` on, straight in between."""
    return np.asarray(np.clip((values - first) / (last - first), 0, 1), np.float32)


def smooth(values: Float, first: float, last: float) -> Float:
    """As `ramp`, without its corners."""
    share = ramp(values, first, last)
    return share * share * (3 - 2 * share)
