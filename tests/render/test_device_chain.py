"""The diffusion chain in device memory: on a GPU, and with the kernels emulated on the CPU.

Emulated, device memory is ONNX Runtime's own on the CPU, and all bits are those of the usual way.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from parlante import _core
from parlante.contract import Precision
from parlante.errors import DeviceError
from parlante.options import RenderOptions
from parlante.render import chain as chain_module
from parlante.render import memory as memory_module
from parlante.render.memory import Device, DeviceArray, Host, first_gpu, memory_of
from parlante.render.renderer import FrameRenderer
from parlante.runtime import bundle as bundle_module
from parlante.runtime import sessions as sessions_module
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.speech.motion import Motion, MotionStream
from tests.support import cuda_device
from tests.support.portrait_samples import avatar, demo_speech, model

cuda_test = pytest.mark.cuda


class Watched(Device):
    """Counts what crosses the border, and how often the op is called: by one chain at a time."""

    def __init__(self, cuda: ModuleType, kind: str) -> None:
        super().__init__(cuda, kind)
        self.count: Counter[str] = Counter()
        step = self.denoise_step

        def counted(*arrays: Any, **options: Any) -> None:
            assert self.lock.locked()
            self.count["steps"] += 1
            step(*arrays, **options)

        self.denoise_step = counted

    def upload(self, arrays: Iterable[Any]) -> None:
        self.count["uploads"] += 1
        super().upload(arrays)

    def download(self, array: Any) -> None:
        assert self.lock.locked()
        self.count["downloads"] += 1
        super().download(array)


def place() -> str:
    """Kind of the device's memory, and where networks run that use it."""
    if cuda_device.emulated:
        return "cpu"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is not onnxruntime-gpu")
    return "cuda"


@cache
def motions() -> list[Motion]:
    return MotionStream(Bundle.default(), seed=2).push(demo_speech()[:48_000])[::12]


def renderer(device: str, precision: Precision, steps: int) -> FrameRenderer:
    options = RenderOptions(size=128, steps=steps, seed=5)
    compute = Compute(device=device, precision=precision)
    return FrameRenderer(Bundle.default(), model(), avatar().portrait, options, compute)


def frames(draws: FrameRenderer) -> NDArray[np.uint8]:
    return np.stack([draws.render(motion) for motion in motions()])


def refuse(*arrays: Any, **options: Any) -> None:
    raise AssertionError("the op of the CPU was called")


@cuda_test
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_frames_are_those_of_the_cpu(
    cuda: ModuleType, monkeypatch: pytest.MonkeyPatch, precision: Precision, steps: int
) -> None:
    where = place()
    with monkeypatch.context() as patch:
        patch.setattr(chain_module, "memory_of", lambda *_: Host(2))
        want = frames(renderer(where, precision, steps))
    device = Watched(cuda, where)
    monkeypatch.setattr(chain_module, "memory_of", lambda *_: device)
    monkeypatch.setattr(_core, "denoise_step", refuse)
    draws = renderer(where, precision, steps)
    tiles = len(draws.networks)
    assert device.count == {"uploads": tiles}  # the timesteps, once and for all
    made = frames(draws)
    chains = device.count["downloads"]
    assert chains > len(motions()) / 2
    assert device.count == {
        "uploads": tiles + chains,
        "downloads": chains,
        "steps": (1 + steps) * chains,
    }
    if cuda_device.emulated:
        np.testing.assert_array_equal(made, want)
    else:  # the same networks, on another stream; their last bits are cuDNN's
        assert np.square(made.astype(float) - want).mean() < 0.1


@cuda_test
def test_all_that_networks_and_steps_share_is_on_the_device(
    cuda: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(cuda, place())
    monkeypatch.setattr(chain_module, "memory_of", lambda *_: device)
    draws = renderer(place(), "int8", 2)
    frames(draws)
    for networks in draws.networks:
        for network in networks.values():
            for array in (*network.inputs.values(), *network.outputs.values()):
                assert isinstance(array, DeviceArray)
                assert array.value.device_name() == place()
                interface = array.__cuda_array_interface__
                assert interface["data"][0] not in (0, array.host.ctypes.data)
        x_t = networks["denoise"].inputs["x_t"]
        assert isinstance(x_t, DeviceArray)
        assert x_t.host.dtype == np.uint8
    for name in ("condition_int8", "denoise_int8"):  # on the stream of the steps
        assert (name, place(), 2, device.stream) in Bundle.default()._sessions


@cuda_test
@pytest.mark.parametrize("dtype", [np.float16, np.uint8])
def test_the_next_input_is_written_in_its_own_format(cuda: ModuleType, dtype: type) -> None:
    """As the CPU writes it; float16 has no networks in the bundle."""
    rng = np.random.default_rng(0)
    condition = rng.uniform(-1, 1, (1, 144, 32, 32)).astype(np.float32)
    flow = rng.uniform(0, 127, (128, 128, 6)).astype(np.float32)
    options = {"c_x0": 1.0, "c_xt": 0.0, "sigma": 0.6, "seed": 5, "step": 0}
    options |= {"scale": 0.02, "zero_point": 117.0}
    results = []
    for memory in (Host(1), Device(cuda, place())):
        x, made = np.empty((1, 48, 32, 32), np.float32), np.zeros((1, 48, 32, 32), dtype)
        read = [memory.array(condition), memory.array(flow)]
        x_there, made_there = memory.array(x), memory.array(made)
        memory.upload(read)
        memory.denoise_step(None, None, *read, x_there, next=made_there, **options)
        memory.download(x_there)
        memory.download(made_there)
        results.append((x, made))
    for got, want in zip(*results, strict=True):
        assert want.std() > 0.1
        np.testing.assert_array_equal(got, want)


@cuda_test
def test_streams(cuda: ModuleType) -> None:
    one, other = cuda.Stream(), cuda.Stream()
    assert 0 not in {one.handle(), other.handle()}
    assert one.handle() != other.handle()
    one.synchronize()
    with pytest.raises(TypeError):
        cuda.Stream(-1)


@cuda_test
def test_a_stream_ends_with_its_object(cuda: ModuleType) -> None:
    if not cuda_device.emulated:
        pytest.skip("what a GPU does with a stream that is gone is undefined")
    device = Device(cuda, place())
    given, out = (device.array(np.zeros((1, 48, 8, 8), np.float32)) for _ in range(2))
    step = partial(device.denoise_step, None, None, given, None, out, c_x0=1.0, c_xt=0.0)
    step(sigma=0.0, seed=0, step=0)
    del device
    with pytest.raises(RuntimeError, match=r"denoise_step: CUDA .*invalid resource handle"):
        step(sigma=0.0, seed=0, step=0)


# The choice


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has a driver and a GPU."""
    for module in (memory_module, bundle_module):
        monkeypatch.setattr(module, "resolve_device", lambda d: "cpu" if d == "cpu" else "cuda")
    first_gpu.cache_clear()
    yield
    first_gpu.cache_clear()


def fresh() -> Bundle:
    """The bundle without sessions."""
    return Bundle.open(Bundle.default().folder)


@pytest.mark.usefixtures("driver")
def test_without_the_kernels_it_is_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parlante._cuda", None)
    bundle = fresh()
    assert isinstance(memory_of(bundle, Compute(device="cuda")), Host)
    assert not bundle._sessions


@cuda_test
def test_with_the_kernels_it_is_the_device(
    cuda: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for all. Emulated, the CPU's provider stands in for that of CUDA."""
    if cuda_device.emulated:
        request.getfixturevalue("driver")
        monkeypatch.setitem(sys.modules, "parlante._cuda", cuda)
        providers = {**sessions_module._PROVIDERS, "cuda": "CPUExecutionProvider"}
        monkeypatch.setattr(sessions_module, "_PROVIDERS", providers)
    else:
        place()
    bundle = fresh()
    device = memory_of(bundle, Compute(device="cuda", precision="int8"))
    assert isinstance(device, Device)
    assert memory_of(bundle, Compute(device="auto", precision="int8")) is device
    assert list(bundle._sessions) == [("denoise_int8", "cuda", 2, device.stream)]
    assert isinstance(memory_of(bundle, Compute()), Host)


@cuda_test
@pytest.mark.usefixtures("driver")
def test_auto_gives_up_with_its_networks(cuda: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CUDA's provider cannot be had, asked for by name it is an error."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is onnxruntime-gpu")
    monkeypatch.setitem(sys.modules, "parlante._cuda", cuda)
    with pytest.raises(DeviceError):
        memory_of(fresh(), Compute(device="cuda"))
    assert isinstance(memory_of(fresh(), Compute(device="auto")), Host)


def test_sessions_get_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []
    real = onnxruntime.InferenceSession

    def session(content: bytes, options: Any, *, providers: Any, **more: Any) -> Any:
        given.append(providers[0][1])
        return real(content, options, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    providers = {**sessions_module._PROVIDERS, "cuda": "CPUExecutionProvider"}
    monkeypatch.setattr(sessions_module, "_PROVIDERS", providers)
    content = Bundle.default().path("denoise.onnx").read_bytes()
    for stream in (0, 94_558_000):
        sessions_module.new_session(content, "denoise", "cuda", 1, stream=stream)
    assert [options.get("user_compute_stream") for options in given] == [None, "94558000"]
