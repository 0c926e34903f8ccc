"""The training loop: runs that break off, go on, learn and share."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

import torch
from safetensors.torch import load_file
from torch import Tensor

import models.train.loop as loop


def parsed(folder: Path) -> argparse.Namespace:
    return argparse.Namespace(
        out=folder / "runs",
        weights=folder / "weights",
        start=None,
        device="cpu",
        seed=0,
        without="",
    )


def small() -> Any:
    torch.manual_seed(5)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.LayerNorm(16), torch.nn.SiLU(), torch.nn.Linear(16, 3)
    )


SETTINGS = loop.Settings(steps=30, batch=8, learning_rate=3e-3, warmup=5, save_minutes=0.0)
BOTH_OPTIMIZERS = pytest.mark.parametrize("muon", [False, True])


def losses_of(module: Any, stop_at: int = -1) -> Callable[[float], dict[str, Tensor]]:
    """Regression on data that depend on the step's number alone."""

    def losses(progress: float) -> dict[str, Tensor]:
        step = round(progress * SETTINGS.steps)
        if step == stop_at:
            raise InterruptedError
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 6, generator=generator)
        error = module(x) - x[:, :3].sin()
        return {"squared": error.square().mean(), "absolute": error.abs().mean()}

    return losses


def loss_of(module: Any) -> float:
    """Sum of the losses of one step that training has not seen."""
    with torch.no_grad():
        return sum(float(value) for value in losses_of(module)(33.3).values())


class _NoLog:
    """In place of TensorBoard's writer, whose background thread an interrupted run leaves open."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def add_scalar(self, name: str, value: float, step: int) -> None:
        assert np.isfinite(value), (name, step)

    def close(self) -> None:
        pass


@pytest.fixture
def no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SummaryWriter", _NoLog)


@BOTH_OPTIMIZERS
@pytest.mark.parametrize("stop_at", [[1], [13], [7, 8, 29]])
def test_resumed_run_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, no_log: None, stop_at: list[int], muon: bool
) -> None:
    settings = replace(SETTINGS, muon=muon)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    module = small()
    loop.train("net", module, losses_of(module), settings, parsed(straight))
    for step in stop_at:
        module = small()
        with pytest.raises(InterruptedError):
            loop.train("net", module, losses_of(module, step), settings, parsed(broken))
    module = small()
    loop.train("net", module, losses_of(module), settings, parsed(broken))
    for name in ("runs/net/last.safetensors", "weights/net.safetensors"):
        wanted, found = load_file(straight / name), load_file(broken / name)
        assert wanted.keys() == found.keys()
        for key, tensor in wanted.items():
            assert torch.equal(tensor, found[key]), (name, key)
    assert not list(broken.rglob("*.partial"))


@BOTH_OPTIMIZERS
def test_training_learns_and_averages(tmp_path: Path, no_log: None, muon: bool) -> None:
    module = small()
    before = loss_of(module)
    scores: list[float] = []

    def validate(average: Any) -> dict[str, float]:
        assert not average.training
        assert not torch.is_grad_enabled()
        scores.append(loss_of(average))
        return {"loss": scores[-1]}

    settings = replace(SETTINGS, steps=150, learning_rate=1e-2, ema=0.9, muon=muon)
    loop.train("net", module, losses_of(module), settings, parsed(tmp_path), validate)
    assert scores[-1] < 0.7 * before
    assert module.training
    stored = loop.load_weights(small(), "net", tmp_path / "weights")
    assert not stored.training
    # The weights that are kept are the average's, in float16.
    after = loss_of(stored)
    assert after == pytest.approx(scores[-1], rel=5e-3)
    assert {v.dtype for v in load_file(tmp_path / "weights/net.safetensors").values()} == {
        torch.float16
    }


TWO_PROCESSES = """
import argparse, sys
from dataclasses import replace
from pathlib import Path
import torch
from models.train import loop

class NoLog:
    def __init__(self, folder): ...
    def add_scalar(self, *_): ...
    def close(self): ...

loop.SummaryWriter = NoLog
both, folder = sys.argv[1] == "both", Path(sys.argv[2])
rank = loop.Peers.rank()
torch.manual_seed(rank)  # each process starts elsewhere: the first one's weights must win
net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.SiLU(), torch.nn.Linear(16, 3))

def losses(progress):
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(round(progress * 20)))
    rows = slice(None) if not both else slice(4 * rank, 4 * rank + 4)
    return {"squared": (net(x[rows]) - x[rows, :3].sin()).square().mean()}

settings = loop.Settings(20, 8, 1e-2, warmup=5, muon=True)
paths = argparse.Namespace(
    out=folder / "runs", weights=folder, device="cpu", seed=0, start=None, without=""
)
loop.train("net", net, losses, settings, paths)
"""


def test_two_processes_train_as_one_does_on_both_batches(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES)
    weights = {}
    for which, launcher in (
        ("one", []),
        ("both", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]),
    ):
        command = [sys.executable, *launcher, str(script), which, str(tmp_path / which)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        weights[which] = load_file(tmp_path / which / "net.safetensors")
    for key, value in weights["one"].items():
        torch.testing.assert_close(value, weights["both"][key], rtol=1e-2, atol=2e-3)


def test_muon_moves_convolutions_alike_however_they_lie_in_memory() -> None:
    weights = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        net = torch.nn.Conv2d(5, 7, 3).to(memory_format=layout)
        before = net.weight.detach().clone()
        net(torch.randn(2, 5, 8, 8)).square().sum().backward()
        gradient = net.weight.grad.clone()
        loop.Optimizer(net, replace(SETTINGS, muon=True, weight_decay=0.0), fused=False).step(0.01)
        change = (net.weight.detach() - before).flatten(1)
        # Orthogonal: all singular values alike, and against the gradient.
        singular = torch.linalg.svdvals(change)
        assert singular.min() > 0.6 * singular.max() > 0
        assert float((change * gradient.flatten(1)).sum()) < 0
        weights.append(net.weight.detach().contiguous())
    torch.testing.assert_close(*weights, rtol=0, atol=2e-4)


def test_finished_run_is_not_run_again(tmp_path: Path, no_log: None) -> None:
    module = small()
    loop.train("net", module, losses_of(module), SETTINGS, parsed(tmp_path))
    again = small()
    loop.train("net", again, losses_of(again, SETTINGS.steps), SETTINGS, parsed(tmp_path))
    for a, b in zip(module.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_goes_on_from_finished_weights(tmp_path: Path, no_log: None) -> None:
    module = small()
    loop.train("net", module, losses_of(module), SETTINGS, parsed(tmp_path))
    further = parsed(tmp_path / "further")
    further.start = tmp_path / "weights"
    again, before = small(), []

    def losses(progress: float) -> dict[str, Tensor]:
        before.append(loss_of(again))
        return losses_of(again)(progress)

    loop.train("net", again, losses, SETTINGS, further)
    finished = loop.load_weights(small(), "net", further.start)
    assert before[0] == pytest.approx(loss_of(finished))
    assert before[0] < loss_of(small())
