"""What the tests of bundles share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundle_samples import write_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a small bundle."""
    write_bundle(tmp_path)
    return tmp_path
