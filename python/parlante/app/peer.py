"""A page that sees and hears over WebRTC: less delay on a network that loses packets."""

from __future__ import annotations

from parlante.session.engine import Frame
from parlante.session.live import Live

try:
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    from parlante.adapters.webrtc import LiveTrack, give
except ImportError:  # the page then takes frames over its WebSocket
    AVAILABLE = False
else:
    AVAILABLE = True


class Peer:
    """One side of a WebRTC connection, which sends a session's frames."""

    def __init__(self, live: Live) -> None:
        self._live = live
        # No server outside is asked: both sides know addresses that lead to each other.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._video, self._audio = LiveTrack("video"), LiveTrack("audio")
        for track in (self._video, self._audio):
            self._connection.addTrack(track)

    async def answer(self, offer: str) -> str:
        """The description (SDP) of this side, for that of the other.

        Raises:
            ValueError: ``offer`` is none, or leaves no way to send video and sound.
        """
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # aiortc raises whatever its parsers meet
            await self.close()
            raise ValueError(
                f"no answer to this offer ({error}); send a description (SDP)"
            ) from error
        return str(self._connection.localDescription.sdp)

    @property
    def connected(self) -> bool:
        """Whether what is sent arrives."""
        return bool(self._connection.connectionState == "connected")

    def send(self, frame: Frame) -> None:
        """Send a frame of the session; the oldest goes where they queue."""
        give(frame, self._live, self._video, self._audio)

    async def close(self) -> None:
        """End it; a second call does nothing."""
        self._video.put(None)
        self._audio.put(None)
        await self._connection.close()
