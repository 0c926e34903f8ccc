"""What the tests of the export share: networks with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from export.networks import Network


@pytest.fixture(autouse=True)
def seeded() -> None:
    pytest.importorskip("torch", reason="needs the extra [train]").manual_seed(0)


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of checkpoints of all our networks, with random weights."""
    from tests.support.network_samples import write_random_weights

    folder = tmp_path_factory.mktemp("weights")
    write_random_weights(folder)
    return folder


@pytest.fixture(scope="session")
def random_networks(random_weights: Path) -> dict[str, Network]:
    from export.networks import networks

    return networks(random_weights)
