"""The model bundle: networks and arrays with a manifest that says what each is and must hash to.

Every file is read once, checked against its SHA-256, and used from the bytes that were checked.
Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from parlante.checks import path_of, read_file
from parlante.errors import BundleError, DeviceError, shown
from parlante.runtime.assets import networks_folder
from parlante.runtime.manifest import MANIFEST, REINSTALL, Manifest
from parlante.runtime.npz import PARSER_ERRORS
from parlante.runtime.sessions import Device, fits, new_session, resolve_device

_log = logging.getLogger(__name__)

MAX_THREADS: Final = 256
# The renderer's networks, which may be there in other number formats, too: NAME_int8 and the like.
# OpenVINO runs these only: in bfloat16 the others would lose what a picture's residual does not.
RENDERER: Final = ("condition", "denoise")


class Bundle:
    """A folder of networks and arrays. Any thread may call any method; sessions are shared."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use `Bundle.default()` or `Bundle.open(folder)`."""
        self.folder = folder
        self.manifest = manifest
        self._lock = Lock()
        self._whole: set[str] = set()
        self._sessions: dict[tuple[str, str, int, int], onnxruntime.InferenceSession] = {}

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Open the bundle in `folder`; its files are checked when they are first used.

        Raises:
            BundleError: no manifest, or one that this version cannot read.
        """
        folder = path_of(folder, BundleError)
        return cls(folder, Manifest.read(folder / MANIFEST))

    @classmethod
    def default(cls) -> Bundle:
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
            data = io.BytesIO(self._read(file))
            zipfile.ZipFile(data).close()  # NumPy advises to unpickle what is none
            data.seek(0)
            with np.load(data, allow_pickle=False) as loaded:
                return {key: loaded[key] for key in loaded.files}
        except PARSER_ERRORS as error:
            raise BundleError(
                f"model bundle: {file} holds no arrays ({error}); {REINSTALL}"
            ) from error

    def session(
        self, name: str, *, threads: int = 1, device: str = "cpu", stream: int = 0
    ) -> onnxruntime.InferenceSession:
        """A session that runs the network `name`; the same one for the same arguments.

        Args:
            name: as in the manifest.
            threads: that one run may use on the CPU.
            device: "cpu", "cuda", or "auto": CUDA where it works, else the CPU. "openvino": the
                CPU, the renderer's networks through OpenVINO, in bfloat16 where the CPU has it.
            stream: the cudaStream_t that it runs on with "cuda", by one thread at a time; it is
                there as long as the bundle. 0: one of its own, any thread.

        Raises:
            BundleError: no such network, or its file is missing or damaged.
            DeviceError: unknown device, one asked for that is not there, or bad `threads`.
        """
        return self._opened(name, threads, device, partial(self._kept, stream=stream))

    def sessions(
        self, *names: str, threads: int = 1, device: str = "cpu"
    ) -> list[onnxruntime.InferenceSession]:
        """New sessions that will hardly run more than once; their memory is free after that.

        Arguments and errors are those of `session`.
        """
        new = partial(self._new, once=True)
        return [self._opened(name, threads, device, new) for name in names]

    def problems(self) -> list[str]:
        """What is wrong with the files, by checking all of them; empty for a whole bundle."""
        found = []
        for name in sorted(self.manifest.files):
            try:
                self._read(name)
            except BundleError as error:
                found.append(str(error))
        return found

    def _opened(
        self,
        name: str,
        threads: int,
        device: str,
        opens: Callable[[str, Device, int], onnxruntime.InferenceSession],
    ) -> onnxruntime.InferenceSession:
        if isinstance(threads, bool) or not 1 <= threads <= MAX_THREADS:
            raise DeviceError(f"threads is {shown(threads)}; give 1 to {MAX_THREADS}")
        resolved = resolve_device(device)
        if resolved == "openvino" and name.partition("_")[0] not in RENDERER:
            resolved = "cpu"
        try:
            return opens(name, resolved, threads)
        except DeviceError as error:
            if device != "auto":
                raise
            _log.warning("%s; using the CPU", error)
            return opens(name, "cpu", threads)

    def _kept(
        self, name: str, device: Device, threads: int, stream: int
    ) -> onnxruntime.InferenceSession:
        with self._lock:
            key = (name, device, threads, stream)
            if key not in self._sessions:
                self._sessions[key] = self._new(name, device, threads, stream=stream)
            return self._sessions[key]

    def _new(
        self, name: str, device: Device, threads: int, *, stream: int = 0, once: bool = False
    ) -> onnxruntime.InferenceSession:
        network = self.manifest.networks.get(name)
        if network is None:
            raise BundleError(
                f"model bundle: {self.folder} has no network {name!r}, only "
                f"{', '.join(sorted(self.manifest.networks))}; {REINSTALL}"
            )
        _log.debug("network %s: %s, %d threads", name, device, threads)
        content = self._read(network["file"])
        session = new_session(content, name, device, threads, stream=stream, once=once)
        if not fits(network.get("inputs"), session.get_inputs()) or not fits(
            network.get("outputs"), session.get_outputs()
        ):
            raise BundleError(
                f"model bundle: network {name!r} has other inputs or outputs than {MANIFEST} says; "
                f"{REINSTALL}"
            )
        return session

    def _read(self, name: str) -> bytes:
        entry = self.manifest.files.get(name)
        path = self.folder / name
        if entry is None:
            raise BundleError(f"model bundle: {path} is not in the manifest; {REINSTALL}")
        try:
            content = read_file(path)
        except OSError as error:
            raise BundleError(
                f"model bundle: {path} cannot be read ({error.strerror}); {REINSTALL}"
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry["sha256"]:
            raise BundleError(
                f"model bundle: {path} has SHA-256 {digest}, expected {entry['sha256']}; it is "
                f"damaged or was replaced: {REINSTALL}"
            )
        return content


@cache
def _open_default() -> Bundle:
    return Bundle.open(networks_folder())
