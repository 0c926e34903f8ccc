"""ONNX Runtime sessions: which device a network runs on, and with which options."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import onnxruntime

from parlante.errors import BundleError, DeviceError, shown
from parlante.runtime.external import has_external_data
from parlante.runtime.machine import cpu_features, cuda_device_count
from parlante.runtime.manifest import REINSTALL

Device = Literal["cpu", "cuda", "openvino"]

_PROVIDERS: Final[Mapping[Device, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# The onnxruntime that has a provider.
_DISTRIBUTIONS: Final = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}
_FATAL: Final = 4  # ORT's log level; what goes wrong is raised


def resolve_device(device: str) -> Device:
    """The device that networks run on when ``device`` is asked for.

    That is "cpu", "cuda", "openvino" or "auto".

    Raises:
        DeviceError: unknown, or asked for and not there.
    """
    if not isinstance(device, str) or device not in ("cpu", "cuda", "openvino", "auto"):
        raise DeviceError(f"device is {shown(device)}; give 'cpu', 'cuda', 'openvino' or 'auto'")
    if device == "cpu":
        return "cpu"
    wanted: Device = "openvino" if device == "openvino" else "cuda"
    available = onnxruntime.get_available_providers()
    if _PROVIDERS[wanted] not in available:
        missing = (
            f"this onnxruntime {onnxruntime.__version__} has only {', '.join(available)}: install "
            f"{_DISTRIBUTIONS[wanted]} in its place"
        )
    elif wanted == "cuda" and cuda_device_count() == 0:
        missing = "there is no NVIDIA GPU, or its driver does not answer"
    else:
        return wanted
    if device == "auto":
        return "cpu"
    raise DeviceError(f"device is {shown(device)}, but {missing}; or use device='cpu'")


def new_session(
    content: bytes, name: str, device: Device, threads: int, *, stream: int = 0, once: bool = False
) -> onnxruntime.InferenceSession:
    """A session for the bytes ``content`` of the network ``name``.

    stream: the cudaStream_t that it runs on, for "cuda"; 0 for one of its own. once: it will hardly
    run more often; it does not keep memory for the next run.

    Raises:
        BundleError: onnxruntime cannot load it, or some of it is in another file.
        DeviceError: it cannot run there.
    """
    _check_whole(content, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    options.enable_cpu_mem_arena = not once
    # Between runs the cores belong to the native operators and to the other networks.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # `_check_whole` knows this format only; and where it errs, no file is to be found.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=[(_PROVIDERS[device], _provider_options(device, threads, stream))],
            enable_fallback=0,
        )
    except Exception as error:  # ORT raises what its C++ half throws, without a common base
        if device != "cpu":
            raise DeviceError(_device_failed(device, name, str(error))) from error
        raise BundleError(
            f"model bundle: onnxruntime {onnxruntime.__version__} cannot load network {name!r} "
            f"({error}); install a newer onnxruntime, or {REINSTALL}"
        ) from error
    if not runs_on(session, device):
        raise DeviceError(_device_failed(device, name, "it fell back to the CPU"))
    return session


def _check_whole(content: bytes, name: str) -> None:
    """BundleError if the network is not all in ``content``, whose digest is known."""
    try:
        elsewhere = has_external_data(content)
    except ValueError as error:
        raise BundleError(
            f"model bundle: network {name!r} is no ONNX file ({error}); {REINSTALL}"
        ) from error
    if elsewhere:
        raise BundleError(
            f"model bundle: network {name!r} keeps data in another file, which no manifest "
            f"knows; {REINSTALL}"
        )


def signature(values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Of a session's inputs or outputs, as a manifest has it: type and shape by name."""
    return {value.name: {"type": value.type, "shape": value.shape} for value in values}


def fits(stated: object, values: Sequence[Any]) -> bool:
    """Whether inputs or outputs are as a manifest states; sizes that are no numbers fit any."""
    real = signature(values)
    if not isinstance(stated, dict) or stated.keys() != real.keys():
        return False
    for name, one in real.items():
        told, shape = stated[name], one["shape"]
        if not isinstance(told, dict) or told.get("type") != one["type"]:
            return False
        sizes = told.get("shape")
        if not isinstance(sizes, list) or len(sizes) != len(shape):
            return False
        pairs = zip(sizes, shape, strict=True)
        if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs):
            return False
    return True


def runs_on(session: onnxruntime.InferenceSession, device: Device) -> bool:
    """Whether a session runs its network on ``device``."""
    return bool(session.get_providers()[0] == _PROVIDERS[device])


def _provider_options(device: Device, threads: int, stream: int) -> dict[str, str]:
    if device == "cuda":
        # The exhaustive search, ORT's default, times algorithms at the first run: slow, and another
        # choice, with other last bits, each time.
        options = {"cudnn_conv_algo_search": "HEURISTIC"}
        return options | {"user_compute_stream": str(stream)} if stream else options
    if device == "openvino":
        precision = "bf16" if cpu_features() & {"avx512_bf16", "amx_bf16"} else "f32"
        own = {"CPU": {"INFERENCE_PRECISION_HINT": precision}}
        return {
            "device_type": "CPU",
            "num_of_threads": str(threads),
            "load_config": json.dumps(own),
        }
    return {}


def _device_failed(device: Device, name: str, why: str) -> str:
    return (
        f"device is {shown(device)}, but onnxruntime {onnxruntime.__version__} cannot run network "
        f"{name!r} there ({why}); check that the libraries of {_DISTRIBUTIONS[device]} are "
        "installed, or use device='cpu'"
    )
