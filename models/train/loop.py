"""The training loop every network shares: AdamW, warm-up and cosine decay, EMA, resume,
TensorBoard."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from models.data.dataset import DEFAULT_DATA, DEFAULT_PREPARED

WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class Settings:
    """What a preset decides. ``minutes`` ends a run early (0: never); the learning rate decays over
    whichever of steps and minutes runs out first."""

    steps: int
    batch: int
    learning_rate: float
    minutes: float = 0.0
    warmup: int = 200
    ema: float = 0.999
    weight_decay: float = 0.01
    save_minutes: float = 2.0


def arguments(
    description: str, presets: dict[str, Settings]
) -> tuple[argparse.Namespace, Settings]:
    """Command line of a training script: preset, device, folders, and the few overrides that
    matter."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--preset", choices=sorted(presets), default="cpu")
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="folder with manifest.csv and clips"
    )
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED)
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="checkpoints and TensorBoard logs"
    )
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="where the finished weights go"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--minutes", type=float, help="stop after this long, with the schedule fitted to it"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args()
    chosen = presets[parsed.preset]
    overrides = {
        k: v for k, v in (("minutes", parsed.minutes), ("steps", parsed.steps)) if v is not None
    }
    torch.manual_seed(parsed.seed)
    torch.set_float32_matmul_precision("high")
    return parsed, Settings(**{**vars(chosen), **overrides})


def train(
    name: str,
    module: nn.Module,
    losses: Callable[[int], dict[str, Tensor]],
    settings: Settings,
    parsed: argparse.Namespace,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> None:
    """Minimise the sum of ``losses(step)``; resumes from ``out/name``; writes the EMA weights to
    ``weights/name.safetensors`` (fp16) at the end, and ``validate(EMA)`` to the log on the way."""
    folder = parsed.out / name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "last.safetensors"
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters,
        settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
        fused=parsed.device.startswith("cuda"),
    )
    average = {k: v.detach().clone().float() for k, v in module.state_dict().items()}
    step, spent = 0, 0.0
    if checkpoint.exists():
        step, spent = _load(checkpoint, module, optimizer, average, parameters)
        print(f"{name}: resumed at step {step}")
    writer = SummaryWriter(str(folder))
    started = saved = time.monotonic()
    limit = settings.minutes * 60
    running: dict[str, float] = {}
    bar = tqdm(total=settings.steps, initial=step, desc=name, mininterval=5)
    module.train()
    while step < settings.steps:
        elapsed = spent + time.monotonic() - started
        progress = max(step / settings.steps, elapsed / limit if limit else 0.0)
        if progress >= 1:
            break
        rate = (
            settings.learning_rate
            * min(1.0, (step + 1) / settings.warmup)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        parts = losses(step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([p.float() for p in parts.values()]).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay = min(settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            state = module.state_dict()
            torch._foreach_lerp_(
                [average[k] for k in state], [v.float() for v in state.values()], 1 - decay
            )
        step += 1
        bar.update()
        if step % 50 == 0:
            running = {k: float(v.detach()) for k, v in parts.items()}
            bar.set_postfix({k: f"{v:.4f}" for k, v in running.items()}, refresh=False)
            for k, v in running.items():
                writer.add_scalar(f"{name}/{k}", v, step)
        if time.monotonic() - saved > settings.save_minutes * 60:
            saved = time.monotonic()
            _save(checkpoint, module, optimizer, average, parameters, step, elapsed)
            if validate is not None:
                _report(name, module, average, validate, writer, step)
    bar.close()
    _save(
        checkpoint, module, optimizer, average, parameters, step, spent + time.monotonic() - started
    )
    if validate is not None:
        _report(name, module, average, validate, writer, step)
    parsed.weights.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() for k, v in average.items()}
    save_file(
        half, parsed.weights / f"{name}.safetensors", {"steps": str(step), "seed": str(parsed.seed)}
    )
    writer.close()


def load_weights(module: nn.Module, name: str, folder: Path = WEIGHTS) -> nn.Module:
    """Load ``folder/name.safetensors`` into ``module`` (as float32) and put it in eval mode."""
    module.load_state_dict(
        {k: v.float() for k, v in load_file(folder / f"{name}.safetensors").items()}
    )
    return module.eval()


def _report(
    name: str,
    module: nn.Module,
    average: dict[str, Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    writer: SummaryWriter,
    step: int,
) -> None:
    own = {k: v.detach().clone() for k, v in module.state_dict().items()}
    module.load_state_dict(average)
    module.eval()
    with torch.no_grad():
        scores = validate(module)
    module.load_state_dict(own)
    module.train()
    for k, v in scores.items():
        writer.add_scalar(f"{name}/validation/{k}", v, step)
    tqdm.write(f"{name} step {step}: " + ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))


def _save(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    parameters: list[Tensor],
    step: int,
    spent: float,
) -> None:
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for i, parameter in enumerate(parameters):
        for k, v in optimizer.state[parameter].items():
            tensors[f"optimizer.{i}.{k}"] = v
    partial = path.with_suffix(".partial")
    save_file(
        {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
        partial,
        {"step": str(step), "spent": str(spent)},
    )
    partial.replace(path)


def _load(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    parameters: list[Tensor],
) -> tuple[int, float]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    module.load_state_dict(
        {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    )
    for k in average:
        average[k].copy_(tensors[f"average.{k}"])
    for i, parameter in enumerate(parameters):
        prefix = f"optimizer.{i}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        optimizer.state[parameter] = {
            k: v if k == "step" else v.to(parameter.device) for k, v in own.items()
        }
    return int(metadata["step"]), float(metadata["spent"])
