"""Pictures one by one: a folder of PNG files, and the sound beside them."""

from __future__ import annotations

import contextlib
import re
import shutil
import wave
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from parlante.contract import SAMPLE_RATE, Image
from parlante.errors import OutputError, reason
from parlante.media.encoder import check_picture, check_sound
from parlante.media.files import WholeOrNothing
from parlante.media.hidden import Hidden

SOUND: Final = "sound.wav"
WAVE_RATES: Final = range(1, 2**32)  # Hz, of a WAV file
_QUICK: Final = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_SAMPLE_BYTES: Final = 2
_MOST_BYTES: Final = 2**32 - 64  # of samples in a WAV file, whose header counts in 32 bits


def is_numbered(path: Path) -> bool:
    """Whether a path names pictures by their number, as in ``shot/%06d.png``."""
    return (
        path.suffix.lower() == ".png" and re.fullmatch(r"[^%]*%(0\d)?d[^%]*", path.name) is not None
    )


def written_by(path: Path) -> list[Path]:
    """What a `FolderWriter` of ``path`` wrote, of what is there."""
    begin, end = map(re.escape, re.split(r"%(?:0\d)?d", path.name))
    ours = re.compile(rf"{begin}\d+{end}|{re.escape(SOUND)}")
    return [file for file in path.parent.iterdir() if ours.fullmatch(file.name)]


def remove_pictures(path: Path) -> None:
    """Remove the folder that a `FolderWriter` wrote to ``path``, if nothing else is in it."""
    with contextlib.suppress(OSError):
        if len(written_by(path)) == len(list(path.parent.iterdir())):
            shutil.rmtree(path.parent)


class FolderWriter(WholeOrNothing):
    """Writes frames as PNG, ``shot/000000.png`` …, and speech as ``shot/sound.wav``.

    Nothing is lost: pictures are 8-bit RGB, or RGBA with straight alpha, the sound 16-bit PCM. The
    folder appears whole or not at all. A context manager, as `VideoWriter` is one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        sample_rate: int = SAMPLE_RATE,
        channels: int = 1,
        transparent: bool = False,
    ) -> None:
        """Begin a folder, which is not there yet.

        Args:
            path: of the pictures, with their number as in ``shot/%06d.png``; the folder around
                ``shot`` exists.
            width, height: of the pictures, pixels.
            sample_rate: of the audio, Hz; channels: 1 or 2.
            transparent: pictures are RGBA.

        Raises:
            OutputError: the name has no number or another ending, there is something of the
                folder's name, or it cannot be made.
        """
        self._path, self._name = Path(path).parent, Path(path).name
        if not is_numbered(Path(path)):
            raise OutputError(f"{path}: name the pictures by their number, as in shot/%06d.png")
        self._shape = (height, width, 4 if transparent else 3)
        self._channels, self._frames, self.samples, self._closed = channels, 0, 0, False
        self._open = contextlib.ExitStack()
        try:
            if self._path.exists():
                raise OutputError(
                    f"the folder {self._path} is there; one for pictures is made anew: name another"
                )
            self._hidden = Hidden(self._path, folder=True)
            self._partial = self._hidden.path
            self._sound = self._open.enter_context(wave.open(str(self._partial / SOUND), "wb"))  # noqa: SIM115
            self._sound.setparams((channels, _SAMPLE_BYTES, sample_rate, 0, "NONE", ""))
        except OSError as error:
            raise OutputError(f"{self._path} cannot be made ({reason(error)})") from error

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._frames

    def write(self, image: Image, audio: NDArray[np.int16]) -> None:
        """Write one frame, and append audio of any length, as `VideoWriter.write` takes them.

        Raises:
            OutputError: wrong shape or dtype, or closed; or the disk is full, or the sound more
                than a WAV file holds, 4 GiB: then nothing is left.
        """
        if self._closed:
            raise OutputError(f"{self._path} is closed; open a new FolderWriter to write more")
        check_picture(image, self._shape)
        check_sound(audio, self._channels)
        if (self.samples + len(audio)) * self._channels * _SAMPLE_BYTES > _MOST_BYTES:
            self.abort()
            raise OutputError(
                f"{SOUND} of {self._path} would be longer than a WAV file can be, 4 GiB; write "
                "several folders"
            )
        colours = cv2.COLOR_RGB2BGR if self._shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        coded = cv2.imencode(".png", cv2.cvtColor(image, colours), _QUICK)[1]
        try:
            (self._partial / (self._name % self._frames)).write_bytes(coded.data)
            self._sound.writeframes(np.ascontiguousarray(audio).astype("<i2").data)
        except OSError as error:
            self.abort()
            raise OutputError(
                f"{self._path} could not be written after {self.frames} frames ({reason(error)}); "
                "free space on the disk or choose another folder"
            ) from error
        self._frames += 1
        self.samples += len(audio)

    def _finish(self) -> None:
        try:
            self._open.close()
            self._partial.rename(self._path)
        except OSError as error:
            self.abort()
            raise OutputError(
                f"{self._path} cannot be finished ({reason(error)}); free space on the disk or "
                "choose another folder"
            ) from error
        self._closed = True
        self._hidden.keep()

    def abort(self) -> None:
        """Drop what was written."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._open.close()
        self._hidden.drop()
