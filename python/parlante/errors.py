"""Everything parlante raises on purpose.

One base class, so that a server can catch `ParlanteError` around a request and nothing else. Every
message says what was given, what was expected and what to do.
"""


class ParlanteError(Exception):
    """Base of all errors that parlante raises on purpose."""


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


def reason(error: Exception) -> str:
    """What FFmpeg or the system says, without error numbers."""
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return str(error) or type(error).__name__
