"""Network streams."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from queue import Full, Queue
from threading import Event, Thread
from typing import Final
from urllib.parse import urlsplit

import av
import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE, Image
from parlante.errors import OutputError, reason, shown
from parlante.media.codecs import Codecs
from parlante.media.encoder import Encoder, Format, check_picture, check_sound

_log = logging.getLogger(__name__)
_STREAMS: Final = {
    "rtmp": "flv",
    "rtmps": "flv",
    "udp": "mpegts",
    "tcp": "mpegts",
    "srt": "mpegts",
}
_TIMEOUT_S: Final = 10.0  # to connect, or to send a frame
_AGAIN_S: Final = 1.0  # between two attempts to connect anew
_STALL_S: Final = 0.5  # that a patient writer waits for a peer; less than moves a session's clock
_WAITING: Final = 8  # frames that wait to be encoded and sent
_NUMBERS: Final = (int, float, np.integer, np.floating)
_FAULTS: Final = (av.FFmpegError, OSError, ValueError)
# Whole packets of MPEG-TS, as many as fit an Ethernet frame: what receivers expect of UDP.
_DATAGRAM: Final = 7 * 188


def stream_protocols() -> dict[str, bool]:
    """The protocols of `StreamWriter`, and whether this build of PyAV has them."""
    return {name: _is_there(name) for name in _STREAMS}


def _is_there(protocol: str) -> bool:
    try:
        # Refused before anything is sent: by the list that allows nothing, if not for want of it.
        av.open(f"{protocol}://127.0.0.1:9/", options={"protocol_whitelist": "none"}).close()
    except av.ProtocolNotFoundError:
        return False
    except (av.FFmpegError, OSError, ValueError):
        pass
    return True


def _scheme_of(url: str) -> str:
    scheme = url.partition("://")[0].lower() if isinstance(url, str) else ""
    if scheme not in _STREAMS or "://" not in url:
        given = url if isinstance(url, str) else shown(url)
        raise OutputError(f"{given}: give a URL that starts with {', '.join(_STREAMS)}")
    try:
        urlsplit(url)
    except ValueError:
        raise OutputError(
            f"{scheme}://…: there is no such host; give {scheme}://HOST:PORT, an IPv6 address in []"
        ) from None
    return scheme


def _public(url: str) -> str:
    """A URL for people: its path may hold the key of a stream."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


@dataclass(frozen=True)
class _Sent:
    """A frame and its sound, with the numbers of both in the stream."""

    frame: int
    sample: int
    image: Image
    audio: NDArray[np.int16]


class _Connection(Thread):
    """Connects, encodes and sends, in a thread of its own: a peer that takes nothing holds it."""

    def __init__(self, connect: Callable[[], Encoder], wait: float = 0.0) -> None:
        """Begin to connect ``wait`` seconds from now."""
        super().__init__(daemon=True)
        self._connect, self._wait = connect, wait
        self._waiting: Queue[_Sent | None] = Queue(_WAITING)
        self.tried, self._over = Event(), Event()
        self.fault: Exception | None = None
        self._taken_at = time.monotonic()
        self.start()

    def run(self) -> None:
        """Until there is nothing more to send, or the connection is lost."""
        try:
            time.sleep(self._wait)
            encoder = self._connect()
            self.tried.set()
            while (sent := self._waiting.get()) is not None:
                encoder.frames, encoder.samples = sent.frame, sent.sample
                encoder.write(sent.image, sent.audio)
            encoder.finish()
        except _FAULTS as fault:
            self.fault = fault
        finally:
            self.tried.set()
            self._over.set()

    def send(self, sent: _Sent | None, wait: float = _TIMEOUT_S) -> bool:
        """Whether that was taken within ``wait`` seconds; None: what waits is the last.

        There is a ``fault`` where the connection is lost, as is one that takes nothing for ten.
        """
        if not self._over.is_set():
            try:
                self._waiting.put(sent, timeout=wait)
                self._taken_at = time.monotonic()
            except Full:
                if time.monotonic() - self._taken_at >= _TIMEOUT_S:
                    self.fault = TimeoutError(f"nothing was taken for {_TIMEOUT_S:g} s")
                return False
        return self.fault is None

    def end(self) -> None:
        """Send what waits and hang up; one that hangs is left alone."""
        if self.send(None):
            self._over.wait(_TIMEOUT_S)


def _connected(address: str, container: str, form: Format, codec: dict[str, str]) -> Encoder:
    # Or a first connection is late by what its sound begins before its picture.
    options = {"avoid_negative_ts": "disabled"} if container == "mpegts" else {}
    opened = av.open(address, mode="w", format=container, timeout=_TIMEOUT_S, options=options)
    encoder = Encoder(opened, form, Codecs(), codec)
    opened.start_encoding()  # connects
    return encoder


class StreamWriter:
    """Sends frames and mono speech to a URL as they come, for `Live` frames.

    H.264 and AAC to rtmp:// and rtmps:// (FLV), udp:// and tcp:// (MPEG-TS).

    srt:// (MPEG-TS) needs a PyAV that was built against an FFmpeg with libsrt; the one on PyPI is
    not. A datagram of UDP holds at most seven MPEG-TS packets, 1316 bytes, unless the URL has a
    ``pkt_size``. A key frame every two seconds and no frame held back. A connection that is lost is
    tried again for as long as ``patience`` says; frames of that time are dropped, those after it
    keep their times. While a peer pauses, a patient writer leaves pictures out and keeps the sound
    for when it goes on, so that nobody waits for it. A context manager; use from one thread at a
    time.
    """

    def __init__(
        self,
        url: str,
        *,
        width: int,
        height: int,
        fps: Fraction | int = 25,
        sample_rate: int = SAMPLE_RATE,
        kilobits: int = 2_500,
        preset: str = "veryfast",
        patience: float = 0.0,
    ) -> None:
        """Connect to ``url``.

        Args:
            width, height, fps, sample_rate, preset: as of `VideoWriter`.
            kilobits: most kilobits a second of the picture, 100 to 50,000.
            patience: seconds for which a lost connection is tried again; 0: it is an error.

        Raises:
            OutputError: any of these is not so, this PyAV does not know the protocol, or nobody
                answers at the URL.
        """
        scheme = _scheme_of(url)
        if not _is_there(scheme):
            others = [name for name, there in stream_protocols().items() if there]
            raise OutputError(
                f"{_public(url)}: this build of PyAV has no {scheme.upper()}; build PyAV against "
                f"an FFmpeg with lib{scheme}, or send to {', '.join(others)}"
            )
        if not isinstance(kilobits, _NUMBERS) or not 100 <= kilobits <= 50_000:
            raise OutputError(f"kilobits is {shown(kilobits)}; give 100 to 50000")
        if not isinstance(patience, _NUMBERS) or not 0 <= patience < math.inf:
            raise OutputError(f"patience is {shown(patience)}; give seconds, 0 or more")
        form = Format(width=width, height=height, fps=fps, sample_rate=sample_rate, preset=preset)
        self._name, self._patience = _public(url), patience
        self._shape = (height, width, 3)
        options = {
            "preset": form.preset,
            "tune": "zerolatency",
            "g": str(math.ceil(2 * fps)),
            **dict.fromkeys(("b", "maxrate", "bufsize"), f"{kilobits}k"),
        }
        address = url
        if scheme == "udp" and "pkt_size=" not in url:
            address += f"{'&' if '?' in url else '?'}pkt_size={_DATAGRAM}"

        self._connect = partial(_connected, address, _STREAMS[scheme], form, options)
        self._frames = self._samples = 0
        self._lost_at: float | None = None  # when, and not there again
        self._held: list[NDArray[np.int16]] = []  # sound of pictures that were left out
        self._closed = False
        self._connection = _Connection(self._connect)
        there = self._connection.tried.wait(2 * _TIMEOUT_S)
        fault = self._connection.fault if there else TimeoutError("nobody answered")
        if fault is not None:
            raise OutputError(
                f"{self._name} cannot be reached ({reason(fault)}); check the URL"
            ) from fault

    def write(self, image: Image, audio: NDArray[np.int16]) -> None:
        """Send one frame, RGB u8 [height, width, 3], and its audio, int16 [k].

        Raises:
            OutputError: wrong shape or dtype; closed; the connection is lost, for longer than
                ``patience``, which closes it.
        """
        if self._closed:
            raise OutputError(f"{self._name} is closed; open a new StreamWriter to send more")
        check_picture(image, self._shape)
        check_sound(audio, 1)
        if self._lost_at is not None:
            self._try_again(self._lost_at)
        if self._lost_at is None:
            self._send(image, audio)
        self._frames += 1
        self._samples += len(audio)

    def _send(self, image: Image, audio: NDArray[np.int16]) -> None:
        before = sum(map(len, self._held))
        held = [*self._held, audio.copy()]
        sent = _Sent(self._frames, self._samples - before, image.copy(), np.concatenate(held))
        wait = _TIMEOUT_S if not self._patience else 0.0 if self._held else _STALL_S
        if self._connection.send(sent, wait):
            self._held = []
        elif self._connection.fault is None:
            self._held = held
        else:
            self._held = []
            if self._patience:
                _log.warning("%s is lost; trying again for %g s", self._name, self._patience)
            self._lost_at = time.monotonic()
            self._try_again(self._lost_at)

    def _try_again(self, lost_at: float) -> None:
        """Go on with a connection that is there again, or try once more."""
        connection = self._connection
        if not connection.tried.is_set():
            return
        if connection.fault is None:
            self._lost_at = None
            _log.warning("%s is there again", self._name)
            return
        if time.monotonic() - lost_at >= self._patience:
            self._closed = True
            raise OutputError(
                f"{self._name} is lost after {self._frames} frames ({reason(connection.fault)})"
            ) from connection.fault
        self._connection = _Connection(self._connect, _AGAIN_S)

    def close(self) -> None:
        """Send what is left and hang up; a second call does nothing."""
        if not self._closed:
            self._closed = True
            if self._lost_at is None:
                self._connection.end()

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
