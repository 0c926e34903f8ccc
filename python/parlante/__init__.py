"""One portrait and any speech in, a talking video of that person out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlante.avatar import Avatar as Avatar
    from parlante.avatar import Speech as Speech
    from parlante.errors import ParlanteError as ParlanteError
    from parlante.options import RenderOptions as RenderOptions
    from parlante.session.engine import Frame as Frame
    from parlante.session.live import Live as Live

__version__ = "0.2.0"

_HOME = {
    "Avatar": "parlante.avatar",
    "Frame": "parlante.session.engine",
    "Live": "parlante.session.live",
    "ParlanteError": "parlante.errors",
    "RenderOptions": "parlante.options",
    "Speech": "parlante.avatar",
}
__all__ = [
    "Avatar",
    "Frame",
    "Live",
    "ParlanteError",
    "RenderOptions",
    "Speech",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the command line and the training code need only parts of the
    # SDK.
    if name not in _HOME:
        raise AttributeError(f"module 'parlante' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
