"""The pages of `parlante serve`: HTML with its scripts and words in it, and what it may do."""

from __future__ import annotations

import base64
import hashlib
import re

from parlante.runtime.assets import asset

SOURCE = re.compile(r'(<script[^>]*?) src="([^"]+)">')
SCRIPT = re.compile(r"<script>(.*?)</script>", re.S)


def page(name: str) -> str:
    """The page ``name`` with the files that its scripts name in their places."""
    folder = asset("web")

    def with_source(script: re.Match[str]) -> str:
        return f"{script[1]}>\n{(folder / script[2]).read_text('utf-8')}"

    return SOURCE.sub(with_source, (folder / name).read_text("utf-8"))


def policy(text: str) -> str:
    """What a page may do: run its own scripts and no other, and lie in no other site's frame."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in SCRIPT.findall(text))
    return (
        f"default-src 'self'; script-src {hashes} blob:; style-src 'unsafe-inline'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'self'; "
        "base-uri 'none'; form-action 'none'; object-src 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
