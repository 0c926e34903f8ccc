"""The model bundle: networks and arrays with a manifest that says what each is and must hash to.

Every file is read once, checked against its SHA-256, and used from the bytes that were checked.
Nothing is ever unpickled. `write_manifest` is the other half, used when a bundle is exported.
"""

import hashlib
import io
import json
import logging
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePath
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from parlante import __version__
from parlante.errors import BundleError, DeviceError
from parlante.machine import cpu_features, cuda_device_count

_log = logging.getLogger(__name__)

FORMAT: Final = 3
MANIFEST: Final = "manifest.json"
MAX_THREADS: Final = 256

# What the runtime feeds the networks, and what they have to have been trained with.
FRONT_END: Final[Mapping[str, Any]] = {
    "sample_rate": 16_000,
    "fps": 25,
    "samples_per_frame": 640,
    "log_mel": {
        "n_fft": 512,
        "hop_length": 160,
        "bands": 80,
        "f_min": 20.0,
        "f_max": 7600.0,
        "scale": "slaney",
        "norm": "slaney",
        "floor": 1e-10,
    },
    "mel_window": [9, 8],  # columns that the audio encoder sees from the start of its frame
}

Device = Literal["cpu", "cuda", "openvino"]

_PROVIDERS: Final[Mapping[Device, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# The onnxruntime that has a provider.
_DISTRIBUTIONS: Final = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}
# The renderer's networks, which may be there in other number formats, too: NAME_int8 and the like.
# OpenVINO runs these only: in bfloat16 the others would lose what a picture's residual does not.
RENDERER: Final = ("condition", "denoise")
_FATAL: Final = 4  # ORT's log level; what goes wrong is raised
_REINSTALL: Final = "reinstall parlante, or export the bundle again"


@dataclass(frozen=True)
class Part:
    """What a file of a bundle is, for `write_manifest`.

    file: name in the bundle's folder; .onnx files are networks.
    licence: SPDX expression. training_data: what it was trained on, and by whom.
    extra: what else the runtime has to know about a network (JSON values).
    """

    file: str
    licence: str
    training_data: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Contents of manifest.json.

    files: by file name: sha256, bytes, licence, training_data.
    networks: by part: file, inputs and outputs (dtype and shape by name), and the part's `extra`.
    """

    version: str
    files: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read and check `path`.

        Raises:
            BundleError: missing, no valid manifest, or for another version of parlante.
        """
        try:
            content = json.loads(path.read_bytes())
        except OSError as error:
            raise BundleError(
                f"model bundle: {path} cannot be read ({error.strerror}); reinstall parlante, or "
                "give the folder of a whole bundle"
            ) from error
        except ValueError as error:
            raise BundleError(f"model bundle: {path} is no JSON ({error}); {_REINSTALL}") from error
        if not isinstance(content, dict):
            raise BundleError(f"model bundle: {path} holds no JSON object; {_REINSTALL}")
        if content.get("format") != FORMAT or content.get("front_end") != FRONT_END:
            raise BundleError(
                f"model bundle: {path} has format {content.get('format')!r} and front end "
                f"{content.get('front_end')!r}, expected {FORMAT} and {FRONT_END!r}; it was made "
                "for another version of parlante: install that one, or export the bundle again"
            )
        files, networks = _table(content, "files"), _table(content, "networks")
        version = content.get("version")
        if files is None or networks is None or not isinstance(version, str):
            raise BundleError(f"model bundle: {path} lacks its tables; {_REINSTALL}")
        for name, entry in files.items():
            if PurePath(name).name != name or not isinstance(entry.get("sha256"), str):
                raise BundleError(f"model bundle: {path} has a bad entry {name!r}; {_REINSTALL}")
        for name, entry in networks.items():
            if entry.get("file") not in files:
                raise BundleError(
                    f"model bundle: {path} lists network {name!r} without its file; {_REINSTALL}"
                )
        return cls(version, MappingProxyType(files), MappingProxyType(networks))


class Bundle:
    """A folder of networks and arrays. Any thread may call any method; sessions are shared."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use `Bundle.default()` or `Bundle.open(folder)`."""
        self.folder = folder
        self.manifest = manifest
        self._lock = Lock()
        self._whole: set[str] = set()
        self._sessions: dict[tuple[str, str, int], onnxruntime.InferenceSession] = {}

    @classmethod
    def open(cls, folder: str | Path) -> "Bundle":
        """Open the bundle in `folder`; its files are checked when they are first used.

        Raises:
            BundleError: no manifest, or one that this version cannot read.
        """
        folder = Path(folder)
        return cls(folder, Manifest.read(folder / MANIFEST))

    @classmethod
    def default(cls) -> "Bundle":
        """The bundle that came with the package, opened once.

        Raises:
            BundleError: it is missing or damaged.
        """
        return _open_default()

    @property
    def key(self) -> str:
        """SHA-256 over the files' names and digests: what results depend on."""
        digest = hashlib.sha256()
        for name in sorted(self.manifest.files):
            digest.update(f"{name} {self.manifest.files[name]['sha256']}\n".encode())
        return digest.hexdigest()

    def path(self, name: str) -> Path:
        """Path of the file `name`, after its contents were checked.

        Raises:
            BundleError: not in the manifest, missing or damaged.
        """
        if name not in self._whole:
            self._read(name)
            self._whole.add(name)
        return self.folder / name

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Arrays of the file `name`.npz.

        Raises:
            BundleError: not in the manifest, missing, damaged, or with pickled objects in it.
        """
        file = f"{name}.npz"
        try:
            with np.load(io.BytesIO(self._read(file)), allow_pickle=False) as loaded:
                return {key: loaded[key] for key in loaded.files}
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"model bundle: {file} holds no arrays ({error}); {_REINSTALL}"
            ) from error

    def session(
        self, name: str, *, threads: int = 1, device: str = "cpu"
    ) -> onnxruntime.InferenceSession:
        """A session that runs the network `name`; the same one for the same arguments.

        Args:
            name: as in the manifest.
            threads: that one run may use on the CPU.
            device: "cpu", "cuda", or "auto": CUDA where it works, else the CPU. "openvino": the
                CPU, the renderer's networks through OpenVINO, in bfloat16 where the CPU has it.

        Raises:
            BundleError: no such network, or its file is missing or damaged.
            DeviceError: unknown device, one asked for that is not there, or bad `threads`.
        """
        if isinstance(threads, bool) or not 1 <= threads <= MAX_THREADS:
            raise DeviceError(f"threads is {threads!r}; give 1 to {MAX_THREADS}")
        resolved = resolve_device(device)
        if resolved == "openvino" and name.partition("_")[0] not in RENDERER:
            resolved = "cpu"
        try:
            return self._session(name, resolved, threads)
        except DeviceError as error:
            if device != "auto":
                raise
            _log.warning("%s; using the CPU", error)
            return self._session(name, "cpu", threads)

    def problems(self) -> list[str]:
        """What is wrong with the files, by checking all of them; empty for a whole bundle."""
        found = []
        for name in sorted(self.manifest.files):
            try:
                self._read(name)
            except BundleError as error:
                found.append(str(error))
        return found

    def _session(self, name: str, device: Device, threads: int) -> onnxruntime.InferenceSession:
        network = self.manifest.networks.get(name)
        if network is None:
            raise BundleError(
                f"model bundle: {self.folder} has no network {name!r}, only "
                f"{', '.join(sorted(self.manifest.networks))}; {_REINSTALL}"
            )
        with self._lock:
            key = (name, device, threads)
            if key not in self._sessions:
                self._sessions[key] = _new_session(
                    self._read(network["file"]), name, device, threads
                )
            return self._sessions[key]

    def _read(self, name: str) -> bytes:
        entry = self.manifest.files.get(name)
        path = self.folder / name
        if entry is None:
            raise BundleError(f"model bundle: {path} is not in the manifest; {_REINSTALL}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BundleError(
                f"model bundle: {path} cannot be read ({error.strerror}); {_REINSTALL}"
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry["sha256"]:
            raise BundleError(
                f"model bundle: {path} has SHA-256 {digest}, expected {entry['sha256']}; it is "
                f"damaged or was replaced: {_REINSTALL}"
            )
        return content


@cache
def _open_default() -> Bundle:
    return Bundle.open(default_folder())


def default_folder() -> Path:
    """Where the bundle that came with the package is."""
    return Path(str(files("parlante") / "bundle"))


def resolve_device(device: str) -> Device:
    """The device that networks run on when `device`, "cpu", "cuda", "openvino" or "auto", is asked
    for.

    Raises:
        DeviceError: unknown, or asked for and not there.
    """
    if device == "cpu":
        return "cpu"
    if device not in ("cuda", "openvino", "auto"):
        raise DeviceError(f"device is {device!r}; give 'cpu', 'cuda', 'openvino' or 'auto'")
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
    raise DeviceError(f"device is {device!r}, but {missing}; or use device='cpu'")


def write_manifest(
    folder: str | Path,
    parts: Mapping[str, Part],
    *,
    mel_window: tuple[int, int],
    version: str = __version__,
) -> Path:
    """Write manifest.json for the files of a bundle, hashing them and reading networks' signatures.

    Args:
        folder: of the bundle, with all files in place.
        parts: by name, under which networks are asked for.
        mel_window: log-mel columns that the audio encoder sees before and after the first sample
            of its frame.
        version: of the bundle, for people.

    Raises:
        BundleError: a part's file is missing, is no plain name or is another part's, or a network
            that ONNX Runtime does not load.
    """
    folder = Path(folder)
    files: dict[str, Any] = {}
    networks: dict[str, Any] = {}
    for name, part in parts.items():
        path = folder / part.file
        if PurePath(part.file).name != part.file or part.file in files or not path.is_file():
            raise BundleError(
                f"model bundle: part {name!r} is not one new file in {folder} ({part.file!r}); "
                "give each part the plain name of its own file"
            )
        content = path.read_bytes()
        files[part.file] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "licence": part.licence,
            "training_data": part.training_data,
        }
        if path.suffix == ".onnx":
            session = _new_session(content, name, "cpu", 1)
            networks[name] = {
                **part.extra,
                "file": part.file,
                "inputs": _signature(session.get_inputs()),
                "outputs": _signature(session.get_outputs()),
            }
    manifest = {
        "format": FORMAT,
        "version": version,
        "front_end": {**FRONT_END, "mel_window": list(mel_window)},
        "files": files,
        "networks": networks,
    }
    path = folder / MANIFEST
    partial = path.with_name(f".{MANIFEST}.{secrets.token_hex(6)}.partial")
    try:
        partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _new_session(
    content: bytes, name: str, device: Device, threads: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    # Between runs the cores belong to the native operators and to the other networks.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    provider = _PROVIDERS[device]
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=[(provider, _provider_options(device, threads))],
            enable_fallback=0,
        )
    except Exception as error:  # ORT raises what its C++ half throws, without a common base
        if device != "cpu":
            raise DeviceError(_device_failed(device, name, str(error))) from error
        raise BundleError(
            f"model bundle: onnxruntime {onnxruntime.__version__} cannot load network {name!r} "
            f"({error}); install a newer onnxruntime, or {_REINSTALL}"
        ) from error
    if session.get_providers()[0] != provider:
        raise DeviceError(_device_failed(device, name, "it fell back to the CPU"))
    return session


def _provider_options(device: Device, threads: int) -> dict[str, str]:
    if device == "cuda":
        # The exhaustive search, ORT's default, times algorithms at the first run: slow, and another
        # choice, with other last bits, each time.
        return {"cudnn_conv_algo_search": "HEURISTIC"}
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
        f"device is {device!r}, but onnxruntime {onnxruntime.__version__} cannot run network "
        f"{name!r} there ({why}); check that the libraries of {_DISTRIBUTIONS[device]} are "
        "installed, or use device='cpu'"
    )


def _signature(values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    return {value.name: {"type": value.type, "shape": value.shape} for value in values}


def _table(content: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]] | None:
    table = content.get(key)
    if isinstance(table, dict) and all(isinstance(entry, dict) for entry in table.values()):
        return table
    return None
