"""The training loop that every network shares.

AdamW and Muon, warm-up and cosine decay, EMA, resume, TensorBoard, several processes.

``torchrun --nproc-per-node N -m models.train.<name>`` trains on N devices (or CPU processes): each
draws its own batches, gradients are averaged.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from models.data.dataset import DEFAULT_DATA, DEFAULT_PREPARED

WEIGHTS = Path(__file__).parents[1] / "weights"
OUTER = ("stem.weight", "head.weight", "place")  # first and last layers, by the ends of their names


@dataclass(frozen=True)
class Settings:
    """What a preset decides.

    ``minutes`` ends a run early (0: never); the learning rate decays over whichever of steps and
    minutes runs out first. ``muon``: see `Optimizer`.
    """

    steps: int
    batch: int
    learning_rate: float
    minutes: float = 0.0
    warmup: int = 200
    ema: float = 0.999
    weight_decay: float = 0.01
    save_minutes: float = 2.0
    muon: bool = False


def arguments(
    description: str,
    presets: dict[str, Settings],
    parts: Sequence[str] = (),
    paths: dict[str, tuple[Path, str]] | None = None,
) -> tuple[argparse.Namespace, Settings]:
    """Command line of a training script: preset, device, folders, and the overrides that matter.

    ``parts``: what can be left out, to measure its worth; ``paths``: options of its own, with what
    they are where not given, and their help.
    """
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
    parser.add_argument(
        "--start", type=Path, help="folder of finished weights to go on from, not from new ones"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--minutes", type=float, help="stop after this long, with the schedule fitted to it"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--learning-rate", type=float, help="where the schedule begins")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(without="")
    if parts:
        parser.add_argument("--without", choices=parts, help="leave a part out")
    for option, (path, told) in (paths or {}).items():
        parser.add_argument(option, type=Path, default=path, help=told)
    parsed = parser.parse_args()
    if parsed.device == "cuda":
        parsed.device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(parsed.device)
    chosen = presets[parsed.preset]
    given = {k: getattr(parsed, k) for k in ("minutes", "steps", "learning_rate")}
    overrides = {k: v for k, v in given.items() if v is not None}
    parsed.seed += Peers.rank()  # each process draws its own batches
    torch.manual_seed(parsed.seed)
    torch.set_float32_matmul_precision("high")
    return parsed, Settings(**{**vars(chosen), **overrides})


class Peers:
    """The processes that `torchrun` started for one training; without it, this one alone."""

    def __init__(self, device: str) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", 1))
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")

    @staticmethod
    def rank() -> int:
        """Number of this process; the first one, 0, writes the files."""
        return int(os.environ.get("RANK", 0))

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.count > 1:
            for tensor in tensors:
                values = tensor.contiguous()
                dist.broadcast(values, 0)
                tensor.copy_(values)

    def leave(self) -> None:
        """Nothing more is asked of the others; left open, a process may crash where it ends."""
        if self.count > 1:
            dist.destroy_process_group()

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its mean over the processes."""
        if self.count > 1:
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            mean = torch.cat([g.flatten() for g in gradients]) / self.count
            dist.all_reduce(mean)
            parts = mean.split([g.numel() for g in gradients])
            for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
                parameter.grad = gradient.copy_(part.view(gradient.shape))


class Optimizer:
    """AdamW; with ``muon``, Muon (Jordan et al. 2024) for what it suits.

    That is matrices and convolutions between the first and the last layer (`OUTER`), at a learning
    rate scaled to act like AdamW's.
    """

    def __init__(self, module: nn.Module, settings: Settings, *, fused: bool) -> None:
        self.parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        inner = {
            n: p
            for n, p in self.parameters.items()
            if settings.muon and p.ndim >= 2 and not n.endswith(OUTER)
        }
        # Muon wants matrices: views of the weights, one row an output channel.
        self._matrices = {n: nn.Parameter(_matrix(p.detach())) for n, p in inner.items()}
        rest = [p for n, p in self.parameters.items() if n not in inner]
        self._adamw = torch.optim.AdamW(
            rest,
            settings.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
            fused=fused,
        )
        self._muon = (
            torch.optim.Muon(
                self._matrices.values(),
                settings.learning_rate,
                weight_decay=settings.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            if inner
            else None
        )

    def step(self, learning_rate: float) -> None:
        """Clip the gradients' norm to 1, move, and forget them."""
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        for name, matrix in self._matrices.items():
            gradient = self.parameters[name].grad
            matrix.grad = None if gradient is None else _matrix(gradient)
        for optimizer in filter(None, (self._adamw, self._muon)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
        for parameter in (*self.parameters.values(), *self._matrices.values()):
            parameter.grad = None

    def state(self, name: str) -> dict[str, Tensor]:
        """What the optimizer remembers about a parameter; may be changed in place."""
        if self._muon is not None and name in self._matrices:
            return self._muon.state[self._matrices[name]]
        return self._adamw.state[self.parameters[name]]


def _matrix(weight: Tensor) -> Tensor:
    """``weight`` [out, in, ...] as a matrix [out, ...]: a view.

    Whichever way convolutions lie in memory: the order of the columns does not matter to Muon.
    """
    if weight.ndim == 4 and not weight.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)
    return weight.flatten(1)


def train(
    name: str,
    module: nn.Module,
    losses: Callable[[float], dict[str, Tensor]],
    settings: Settings,
    parsed: argparse.Namespace,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> None:
    """Minimise the sum of ``losses(progress)``, progress in [0, 1).

    Resumes from ``out/name``; writes the EMA weights to ``weights/name.safetensors`` (fp16) at the
    end, and ``validate(EMA)`` to the log on the way.
    """
    folder = parsed.out / name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "last.safetensors"
    optimizer = Optimizer(module, settings, fused=parsed.device.startswith("cuda"))
    if parsed.start is not None:
        load_weights(module, name, parsed.start)
    average = {k: v.detach().clone().float() for k, v in module.state_dict().items()}
    step, spent = 0, 0.0
    if checkpoint.exists():
        step, spent = _load(checkpoint, module, optimizer, average)
        print(f"{name}: resumed at step {step}")
    peers = Peers(parsed.device)
    first = peers.rank() == 0
    with torch.no_grad():
        peers.follow(module.state_dict().values())
    clock = torch.zeros(1, device=parsed.device)
    writer = SummaryWriter(str(folder)) if first else None
    started = saved = time.monotonic()
    limit = settings.minutes * 60
    running: dict[str, float] = {}
    bar = tqdm(total=settings.steps, initial=step, desc=name, mininterval=5, disable=not first)
    module.train()
    while step < settings.steps:
        elapsed = spent + time.monotonic() - started
        if peers.count > 1:
            peers.follow([clock.fill_(elapsed)])
            elapsed = float(clock)
        progress = max(step / settings.steps, elapsed / limit if limit else 0.0)
        if progress >= 1:
            break
        rate = (
            settings.learning_rate
            * min(1.0, (step + 1) / settings.warmup)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        )
        parts = losses(progress)
        torch.stack([p.float() for p in parts.values()]).sum().backward()
        peers.average_gradients(optimizer.parameters.values())
        optimizer.step(rate)
        decay = min(settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            state = module.state_dict()
            torch._foreach_lerp_(
                [average[k] for k in state], [v.float() for v in state.values()], 1 - decay
            )
        step += 1
        bar.update()
        if writer is None:
            continue
        if step % 50 == 0:
            running = {k: float(v.detach()) for k, v in parts.items()}
            bar.set_postfix({k: f"{v:.4f}" for k, v in running.items()}, refresh=False)
            for k, v in running.items():
                writer.add_scalar(f"{name}/{k}", v, step)
        if time.monotonic() - saved > settings.save_minutes * 60:
            saved = time.monotonic()
            _save(checkpoint, module, optimizer, average, step, elapsed)
            if validate is not None:
                _report(name, module, average, validate, writer, step)
    bar.close()
    peers.leave()
    if writer is None:
        return
    _save(checkpoint, module, optimizer, average, step, spent + time.monotonic() - started)
    if validate is not None:
        _report(name, module, average, validate, writer, step)
    parsed.weights.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() for k, v in average.items()}
    made = {"steps": str(step), "seed": str(parsed.seed), "without": parsed.without}
    save_file(half, parsed.weights / f"{name}.safetensors", made)
    writer.close()


def load_weights(module: nn.Module, name: str, folder: Path = WEIGHTS) -> nn.Module:
    """Load ``folder/name.safetensors`` into ``module`` (as float32) and put it in eval mode."""
    module.load_state_dict(
        {k: v.float() for k, v in load_file(folder / f"{name}.safetensors").items()}
    )
    return module.eval()


def made_by(name: str, folder: Path = WEIGHTS) -> dict[str, str]:
    """What is written beside the weights ``folder/name.safetensors``.

    Steps, seed, and ``without``, the part that they were trained without, or "".
    """
    with safe_open(folder / f"{name}.safetensors", "pt") as file:
        return file.metadata() or {}


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
    optimizer: Optimizer,
    average: dict[str, Tensor],
    step: int,
    spent: float,
) -> None:
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for name in optimizer.parameters:
        for k, v in optimizer.state(name).items():
            tensors[f"optimizer.{name}.{k}"] = v
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
    optimizer: Optimizer,
    average: dict[str, Tensor],
) -> tuple[int, float]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    module.load_state_dict(
        {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    )
    for k in average:
        average[k].copy_(tensors[f"average.{k}"])
    for name, parameter in optimizer.parameters.items():
        prefix = f"optimizer.{name}."
        for k, v in tensors.items():
            kind = k.removeprefix(prefix)
            if k.startswith(prefix):
                optimizer.state(name)[kind] = v if kind == "step" else v.to(parameter.device)
    return int(metadata["step"]), float(metadata["spent"])
