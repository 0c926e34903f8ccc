"""The networks in PyTorch, their training loop and data, and what the export makes of them."""

# ruff: noqa: E402 (the skips have to come before the imports that need torch)

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
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the networks are written in PyTorch")
pytest.importorskip("safetensors", reason="checkpoints are safetensors")
pytest.importorskip("tensorboard", reason="the training loop writes TensorBoard logs")

import onnx
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.nn import functional

import export.networks as export_module
import models.train.loop as loop
import parlante.render.renderer as runtime_renderer
import parlante.speech.motion as runtime
from benchmarks.visual_samples import pack_sample
from export import quantize
from export.networks import TOLERANCE, Network, compare, export, networks, store_half
from models import dynamics, renderer, sync, warp
from models.attributes import Attributes
from models.data import dataset, pairs, parts, prepare
from models.train import lips, teacher
from models.train import renderer as train_renderer
from models.train import sync as train_sync
from parlante import _core
from parlante.face.model import FaceModel
from parlante.face.pose import Pose, rotation_matrix
from parlante.render.schedule import make_schedule
from parlante.runtime.bundle import Bundle
from tests import portrait_samples

Tensor = torch.Tensor


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randomised(module: Any, spread: float = 0.05) -> Any:
    """``module`` in eval mode without its zero-initialised layers: everything matters."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    return module.eval()


# The runtime and the training agree


def test_one_set_of_numbers() -> None:
    """Training and serving state these apart, because the runtime does not import torch."""
    assert (runtime.MELS, runtime.MEL_PER_FRAME) == (sync.MELS, sync.MEL_PER_FRAME)
    assert (runtime.MEL_BEFORE, runtime.MEL_AFTER) == (sync.MEL_BEFORE, sync.MEL_AFTER)
    assert (runtime.CONTEXT_BEFORE, runtime.CONTEXT_AFTER) == (
        sync.CONTEXT_BEFORE,
        sync.CONTEXT_AFTER,
    )
    assert runtime.EMBEDDING == sync.EMBEDDING
    assert (runtime.POSE, runtime.BLINK) == (dynamics.POSE, dynamics.BLINK)
    assert (runtime.TAIL, runtime.WINDOW, runtime.LATENT) == (
        dynamics.TAIL,
        dynamics.WINDOW,
        dynamics.LATENT,
    )
    assert runtime_renderer.PLANES == renderer.PLANES
    assert runtime_renderer.FRAME_CHANNELS == renderer.FRAME
    assert pytest.approx(dataset.SILENCE) == runtime.SILENCE
    # The design's promise: no more than 160 ms, four frames.
    assert runtime.LOOK_AHEAD == 4


# Sync


def test_audio_encoder_is_a_convolution() -> None:
    """A long stretch gives, frame by frame, what each frame's own window gives."""
    encoder = sync.AudioEncoder().eval()
    count = 9
    mel = torch.randn(2, 4 * (count - 1) + sync.MEL_WINDOW, sync.MELS) * 4 - 7
    with torch.no_grad():
        whole = encoder(mel)
        single = [encoder(mel[:, 4 * i : 4 * i + sync.MEL_WINDOW]) for i in range(count)]
    assert whole.shape == (2, count, sync.EMBEDDING)
    assert (whole >= 0).all() and (whole > 0).any()
    torch.testing.assert_close(whole, torch.cat(single, 1), rtol=0, atol=1e-5)


def test_embeddings_of_a_clip() -> None:
    """Frame i of `Sync.embed` sees columns 4i − 9 … 4i + 7, and silence beyond the ends."""
    module = sync.Sync().eval()
    frames = 12
    mel = torch.randn(1, 4 * frames, sync.MELS) * 4 - 7
    silence = torch.full((1, 20, sync.MELS), float(np.log(1e-10)))
    around = torch.cat([silence, mel, silence], 1)
    with torch.no_grad():
        made = module.embed(mel)
        for i in range(frames):
            window = around[:, 20 + 4 * i - 9 : 20 + 4 * i + 8]
            torch.testing.assert_close(made[:, i : i + 1], module.audio(window), rtol=0, atol=1e-5)
    assert made.shape == (1, frames, sync.EMBEDDING)


def test_lip_decoder_is_a_convolution() -> None:
    decoder = sync.LipDecoder().eval()
    count = 7
    embeddings = torch.rand(2, count + sync.CONTEXT - 1, 128)
    with torch.no_grad():
        whole = decoder(embeddings)
        single = [decoder(embeddings[:, i : i + sync.CONTEXT]) for i in range(count)]
    assert whole.shape == (2, count, 16)
    torch.testing.assert_close(whole, torch.cat(single, 1), rtol=0, atol=1e-5)


def test_lip_decoder_uses_its_whole_window() -> None:
    decoder = sync.LipDecoder().eval()
    embeddings = torch.randn(1, sync.CONTEXT, 128, requires_grad=True)
    decoder(embeddings).sum().backward()
    assert embeddings.grad is not None
    assert (embeddings.grad.abs().sum(-1) > 0).all()


# Attributes


def test_codes_add_up() -> None:
    """A code moves the expression by the same amount, whatever the other codes are."""
    decoder = Attributes().decoder.eval()
    lip, blink, residual = torch.randn(4, 16), torch.randn(4, 2), torch.randn(4, 12)
    other = torch.randn(4, 16)
    with torch.no_grad():
        here = decoder(other, blink, residual) - decoder(lip, blink, residual)
        there = decoder(other, blink.flip(0), residual.flip(0)) - decoder(
            lip, blink.flip(0), residual.flip(0)
        )
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)
    assert here.abs().max() > 0.01


# Dynamics


def test_dynamics_decoder_is_causal() -> None:
    """Audio of later frames does not change a frame; its own and earlier audio does."""
    decoder = dynamics.DynamicsDecoder().eval()
    latent, tail = torch.randn(1, dynamics.LATENT), torch.randn(1, dynamics.TAIL, dynamics.MOTION)
    audio = torch.randn(1, dynamics.TAIL + dynamics.WINDOW, 128)
    with torch.no_grad():
        made = decoder(latent, tail, audio)
        for frame in (0, 1, 12, dynamics.WINDOW - 1):
            changed = audio.clone()
            changed[:, dynamics.TAIL + frame + 1 :] = torch.randn_like(
                changed[:, dynamics.TAIL + frame + 1 :]
            )
            # exp(−10⁴) is 0 in float32: the masked frames weigh nothing at all.
            later = decoder(latent, tail, changed)
            torch.testing.assert_close(
                later[:, : frame + 1], made[:, : frame + 1], rtol=0, atol=1e-6
            )
            changed[:, dynamics.TAIL + frame] += 1
            assert (decoder(latent, tail, changed)[:, frame] - made[:, frame]).abs().max() > 1e-4
            assert frame == dynamics.WINDOW - 1 or not torch.equal(later, made)
    assert made.shape == (1, dynamics.WINDOW, dynamics.MOTION)
    assert (made[..., 6:] >= 0).all() and (made[..., 6:] <= 1).all()


def test_dynamics_continue_from_the_tail() -> None:
    decoder = dynamics.DynamicsDecoder().eval()
    torch.nn.init.zeros_(decoder.head[1].weight)
    torch.nn.init.zeros_(decoder.head[1].bias)
    tail = torch.randn(2, dynamics.TAIL, dynamics.MOTION)
    with torch.no_grad():
        made = decoder(torch.randn(2, 32), tail, torch.randn(2, 35, 128))
    for t in range(dynamics.WINDOW):
        torch.testing.assert_close(made[:, t, :6], tail[:, -1, :6])


# Renderer


def grids(n: int = 1, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """condition, attributes, style for a patch of 4·side pixels."""
    condition = torch.rand(n, renderer.CONDITION, side, side) * 2 - 1
    condition[:, renderer.MATTE_PLANE].clamp_(0, 1)
    return condition, torch.randn(n, renderer.ATTRIBUTES), torch.randn(n, renderer.STYLE)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_untrained_renderer_returns_the_warp(steps: int) -> None:
    module = renderer.Renderer().eval()
    condition, attributes, style = grids()
    with torch.no_grad():
        maps = module.condition(condition, attributes, style)
        warped = condition[:, : renderer.FRAME]
        schedule = renderer.DIFFUSIONS[""].schedule(steps)
        made = renderer.sample(module.denoiser, warped, maps, schedule, torch.Generator())
    # The last step keeps nothing of the noise: its x_t is x̂_0.
    assert torch.equal(made, warped)


def test_trained_renderer_leaves_the_background_alone() -> None:
    """Outside the person the residual is exactly 0, whatever the weights are, and it fades towards
    the outline."""
    module = randomised(renderer.Renderer())
    condition, attributes, style = grids()
    condition[:, renderer.MATTE_PLANE] = 0
    condition[:, renderer.MATTE_PLANE, 4:9, 5:8] = 1
    with torch.no_grad():
        maps = module.condition(condition, attributes, style)
        residual = module.denoiser(
            torch.randn(1, renderer.FRAME, 16, 16), *maps, torch.tensor([123.0])
        )
    inside = condition[0, renderer.MATTE_PLANE][0] > 0
    assert (residual[0, :, ~inside] == 0).all()
    assert residual[0, :, inside].abs().mean() > 1e-4
    gate = maps[2][0, 0]
    assert 0 < gate[4, 6] < gate[5, 6] < gate[6, 6] <= 1


def test_renderer_without_diffusion_learns_from_the_bare_warp() -> None:
    """What it is trained on is what it meets: x_t is the warp, untouched, and t is 0."""
    seen = []

    class Spy(renderer.Denoiser):
        def forward(self, x_t: Tensor, *rest: Tensor) -> Tensor:
            seen.append((x_t, rest[-1]))
            return super().forward(x_t, *rest)

    module = renderer.Renderer()
    module.denoiser = Spy()
    n, side = 3, 16
    inputs = train_renderer.Inputs(
        whole=torch.rand(n, 3, 256, 256),
        source=torch.rand(n, 3, 64, 64),
        target=torch.rand(n, renderer.FRAME, side, side),
        planes=torch.rand(n, 8 * renderer.CELL, side, side),
        displacement=torch.rand(n, 64, 64, 2) * 63,
        attributes=torch.randn(n, renderer.ATTRIBUTES),
        weight=torch.ones(n, 1, 64, 64),
        boxes=torch.zeros(n, 3, 4),
        styled=torch.ones(n, 1),
    )
    train_renderer.draw_loss(module, inputs, None)
    ((x_t, t),) = seen
    assert torch.equal(x_t, inputs.planes[:, : renderer.FRAME])
    assert (t == 0).all()
    seen.clear()
    train_renderer.draw_loss(module, inputs, renderer.DIFFUSIONS[""].levels())
    assert all(t.max() > 0 for _, t in seen)


@pytest.mark.parametrize("without", ["", "shift"])
def test_diffusion_is_trained_where_it_is_sampled(without: str) -> None:
    """Noised warps at the start; further down the network's own answers and truth, both noised as
    the schedule's steps leave them."""
    chain = renderer.DIFFUSIONS[without]
    n, side = 200, 4
    warp, target, own = (torch.full((n, renderer.FRAME, side, side), v) for v in (0.1, 0.7, -0.4))

    class Told(renderer.Denoiser):
        def forward(self, x_t: Tensor, *rest: Tensor) -> Tensor:
            return (own - warp)[: len(x_t)]

    module = renderer.Renderer()
    module.denoiser = Told()
    levels = chain.levels()
    x_t, t = train_renderer.diffusion_inputs(module, warp, target, (warp, warp, warp), levels)
    first = chain.schedule(1)
    started, answered = 80, 150
    assert (t[:started] == first.start.timestep).all()
    mean, deviation = x_t.mean((1, 2, 3)), x_t.std((1, 2, 3))
    rounding = 5 / np.sqrt(renderer.FRAME * side**2)  # of a mean, in deviations
    assert (mean[:started] - 0.1 * first.start.c_x0).abs().max() < rounding * first.start.sigma
    for i in range(started, n):
        clean = -0.4 if i < answered else 0.7
        of_clean, of_warp, of_noise = levels[:, int(t[i])]
        assert abs(mean[i] - of_clean * clean - of_warp * 0.1) < rounding * of_noise + 1e-6
        assert deviation[i] == pytest.approx(float(of_noise), rel=0.3)
    assert t[started:].float().std() > 0.2 * chain.start


def test_denoiser_is_told_the_time() -> None:
    module = randomised(renderer.Renderer())
    with torch.no_grad():
        maps = module.condition(*grids())
        x = torch.randn(1, renderer.FRAME, 16, 16)
        early, late = (module.denoiser(x, *maps, torch.tensor([t])) for t in (10.0, 390.0))
    assert (early - late).abs().max() > 1e-4


@pytest.mark.parametrize("size", [(32, 48), (256, 256)])
def test_pack_is_the_twin_of_the_native_op(size: tuple[int, int]) -> None:
    arrays = pack_sample(np.random.default_rng(2), size, renderer.FEATURES)
    height, width = size
    native = np.empty((1, 128 + renderer.FEATURES, height // 4, width // 4), np.float32)
    _core.pack(**arrays, condition=native)  # type: ignore[arg-type]
    own = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    displacement = torch.from_numpy((arrays["warp"][..., :2] - own).astype(np.float32))[None]

    def planes(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].transpose(2, 0, 1).astype(np.float32))[None]

    mouth = torch.from_numpy(arrays["warp"][..., 2].copy())[None, None]
    made = warp.pack(planes("source"), planes("plate"), displacement, mouth, planes("interior"))
    # grid_sample scales coordinates to −1 … 1 and back: three roundings of 2^-24 of the width, 5e-5
    # pixels, on noise whose neighbours differ by up to 2, in x, y and through the matte.
    np.testing.assert_allclose(native[:, :128], made.numpy(), rtol=0, atol=5e-4)
    assert np.abs(native[:, :128] - made.numpy()).mean() < 2e-5
    features = warp.sample_features(torch.from_numpy(arrays["features"])[None], displacement)
    np.testing.assert_allclose(native[:, 128:], features.numpy(), rtol=0, atol=5e-4)


# The training loop


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
        environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
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


# Data


@given(st.integers(-32, 32), st.integers(1, 12), st.integers(0, 60))
def test_align_mel(quarters: int, frames: int, heard: int) -> None:
    mel = np.random.default_rng(0).normal(-7, 4, (heard, 3)).astype(np.float32)
    moved = dataset.align_mel(mel, quarters / 4, frames)
    assert moved.shape == (4 * frames, 3)
    for column in range(4 * frames):
        source = column - quarters
        wanted = mel[source] if 0 <= source < heard else np.float32(dataset.SILENCE)
        np.testing.assert_array_equal(moved[column], np.broadcast_to(wanted, 3))


@pytest.mark.parametrize("lag", [-6, -2, 0, 1, 3, 6])
def test_correlation_finds_a_planted_lag(lag: int) -> None:
    """Lips that follow the sound by ``lag`` frames are found at +lag, and the mel is moved so."""
    rng = np.random.default_rng(lag + 10)
    n = 400
    sound = np.convolve(rng.normal(size=n + 40), np.ones(3) / 3, "same").astype(np.float32)
    predicted = sound[20 : 20 + n]
    observed = sound[20 - lag : 20 - lag + n] + 0.5 * rng.normal(size=n).astype(np.float32)
    keep = rng.random(n) > 0.2
    # What is not kept must not count.
    observed[~keep] = 1e3
    curve = prepare.correlation_by_lag(predicted, observed, keep)
    assert curve.shape == (2 * prepare.MAX_OFFSET + 1,)
    assert int(curve.argmax()) - prepare.MAX_OFFSET == lag
    t = np.flatnonzero(keep & (np.arange(n) >= 6) & (np.arange(n) < n - 6))
    wanted = np.corrcoef(predicted[t - lag], observed[t])[0, 1]
    assert curve.max() == pytest.approx(wanted, abs=0.03)  # 12 frames more or fewer
    # Moved later by the lag, the sound stands beside the lips it belongs to.
    mel = np.repeat(predicted, 4)[:, None]
    aligned = dataset.align_mel(mel, lag, n)[::4, 0][t]
    assert np.corrcoef(aligned, observed[t])[0, 1] == pytest.approx(wanted, abs=0.03)


def test_correlation_of_too_little_is_zero() -> None:
    few = np.zeros(100, bool)
    few[:5] = True
    noise = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert not prepare.correlation_by_lag(noise, noise, few).any()
    still = np.zeros(100, np.float32)
    assert np.isfinite(prepare.correlation_by_lag(still, still, ~few)).all()


@given(st.integers(-20, 20), st.sampled_from([0.3, 1.0, 3.0]))
def test_likeliest_lag_lies_between_evidence_and_prior(quarters: int, spread: float) -> None:
    """Two normal laws: the mode of their product is the mean weighted by precision."""
    lags = np.arange(-prepare.MAX_OFFSET, prepare.MAX_OFFSET + 1)
    likelihood = -0.5 * ((lags - quarters / 4) / 0.8) ** 2
    share = spread**2 / (spread**2 + 0.8**2)
    found = prepare.likeliest(likelihood, 1.0, spread)
    assert found == pytest.approx(1 + share * (quarters / 4 - 1), abs=0.126)
    assert found * 4 == round(found * 4)


def test_alignment_finds_what_each_recording_is_off_by(tmp_path: Path) -> None:
    """Most people are in step; a source is two frames late, its people by up to a frame more or
    less."""
    rng = np.random.default_rng(0)
    clips, planted = [], {}
    (tmp_path / "fit").mkdir()
    for person in range(18):
        source = "studio" if person < 12 else "tv"
        planted[f"p{person}"] = 0.0 if person < 12 else 2 + person % 4 * 0.5 - 0.75
        for number in range(3):
            loud = np.convolve(rng.normal(size=800), np.hanning(12), "valid")
            loud = np.interp(np.arange(640), np.arange(len(loud)), loud)
            tones = rng.normal(size=(640, 80)) + loud[:, None] * np.linspace(1, -1, 80)
            late = round(planted[f"p{person}"] * 4)
            lips = np.interp(np.arange(160) * 4 + 1.5 - late, np.arange(640), loud)
            clip = dataset.Clip(f"{person}_{number}.mp4", "train", source, f"p{person}", True)
            clips.append(clip)
            np.savez(
                tmp_path / "fit" / f"{clip.name}.npz",
                mel=tones.astype(np.float16),
                keep=np.ones(160, bool),
                aperture=(0.2 + 0.02 * lips + 0.05 * rng.normal(size=160)).astype(np.float32),
            )
    aligned = prepare.align(clips, tmp_path)
    assert aligned["sources"] == {"studio": 0, "tv": 2}
    for clip in clips:
        entry = aligned["clips"][clip.name]
        assert entry["lips"]
        assert entry["offset"] == pytest.approx(planted[clip.person], abs=0.3)


@pytest.fixture
def still_clip() -> dataset.PreparedClip:
    """A head that turns and talks, of the face model's own making."""
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    rng = np.random.default_rng(0)
    n = 4
    pose = Pose(
        rng.uniform(-0.2, 0.2, (n, 3)).astype(np.float32),
        np.tile(np.float32([128, 128, 0]), (n, 1)) + rng.uniform(-8, 8, (n, 3)).astype(np.float32),
        rng.uniform(7, 8, n).astype(np.float32),
    )
    expression = rng.uniform(0, 0.5, (n, 53)).astype(np.float32)
    identity = np.zeros(100, np.float32)
    landmarks = pose.apply(model.shape(identity, expression))
    return dataset.PreparedClip(
        name="still",
        path=Path("still.mp4"),
        source="still",
        person="still",
        split="train",
        keep=np.ones(n, bool),
        expression=expression,
        pose=pose,
        identity=identity,
        aperture=np.zeros(n, np.float32),
        closure=np.zeros((n, 2), np.float32),
        mel=None,
        offset=0.0,
        lips=False,
        source_frames=np.array([0, 2]),
        source_landmarks=landmarks[[0, 2]],
        source_mattes=rng.integers(0, 256, (2, 256, 256)).astype(np.uint8),
    )


def test_mirrored_pairs_are_the_mirror_image(still_clip: dataset.PreparedClip) -> None:
    """Everything a mirrored pair makes the renderer see is what the other would show in a
    mirror."""
    held = [np.arange(4)]
    straight, mirrored = (
        next(iter(pairs.Pairs([still_clip], held, 8, 0, mirror=mirror))) for mirror in (False, True)
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (4, 3, 256, 256), generator=generator).byte()
    frames = train_renderer.Frames(
        images=images,
        first=torch.zeros(1, dtype=torch.long),
        mattes=torch.from_numpy(still_clip.source_mattes)[:, None],
        plates=images[:2],
        first_source=torch.zeros(1, dtype=torch.long),
        source_image=torch.from_numpy(still_clip.source_frames),
    )
    attributes = Attributes().requires_grad_(False)
    a = train_renderer.assemble(straight, frames, attributes)
    b = train_renderer.assemble(mirrored, frames, attributes)
    assert 0 < mirrored.mirrored.sum() < 8
    for of_a, of_b in ((a.planes, b.planes), (a.target, b.target)):
        seen = pairs.mirror_images(functional.pixel_shuffle(of_b, 4), mirrored.mirrored)
        torch.testing.assert_close(seen, functional.pixel_shuffle(of_a, 4), atol=1e-3, rtol=0)
    # The random pictures have edges everywhere; few weights differ at the boxes' borders.
    weights = pairs.mirror_images(b.weight, mirrored.mirrored)
    assert (weights != a.weight).float().mean() < 0.01


def test_mirrored_attributes_move_the_mirrored_face() -> None:
    """The model's face is symmetric, up to its sampling: each mode's opposite moves it as the mode
    does in a mirror."""
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    opposite = pairs.opposite_modes(model.expression_names)
    assert sorted(opposite) == list(range(53))
    assert all(opposite[opposite[i]] == i for i in range(53))
    # The vertex nearest to each one's mirror image.
    across = np.linalg.norm(model.neutral[:, None] * [-1, 1, 1] - model.neutral[None], axis=-1)
    twin = across.argmin(1)
    for mode, other in zip(model.expression, opposite, strict=True):
        seen = model.expression[other][twin] * [-1, 1, 1]
        assert np.abs(seen - mode).mean() < 0.05 * np.abs(mode).mean()
    rng = np.random.default_rng(1)
    turn = rng.uniform(-0.3, 0.3, (6, 3)).astype(np.float32)
    flip = np.diag([-1, 1, 1])
    wanted = flip @ rotation_matrix(turn) @ flip
    np.testing.assert_allclose(rotation_matrix(turn * [1, -1, -1]), wanted, atol=1e-5)


# Lips


def test_lip_error_of_known_lips() -> None:
    """Nothing for the same lips; a shift counts as position alone; shut against moving lips do not
    agree."""
    attributes = Attributes().requires_grad_(False)
    model = FaceModel.load(Bundle.default().path("face_model.npz"))
    error = lips.LipError(attributes, model, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    true = 5 * torch.randn(2, 24, 16, generator=generator)
    keep = torch.ones(2, 24, dtype=torch.bool)
    for k, v in error(true, true, keep).items():
        assert float(v) == pytest.approx(0, abs=1e-5), k
    still, other = torch.zeros(2, 24, 16), torch.ones(2, 1, 16).expand(2, 24, 16)
    shifted = error(other, still, keep)
    assert shifted["position"] > 0
    for k in ("motion", "aperture", "agreement", "velocity"):
        assert float(shifted[k]) == pytest.approx(0, abs=1e-5), k
    assert error(still, true, keep)["agreement"] > 0.3
    # What is not kept does not count.
    spoilt = true.clone()
    spoilt[:, 20:] = 9
    keep[:, 20:] = False
    for k, v in error(spoilt, true, keep).items():
        assert float(v) == pytest.approx(0, abs=1e-5), k


@pytest.mark.parametrize("offset", [-1.5, 0.0, 0.25, 3.0])
def test_teacher_features_follow_the_clip(still_clip: dataset.PreparedClip, offset: float) -> None:
    """A feature that tells its own time, in frames, reads the frame's time less the offset."""
    mel = np.arange(80 * 80, dtype=np.float32).reshape(80, 80)
    clip = replace(still_clip, offset=offset, keep=np.ones(20, bool), mel=mel)
    clock = np.repeat(np.arange(40, dtype=np.float32)[:, None] / 2, 384, 1)
    made = teacher.frames_of(clock, clip)
    wanted = np.arange(20)[:, None] + np.repeat([0, 0.5], 384) - offset
    np.testing.assert_allclose(
        made[:, :768] * teacher.FEATURE_SCALE, wanted.clip(0, 19.5), atol=1e-5
    )
    columns = made[:, 768:].reshape(80, 80) * sync.MEL_SCALE + sync.MEL_MEAN
    np.testing.assert_allclose(columns, mel, rtol=1e-5, atol=1e-3)


def test_kept_frames_counts_each_frame_once() -> None:
    face = np.zeros((8, 478, 3), np.float32)
    face[:, :, 0] = np.linspace(80, 180, 478)
    face[:, 234, 0], face[:, 454, 0] = 80, 180
    face[:, :, 1] = 128
    presence = np.ones(8, np.float32)
    yaw = np.zeros(8, np.float32)
    presence[0] = 0.2
    face[2, :, 1] += 60  # jumps there, and back in frame 3
    face[5:] *= 0.3  # jumps and is small from there
    yaw[7] = 1.2
    keep, dropped = prepare.kept_frames(face, presence, yaw)
    assert keep.tolist() == [False, True, False, False, True, False, False, False]
    assert sum(dropped.values()) == 6
    assert dropped["no face"] == 1
    assert dropped["cut or jump"] == 3
    assert dropped["face too small"] + dropped["profile"] == 2


def test_validation_people_are_few_and_fixed() -> None:
    people = [f"person {i}" for i in range(4000)]
    chosen = [p for p in people if dataset.is_validation(p)]
    # 21 of 256 hash values: 8.2 %; five standard errors of a share of 4000.
    assert abs(len(chosen) / 4000 - 21 / 256) < 5 * np.sqrt(0.08 * 0.92 / 4000)
    assert chosen == [p for p in people if dataset.is_validation(p)]


def prepared(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "mel": rng.uniform(dataset.SILENCE, 8.5, (40, 80)).astype(np.float16),
        "keep": rng.random(10) > 0.2,
        "dropped": "{}",
        "source_landmarks": rng.uniform(-200, 500, (4, 468, 3)).astype(np.float32),
        "aperture": rng.uniform(0, 1, 10).astype(np.float32),
        "identity": rng.normal(size=100).astype(np.float32),
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_parts_round_trip(seed: int) -> None:
    arrays = prepared(seed)
    slim = parts.slim(arrays)
    back = parts.restore(slim)
    assert slim["mel"].dtype == np.uint8
    assert slim["source_landmarks"].dtype == np.int16
    assert set(back) == set(arrays) - {"dropped"}
    # Half a step of an eighth, and float16 at 16 to 32: half of 2^-6, going in and coming out.
    assert np.abs(back["mel"].astype(float) - arrays["mel"]).max() <= 0.0625 + 2 * 2.0**-7
    assert np.abs(back["source_landmarks"] - arrays["source_landmarks"]).max() <= 1 / 128
    assert np.abs(back["aperture"] - arrays["aperture"]).max() <= 2.0**-12
    np.testing.assert_array_equal(back["identity"], arrays["identity"])
    np.testing.assert_array_equal(back["keep"], arrays["keep"])
    for name in ("mel", "source_landmarks", "aperture", "identity", "keep"):
        assert back[name].dtype == arrays[name].dtype, name


def test_parts_clip_what_does_not_fit() -> None:
    arrays = prepared(0)
    arrays["mel"][0, 0], arrays["source_landmarks"][0, 0, 0] = 50, 1e6
    back = parts.restore(parts.slim(arrays))
    assert 8.5 < back["mel"][0, 0] < 9
    assert back["source_landmarks"][0, 0, 0] == pytest.approx(512, abs=0.02)


# Calibration of lips


def test_lips_never_pass_through_each_other() -> None:
    """Of the weights that ship: silence presses lips a little, open lips are left alone."""
    module = loop.load_weights(sync.Sync(), "sync")
    spoken = sync.SpokenLips(module)
    quiet = torch.full((1, 4 * sync.CONTEXT, sync.MELS), sync.SILENCE)
    with torch.no_grad():
        silent = spoken(module.embed(quiet))[0, 0]
        pressed = module.lip_shut - module.lip_press * module.lip_way
        torch.testing.assert_close(silent, pressed, rtol=0, atol=2e-3)  # of half floats
        voice = torch.from_numpy(_core.log_mel(portrait_samples.demo_speech()))[None]
        heard = module.embed(voice[:, : voice.shape[1] // 4 * 4])[0]
        heard = heard.unfold(0, sync.CONTEXT, 1).transpose(1, 2)
        change = spoken(heard)[:, 0] - module.lip_shut
        free = module.lip_gain * (module.decoder(heard)[:, 0] - module.lip_anchor)
    before, after = free @ module.lip_opening, change @ module.lip_opening
    assert 0.1 < (before < 0).float().mean() < 0.9
    assert after.min() > -module.lip_press - 1e-3 * before.abs().max()
    torch.testing.assert_close(change[before > 0], free[before > 0])


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_calibration_undoes_what_a_timid_network_does(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are lips' true codes drawn together, and moved off, become true codes again."""
    error = lips.LipError(
        loop.load_weights(Attributes(), "attributes").requires_grad_(False),
        portrait_samples.model(),
        torch.device("cpu"),
    )
    rng = np.random.default_rng(0)
    opened = torch.from_numpy(portrait_samples.expression(jawOpen=0.5))
    rest, way = error.code(torch.zeros(1, 53)), error.code(opened)
    way = way - rest
    off = 0.3 * torch.randn(1, 16, generator=torch.Generator().manual_seed(1))

    def answer(*_: object) -> train_sync.Answer:
        open_by = torch.from_numpy(np.abs(rng.normal(0.5, 0.2, 400)).astype(np.float32))[:, None]
        open_by[:40] = 0
        code = rest + open_by * way
        opening = error.aperture(code) - error.aperture(rest)
        made = off + rest + (0.5 + share * (open_by - 0.5)) * way
        every = torch.ones(400, dtype=torch.bool)
        return train_sync.Answer(made, code, opening, every, every)

    monkeypatch.setattr(train_sync, "answer", answer)
    module = sync.Sync()
    train_sync.calibrate(module, error, [Any] * 8, [Any] * 8, torch.device("cpu"))  # type: ignore[list-item]
    assert float(module.lip_gain) == pytest.approx(1 / share, abs=0.2)
    one = answer()
    spoken = module.lip_shut + module.lip_gain * (one.made - module.lip_anchor)
    made = error.aperture(spoken) - error.aperture(module.lip_shut)
    assert float(made.mean()) == pytest.approx(float(one.opening.mean()), rel=0.1)
    miss = made.clamp(min=0) - one.opening
    assert float(miss.square().mean().sqrt()) < 0.15 * float(one.opening.std() + one.opening.mean())


# Export


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint files of all our networks, with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(1)
    for name, module in (
        ("attributes", Attributes()),
        ("sync", sync.Sync()),
        ("dynamics", dynamics.Dynamics()),
        ("renderer", randomised(renderer.Renderer())),
    ):
        state = {k: v.half().contiguous() for k, v in module.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def random_networks(random_weights: Path) -> dict[str, Network]:
    return networks(random_weights)


def test_export_of_a_renderer_without_diffusion(random_weights: Path, tmp_path: Path) -> None:
    """Its sampling starts where the noise is next to nothing, at the timestep it was trained at."""
    for path in random_weights.iterdir():
        metadata = {"without": "diffusion"} if path.stem == "renderer" else None
        save_file(load_file(path), tmp_path / path.name, metadata)
    assert networks(random_weights)["denoise"].extra["sampler"] == "shift"
    extra = networks(tmp_path)["denoise"].extra
    schedule = make_schedule(1, sampler=extra["sampler"], start=extra["start"])
    assert schedule.start.sigma < 0.01
    assert [step.timestep for step in schedule.steps] == [0]


@pytest.mark.parametrize("name", ["attributes_encode", "audio_encode", "lip_decode", "denoise"])
def test_exported_network_agrees(
    name: str, random_networks: dict[str, Network], tmp_path: Path
) -> None:
    """On inputs that the export's own check has not seen."""
    network = random_networks[name]
    path = tmp_path / f"{name}.onnx"
    assert export(network, path) <= TOLERANCE
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {k: v * 0.7 + torch.rand_like(v) * 0.1 for k, v in network.inputs.items()}
    made = session.run(list(network.outputs), {k: v.numpy() for k, v in inputs.items()})
    with torch.no_grad():
        wanted = network.module(*inputs.values())
    for a, b in zip(made, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        assert a.shape == tuple(b.shape)
        # Float32 on both sides: only the order of sums differs.
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=TOLERANCE * float(b.abs().max()))
        assert float(b.abs().max()) > 1e-3
    # Half of float32's size, and nothing of the machine that wrote it.
    data = path.read_bytes()
    count = sum(p.numel() for p in network.module.parameters())
    assert len(data) < 2 * count + 60_000
    assert str(Path(__file__).parents[1]).encode() not in data


def test_export_refuses_another_network(
    random_networks: dict[str, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that changed on the way to ONNX are noticed, and no file is left."""
    from onnx import ModelProto, numpy_helper

    def damaged(model: ModelProto) -> ModelProto:
        weight = max(model.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
        values: NDArray[Any] = numpy_helper.to_array(weight).copy()
        values.flat[: values.size // 10] += np.float32(0.25)
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        return store_half(model)

    monkeypatch.setattr(export_module, "store_half", damaged)
    path = tmp_path / "attributes_decode.onnx"
    with pytest.raises(RuntimeError, match=r"attributes_decode\.onnx: differs from PyTorch"):
        export(random_networks["attributes_decode"], path)
    assert not path.exists()


def test_network_in_8_bits(random_networks: dict[str, Network], tmp_path: Path) -> None:
    """Nearly the same answers; the layers that are to be kept are, bit for bit, what they were."""
    network = random_networks["denoise"]
    whole, small = tmp_path / "denoise.onnx", tmp_path / "small.onnx"
    export(network, whole)
    generator = torch.Generator().manual_seed(3)

    def drawn() -> dict[str, NDArray[np.float32]]:
        shapes = {name: example.shape for name, example in network.inputs.items()}
        made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        return {k: v.numpy() for k, v in (made | {"timestep": torch.tensor([199.0])}).items()}

    written = quantize.quantize(whole, small, [drawn() for _ in range(4)])["x_t"]
    nodes = onnx.load(small).graph.node
    quantised = {n.output[0] for n in nodes if n.op_type == "DequantizeLinear"}
    convolutions = [n for n in nodes if n.op_type == "Conv"]
    floats = [n for n in convolutions if n.input[1] not in quantised]
    assert len(floats) == len(quantize.KEPT["denoise"]) < len(convolutions)
    inputs = drawn()
    steps = np.rint(inputs["x_t"] / np.float32(written["scale"])) + written["zero_point"]
    octets = {"x_t": steps.clip(0, 255).astype(np.uint8)}
    one, other = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, given)[0]
        for path, given in ((whole, inputs), (small, inputs | octets))
    )
    # A step of 8 bits over the range, a dozen layers deep.
    assert 0 < np.square(one - other).mean() < 0.05**2 * np.square(one).mean()


@pytest.mark.parametrize("name", ["condition", "denoise"])
def test_network_in_float16(random_networks: dict[str, Network], tmp_path: Path, name: str) -> None:
    """It computes in float16, and what `_core` does not write in that stays float32."""
    path = tmp_path / "half.onnx"
    network = random_networks[name]
    assert 1e-6 < export(network, path, half=True) < 2e-2
    weights = [t for t in onnx.load(path).graph.initializer if np.prod(t.dims) > 256]
    assert {t.data_type for t in weights} == {onnx.TensorProto.FLOAT16}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    halves = {v.name for v in session.get_inputs() + session.get_outputs() if "16" in v.type}
    wanted = {"context1", "context2", "gate"} | ({"x_t"} if name == "denoise" else set())
    assert halves == wanted


def test_store_half_keeps_what_is_not_half() -> None:
    """Numbers that float16 cannot hold stay as they are; small tensors always do."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {
        "half": rng.normal(size=(32, 32)).astype(np.float16).astype(np.float32),
        "single": rng.normal(size=(32, 32)).astype(np.float32),
        "bias": np.zeros(32, np.float32),
    }
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])
    nodes = [
        helper.make_node("MatMul", ["x", "half"], ["a"]),
        helper.make_node("MatMul", ["a", "single"], ["b"]),
        helper.make_node("Add", ["b", "bias"], ["y"]),
    ]
    initializers = [numpy_helper.from_array(v, k) for k, v in arrays.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    stored = store_half(model)
    kinds = {t.name: t.data_type for t in stored.graph.initializer}
    assert kinds == {
        "half.half": TensorProto.FLOAT16,
        "single": TensorProto.FLOAT,
        "bias": TensorProto.FLOAT,
    }
    session = onnxruntime.InferenceSession(
        stored.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = rng.normal(size=(1, 32)).astype(np.float32)
    wanted = given.astype(np.float64) @ arrays["half"] @ arrays["single"]
    # 32 products of numbers around 1, twice.
    np.testing.assert_allclose(session.run(["y"], {"x": given})[0], wanted, rtol=0, atol=1e-4)


def test_compare_measures_the_difference(
    random_networks: dict[str, Network], tmp_path: Path
) -> None:
    network = random_networks["attributes_decode"]
    path = tmp_path / "network.onnx"
    export(network, path)
    last = network.module.lip[-1].bias
    largest = float(network.module(*network.inputs.values()).detach().abs().max())
    with torch.no_grad():
        last += largest
        off = compare(network, path.read_bytes())
        last -= largest
    assert 0.4 < off <= 1.001
