"""One portrait and any speech in, a talking video of that person out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlante.avatar import Avatar as Avatar
    from parlante.avatar import Speech as Speech
    from parlante.engine import Frame as Frame
    from parlante.live import Live as Live

__version__ = "0.1.0"
__all__ = ["Avatar", "Frame", "Live", "Speech", "__version__"]

_HOME = {
    "Avatar": "parlante.avatar",
    "Speech": "parlante.avatar",
    "Frame": "parlante.engine",
    "Live": "parlante.live",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the command line and the training code need only parts of the
    # SDK.
    if name not in _HOME:
        raise AttributeError(f"module 'parlante' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
