"""Everything parlante raises on purpose.

One base class, so that a server can catch `ParlanteError` around a request and nothing else. Every
message says what was given, what was expected and what to do, in one line.
"""

MOST_CHARACTERS = 2000  # of a message; what was given may be long


class ParlanteError(Exception):
    """Base of all errors that parlante raises on purpose.

    White space in the message, line ends among it, is one space; what else does not print is
    escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_one_line(message))


class FaceNotFoundError(ParlanteError):
    """No usable face in the picture."""


class SeveralFacesError(ParlanteError):
    """More than one face in the picture and none was picked; `face=0` picks the largest."""


class ImageError(ParlanteError):
    """A photo, or the picture half of a video, cannot be used."""


class AudioError(ParlanteError):
    """Speech, from a file or an array, cannot be used."""


class OutputError(ParlanteError):
    """A result cannot be written: folder, name, permission or disk space."""


class BundleError(ParlanteError):
    """The model bundle is missing, damaged or of another version."""


class DeviceError(ParlanteError):
    """The device asked for is not there."""


class SessionClosedError(ParlanteError):
    """A live session was used after it had been closed."""


def shown(value: object) -> str:
    """A value that was given, for a message: its ``repr``, or its type where that fails."""
    try:
        return repr(value)
    except Exception:  # of the caller's class, or of a number of thousands of digits
        return f"<{type(value).__name__}>"


def reason(error: Exception) -> str:
    """What FFmpeg or the system says, without error numbers."""
    said = getattr(error, "strerror", None)  # of PyAV's errors, too
    return str(said or error) or type(error).__name__


def _one_line(message: str) -> str:
    text = " ".join(message.split())
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS - 500]} … {text[-500:]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
