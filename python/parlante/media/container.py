"""Opening media files from users: what a demuxer may read, and one wording for what goes wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import av
import av.container

from parlante.checks import open_file
from parlante.errors import ParlanteError, reason

# Demuxers that a file may pick. Playlists, scripts and devices (hls, concat, lavfi, ...) are left
# out on purpose: they would make an uploaded file open other files or addresses.
_FORMATS: Final = (
    "wav,w64,aiff,au,caf,flac,mp3,ogg,mov,matroska,aac,ac3,eac3,amr,asf,avi,flv,mpeg,mpegts,"
    "ape,wv,tta"
)


class Unchanged:
    """A file that has to stay as it is while it is read."""

    def __init__(self, path: Path, error_type: type[ParlanteError]) -> None:
        """Make it before the file is opened."""
        self._path, self._error_type = path, error_type
        self._state = self._now()

    def check(self) -> None:
        """Raise ``error_type`` if it was replaced, written to or removed since."""
        if self._state is not None and self._now() != self._state:
            raise self._error_type(
                f"{self._path} was changed while it was read; give a file that stays as it is"
            )

    def _now(self) -> tuple[int, ...] | None:
        try:
            now = self._path.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(now.st_mode):
            return None
        return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns


def open_media(path: Path, error_type: type[ParlanteError]) -> av.container.InputContainer:
    """Open a local media file, with demuxers that read nothing but that file.

    Raises:
        error_type: missing, a folder, unreadable, empty, or not a known media format.
    """
    try:
        if path.is_dir():
            raise error_type(f"{path} is a folder; give the path of a media file")
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise error_type(f"{path} is empty (0 bytes); give a media file")
        return av.open(
            f"file:{path}",
            mode="r",
            options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        )
    except FileNotFoundError as error:
        raise error_type(f"{path} does not exist; check the path") from error
    except PermissionError as error:
        raise error_type(f"{path} may not be read; check its permissions") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise error_type(
            f"{path} cannot be opened as audio or video ({reason(error)}); it is cut short, "
            "damaged or of another format: give a whole wav, flac, mp3, ogg, m4a, mp4, mov, mkv "
            "or webm file"
        ) from error
