"""Network streams."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from typing import Final
from urllib.parse import urlsplit

import av
import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE, Image
from parlante.errors import OutputError, reason
from parlante.media.codecs import Codecs
from parlante.media.encoder import Encoder, Format

_STREAMS: Final = {
    "rtmp": "flv",
    "rtmps": "flv",
    "udp": "mpegts",
    "tcp": "mpegts",
    "srt": "mpegts",
}
_TIMEOUT_S: Final = 10.0
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


def _public(url: str) -> str:
    """A URL for people: its path may hold the key of a stream."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


class StreamWriter:
    """Sends frames and mono speech to a URL as they come, for `Live` frames.

    H.264 and AAC to rtmp:// and rtmps:// (FLV), udp:// and tcp:// (MPEG-TS).

    srt:// (MPEG-TS) needs a PyAV that was built against an FFmpeg with libsrt; the one on PyPI is
    not. A datagram of UDP holds at most seven MPEG-TS packets, 1316 bytes, unless the URL has a
    ``pkt_size``. A key frame every two seconds and no frame held back. A context manager; use from
    one thread at a time.
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
    ) -> None:
        """Connect to ``url``.

        Args:
            width, height, fps, sample_rate, preset: as of `VideoWriter`.
            kilobits: most kilobits a second of the picture, 100 to 50,000.

        Raises:
            OutputError: any of these is not so, this PyAV does not know the protocol, or nobody
                answers at the URL.
        """
        scheme = url.partition("://")[0].lower()
        if "://" not in url or scheme not in _STREAMS:
            raise OutputError(f"{url}: give a URL that starts with {', '.join(_STREAMS)}")
        if not _is_there(scheme):
            others = [name for name, there in stream_protocols().items() if there]
            raise OutputError(
                f"{_public(url)}: this build of PyAV has no {scheme.upper()}; build PyAV against "
                f"an FFmpeg with lib{scheme}, or send to {', '.join(others)}"
            )
        if not 100 <= kilobits <= 50_000:
            raise OutputError(f"kilobits is {kilobits}; give 100 to 50000")
        form = Format(width=width, height=height, fps=fps, sample_rate=sample_rate, preset=preset)
        self._name = _public(url)
        options = {
            "preset": form.preset,
            "tune": "zerolatency",
            "g": str(math.ceil(2 * fps)),
            **dict.fromkeys(("b", "maxrate", "bufsize"), f"{kilobits}k"),
        }
        address = url
        if scheme == "udp" and "pkt_size=" not in url:
            address += f"{'&' if '?' in url else '?'}pkt_size={_DATAGRAM}"
        try:
            container = av.open(address, mode="w", format=_STREAMS[scheme], timeout=_TIMEOUT_S)
            self._encoder = Encoder(container, form, Codecs(), options)
            container.start_encoding()  # connects
        except (av.FFmpegError, OSError, ValueError) as error:
            raise OutputError(f"{self._name} cannot be reached ({reason(error)})") from error
        self._closed = False

    def write(self, image: Image, audio: NDArray[np.int16]) -> None:
        """Send one frame, RGB u8 [height, width, 3], and its audio, int16 [k].

        Raises:
            OutputError: wrong shape or dtype; closed; the connection is lost, which closes it.
        """
        if self._closed:
            raise OutputError(f"{self._name} is closed; open a new StreamWriter to send more")
        self._encoder.check(image, audio)
        try:
            self._encoder.write(image, audio)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._closed = True
            raise OutputError(
                f"{self._name} is lost after {self._encoder.frames} frames ({reason(error)})"
            ) from error

    def close(self) -> None:
        """Send what is left and hang up; a second call does nothing."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._encoder.finish()

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
