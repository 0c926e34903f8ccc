"""Networks with weights that all matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from models import dynamics, renderer, sync
from models.attributes import Attributes
from models.audio import AudioEncoder


def randomised(module: Any, spread: float = 0.05) -> Any:
    """``module`` in eval mode without its zero-initialised layers: everything matters."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    return module.eval()


def write_random_weights(folder: Path) -> None:
    """Checkpoints of all our networks; the same ones each time."""
    torch.manual_seed(1)
    for name, module in (
        ("attributes", Attributes()),
        ("audio", AudioEncoder()),
        ("sync", sync.Sync()),
        ("dynamics", dynamics.Dynamics()),
        ("renderer", randomised(renderer.Renderer())),
    ):
        state = {k: v.half().contiguous() for k, v in module.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
