"""The CUDA log-mel gives the bits of the CPU's."""

from types import ModuleType

import numpy as np
import pytest

from parlante._core import log_mel
from tests.support.cuda_device import current_stream, download, upload

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("level", [0.1, 1e-5, 1e-12])
@pytest.mark.parametrize("count", [0, 159, 160, 1120, 16000])
def test_signals(cuda: ModuleType, count: int, level: float) -> None:
    x = (level * np.random.default_rng(0).standard_normal(count)).astype(np.float32)
    columns = upload(np.full((count // 160, 80), np.nan, np.float32))
    cuda.LogMel()(upload(x), columns, stream=current_stream())
    assert download(columns).tobytes() == log_mel(x).tobytes()
