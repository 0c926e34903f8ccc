"""What is installed here and whether it works, for `parlante doctor` and for bug reports."""

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import av
import onnxruntime

from parlante import __version__
from parlante.errors import BundleError
from parlante.media.stream import stream_protocols
from parlante.runtime.assets import networks_folder
from parlante.runtime.bundle import Bundle
from parlante.runtime.machine import cpu_features, cpu_name, cpu_threads, cuda_device_count

_PACKAGES: Final = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "av", "tqdm")
# What the native core and OpenVINO have faster loops for, as the kernel spells it.
_FEATURES: Final = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd")
_ENCODERS: Final = ("libx264", "aac", "flac")
_DECODERS: Final = ("aac", "flac", "h264", "mp3", "opus", "pcm_s16le", "vorbis")


def report() -> dict[str, Any]:
    """Facts about this installation, as JSON values. Finds faults, raises nothing.

    `ok` is true if nothing that the CPU needs is missing; `bundle.ok` if all files of the model
    bundle are what its manifest says.
    """
    found: dict[str, Any] = {
        "parlante": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": {
            "name": cpu_name(),
            "threads": cpu_threads(),
            "features": [f for f in _FEATURES if f in cpu_features()],
        },
        "native": {"core": _loads("parlante._core"), "cuda": _loads("parlante._cuda")},
        "cuda_devices": cuda_device_count(),
        "providers": onnxruntime.get_available_providers(),
        "codecs": {
            **{f"{name} encoder": _has_codec(name, "w") for name in _ENCODERS},
            **{f"{name} decoder": _has_codec(name, "r") for name in _DECODERS},
        },
        "streams": stream_protocols(),
        "bundle": _bundle(),
    }
    found["ok"] = (
        found["native"]["core"]["ok"]
        and found["bundle"]["ok"]
        and all(found["codecs"].values())
        and "CPUExecutionProvider" in found["providers"]
    )
    return found


def text(found: dict[str, Any]) -> str:
    """The report for people, one fact a line."""
    cpu, bundle = found["cpu"], found["bundle"]
    missing = [name for name, there in found["codecs"].items() if not there]
    lines = [
        ("parlante", found["parlante"]),
        ("python", f"{found['python']} on {found['platform']}"),
        *((name, installed or "not installed") for name, installed in found["packages"].items()),
        (
            "cpu",
            f"{cpu['name']}, {cpu['threads']} threads, {' '.join(cpu['features']) or 'baseline'}",
        ),
        ("native core", _state(found["native"]["core"])),
        ("native cuda", _state(found["native"]["cuda"])),
        ("nvidia gpus", str(found["cuda_devices"])),
        ("onnx providers", ", ".join(found["providers"])),
        ("codecs", f"missing: {', '.join(missing)}" if missing else "all there"),
        ("streams to", _there(found["streams"])),
        ("model bundle", f"{bundle['folder']}: {_bundle_line(bundle)}"),
        *(("", problem) for problem in bundle["problems"]),
        ("", "ready" if found["ok"] else "not ready"),
    ]
    return "\n".join(f"{name:<24}{value}" for name, value in lines)


def _there(found: dict[str, bool]) -> str:
    missing = [name for name, there in found.items() if not there]
    return ", ".join(name for name, there in found.items() if there) + (
        f"; not in this build of PyAV: {', '.join(missing)}" if missing else ""
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _loads(module: str) -> dict[str, Any]:
    try:
        loaded = import_module(module)
    except ImportError as error:
        return {"ok": False, "path": None, "error": str(error)}
    return {"ok": True, "path": loaded.__file__, "error": None}


def _has_codec(name: str, mode: str) -> bool:
    try:
        av.Codec(name, "w" if mode == "w" else "r")
    except ValueError:
        return False
    return True


def _bundle() -> dict[str, Any]:
    folder = networks_folder()
    found: dict[str, Any] = {"folder": str(folder), "version": None, "networks": [], "bytes": 0}
    try:
        bundle = Bundle.open(folder)
    except BundleError as error:
        return {**found, "ok": False, "problems": [str(error)]}
    problems = bundle.problems()
    return {
        **found,
        "version": bundle.manifest.version,
        "networks": sorted(bundle.manifest.networks),
        "bytes": sum(int(entry["bytes"]) for entry in bundle.manifest.files.values()),
        "ok": not problems,
        "problems": problems,
    }


def _bundle_line(bundle: dict[str, Any]) -> str:
    if not bundle["ok"]:
        return "damaged"
    size = bundle["bytes"] / 1e6
    return f"version {bundle['version']}, {len(bundle['networks'])} networks, {size:.1f} MB, whole"


def _state(module: dict[str, Any]) -> str:
    return str(module["path"]) if module["ok"] else f"not there ({module['error']})"
