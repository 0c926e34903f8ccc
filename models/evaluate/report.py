"""Rows of scores into means with intervals, and those into Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.evaluate.protocols import Scores

Interval = tuple[float, float]  # mean, half-width


def interval(rows: Sequence[Scores]) -> dict[str, Interval]:
    """Mean and half-width of its 95 % interval of each column, over clips."""
    out = {}
    for column in dict.fromkeys(k for row in rows for k in row):
        values = np.array([v for r in rows if np.isfinite(v := r.get(column, np.nan))])
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        out[column] = (float(values.mean()), float(1.96 * spread)) if len(values) else (np.nan, 0.0)
    return out


def table(first: str, rows: Mapping[str, Mapping[str, Interval]], digits: int) -> str:
    """One line a row, mean ± half-width in each column; the first column is called ``first``."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {first} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = (f"{mean:.{digits}f} ± {half:.{digits}f}" for mean, half in row.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
