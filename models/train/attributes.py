"""Train the attribute autoencoder: ``python -m models.train.attributes --preset cpu|gpu``.

The 53 expression modes fall into three groups: lip (jaw and mouth), blink (eyeBlink) and the rest.
A frame whose code of one group was swapped in from another frame must show that group's landmark
motion of the other frame and everything else of its own: errors are measured in landmarks, on the
468-vertex mesh.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.attributes import Attributes
from models.data.dataset import load
from models.train.loop import Settings, arguments, train
from parlante.contract import EXPRESSION
from parlante.face.model import FaceModel
from parlante.runtime.bundle import Bundle

PRESETS = {
    "cpu": Settings(steps=6_000, batch=512, learning_rate=1e-3),
    "gpu": Settings(steps=12_000, batch=2048, learning_rate=1e-3),
}


def swap_losses(
    module: nn.Module, expression: Tensor, masks: dict[str, Tensor], basis: Tensor
) -> dict[str, Tensor]:
    """Reconstruction and swap errors for expression [N, 53].

    In millimetre-like units (model units × 10).
    """
    other = expression.roll(1, 0)
    own_codes, other_codes = module.encoder(expression), module.encoder(other)

    def error(made: Tensor, wanted: Tensor) -> Tensor:
        return ((made - wanted) @ basis).abs().mean() * 10

    out = {"reconstruction": error(module.decoder(*own_codes), expression)}
    for k, group in enumerate(("lip", "blink", "residual")):
        mixed = [other_codes[i] if i == k else own_codes[i] for i in range(3)]
        wanted = torch.where(masks[group] > 0, other, expression)
        out[f"swap_{group}"] = error(module.decoder(*mixed), wanted)
    # The blink code is the closure of each eye, so that dynamics can be drawn in plain units.
    out["blink_unit"] = (own_codes[1] - expression[:, masks["blink"] > 0].flip(-1)).abs().mean()
    return out


def expressions(prepared: Path, data: Path, *, validation: bool) -> Tensor:
    """Kept frames' expression coefficients [N, 53]."""
    return torch.from_numpy(
        np.concatenate(
            [c.expression[c.keep] for c in load(prepared, data, "train", validation=validation)]
        )
    )


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS, ("disentanglement",))
    device = torch.device(parsed.device)
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    basis = torch.from_numpy(model.expression.reshape(EXPRESSION, -1)).to(device)
    masks = {}
    for group, indices in model.mode_groups.items():
        masks[group] = torch.zeros(EXPRESSION, device=device)
        masks[group][list(indices)] = 1
    seen = expressions(parsed.prepared, parsed.data, validation=False).to(device)
    held_out = expressions(parsed.prepared, parsed.data, validation=True).to(device)
    module = Attributes().to(device)

    def losses(progress: float) -> dict[str, Tensor]:
        batch = seen[torch.randint(len(seen), (settings.batch,), device=device)]
        # Rare expressions matter as much as common ones: half of the batch is stretched at random.
        stretch = torch.where(
            torch.rand(len(batch), 1, device=device) < 0.5, 1.0, torch.rand_like(batch) * 1.6
        )
        out = swap_losses(module, (batch * stretch).clamp(0, 1.5), masks, basis)
        if parsed.without == "disentanglement":
            return {k: v for k, v in out.items() if not k.startswith("swap")}
        return out

    def validate(average: nn.Module) -> dict[str, float]:
        shuffled = held_out[
            torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0)).to(device)
        ]
        scores = {k: float(v) for k, v in swap_losses(average, shuffled, masks, basis).items()}
        scores["motion"] = float(((shuffled - shuffled.roll(1, 0)) @ basis).abs().mean() * 10)
        return scores

    train("attributes", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
