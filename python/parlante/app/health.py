"""What a server tells those who watch over it: counts and times for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from parlante.errors import ParlanteError
from parlante.session.live import LiveStatus

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        ProcessCollector,
        generate_latest,
    )
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
except ImportError as error:
    raise ParlanteError('serve needs prometheus-client; install "parlante[serve]"') from error

LATENESS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.2, 1.0)  # seconds; a frame lasts 0.04
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Health:
    """The metrics of a server; of its ``limit`` sessions ``running`` says how many there are."""

    def __init__(self, limit: int, running: Callable[[], int]) -> None:
        registry = self._registry = CollectorRegistry()
        sessions = Gauge("parlante_sessions", "Sessions that run", registry=registry)
        sessions.set_function(running)
        Gauge("parlante_sessions_limit", "Sessions there may be", registry=registry).set(limit)
        self.refused = Counter(
            "parlante_sessions_refused", "Sessions for which there was no room", registry=registry
        )
        self._frames = Counter("parlante_frames", "Frames delivered", registry=registry)
        self._repeated = Counter(
            "parlante_frames_repeated", "Of them, those for which time was short", registry=registry
        )
        self._late = Histogram(
            "parlante_frame_late_seconds",
            "How late frames were begun",
            buckets=LATENESS,
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def frame(self, before: LiveStatus, now: LiveStatus) -> None:
        """Count what a session has delivered between two of its states."""
        self._frames.inc(now.frames - before.frames)
        self._repeated.inc(now.repeated - before.repeated)
        self._late.observe(now.late_s)

    def text(self) -> bytes:
        """All of it in Prometheus' text format, of `CONTENT_TYPE`."""
        return generate_latest(self._registry)
