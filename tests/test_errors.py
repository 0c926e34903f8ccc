"""One ``except ParlanteError`` catches everything that parlante raises on purpose."""

from __future__ import annotations

import inspect

import parlante
from parlante import errors


def test_one_base_class() -> None:
    found = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert len(found) > 5
    assert [
        name for name, kind in found.items() if not issubclass(kind, parlante.ParlanteError)
    ] == []
    assert all(name.endswith("Error") and kind.__doc__ for name, kind in found.items())
