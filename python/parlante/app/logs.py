"""What a command logs: plain lines, or one JSON object a line for what collects logs."""

from __future__ import annotations

import json
import logging
import platform
import re
import sys
from datetime import datetime, timezone

from parlante import __version__
from parlante.errors import ParlanteError

_log = logging.getLogger("parlante")
SECRET = re.compile(r"(token=|Bearer )[^\s&\"'\\]+")


def begin(*, verbose: bool, as_json: bool) -> None:
    """Log to standard error from now on; ``verbose`` or ``as_json``: parlante's own steps, too."""
    logging.basicConfig(level=logging.WARNING)
    if as_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
        _log.setLevel(logging.INFO)
    if verbose:  # of parlante's own steps, not of every library's
        _log.setLevel(logging.DEBUG)
        _log.info("parlante %s on %s", __version__, platform.platform())


def event(what: str, /, **fields: object) -> None:
    """Log ``what`` happened; no token, no text that is said, no path."""
    told = ", ".join(f"{key} {value}" for key, value in fields.items())
    _log.info("%s: %s", what, told, extra={"event": what, "fields": fields})


def failed(error: ParlanteError, *, as_json: bool) -> None:
    """Tell on standard error why a command ended."""
    told = f"{type(error).__name__}: {error}"
    if as_json:
        _log.error(told)
    else:
        print(f"parlante: {told}", file=sys.stderr)  # noqa: T201


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a record of aiohttp's is no malformed request, which would be logged with its token.

    For `logging.Logger.addFilter`.
    """
    kind = record.exc_info and record.exc_info[0]
    return not kind or kind.__module__ != "aiohttp.http_exceptions"


class JsonLines(logging.Formatter):
    """A record as JSON: time (ISO 8601, UTC), level, logger, message, and an `event`'s fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; tokens that another library's message holds are left out."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": getattr(record, "event", None) or record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return SECRET.sub(r"\1…", json.dumps(told, ensure_ascii=False, default=str))
