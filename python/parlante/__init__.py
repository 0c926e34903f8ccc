"""One portrait and any speech in, a talking video of that person out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlante.avatar import Avatar as Avatar
    from parlante.errors import AudioError as AudioError
    from parlante.errors import BundleError as BundleError
    from parlante.errors import DeviceError as DeviceError
    from parlante.errors import FaceNotFoundError as FaceNotFoundError
    from parlante.errors import ImageError as ImageError
    from parlante.errors import OutputError as OutputError
    from parlante.errors import ParlanteError as ParlanteError
    from parlante.errors import SessionClosedError as SessionClosedError
    from parlante.errors import SeveralFacesError as SeveralFacesError
    from parlante.media.camera import CameraWriter as CameraWriter
    from parlante.media.folder import FolderWriter as FolderWriter
    from parlante.media.stream import StreamWriter as StreamWriter
    from parlante.media.writer import VideoWriter as VideoWriter
    from parlante.options import RenderOptions as RenderOptions
    from parlante.runtime.bundle import Bundle as Bundle
    from parlante.session.engine import Frame as Frame
    from parlante.session.live import Live as Live
    from parlante.speaking import Speech as Speech

__version__ = "0.2.0"
__all__ = [
    "AudioError",
    "Avatar",
    "Bundle",
    "BundleError",
    "CameraWriter",
    "DeviceError",
    "FaceNotFoundError",
    "FolderWriter",
    "Frame",
    "ImageError",
    "Live",
    "OutputError",
    "ParlanteError",
    "RenderOptions",
    "SessionClosedError",
    "SeveralFacesError",
    "Speech",
    "StreamWriter",
    "VideoWriter",
    "__version__",
]

_HOME = {
    "AudioError": "parlante.errors",
    "Avatar": "parlante.avatar",
    "Bundle": "parlante.runtime.bundle",
    "BundleError": "parlante.errors",
    "CameraWriter": "parlante.media.camera",
    "DeviceError": "parlante.errors",
    "FaceNotFoundError": "parlante.errors",
    "FolderWriter": "parlante.media.folder",
    "Frame": "parlante.session.engine",
    "ImageError": "parlante.errors",
    "Live": "parlante.session.live",
    "OutputError": "parlante.errors",
    "ParlanteError": "parlante.errors",
    "RenderOptions": "parlante.options",
    "SessionClosedError": "parlante.errors",
    "SeveralFacesError": "parlante.errors",
    "Speech": "parlante.speaking",
    "StreamWriter": "parlante.media.stream",
    "VideoWriter": "parlante.media.writer",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the command line and the training code need only parts of the
    # SDK.
    if name not in _HOME:
        raise AttributeError(f"module 'parlante' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
