"""Virtual cameras."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from parlante.contract import Image
from parlante.errors import OutputError
from parlante.media.encoder import check_picture


class CameraWriter:
    """Shows frames as a virtual camera, for `Live` frames.

    By pyvirtualcam: v4l2loopback on Linux, OBS elsewhere. A camera has no sound: play `Frame.audio`
    where it is to be heard.

    A context manager; use from one thread at a time.
    """

    def __init__(
        self, device: str | None = None, *, width: int, height: int, fps: Fraction | int = 25
    ) -> None:
        """Open ``device``, such as /dev/video2; None for the first that is free.

        Raises:
            OutputError: pyvirtualcam is not installed, or there is no such camera.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            raise OutputError(
                'a virtual camera needs pyvirtualcam; install "parlante[camera]"'
            ) from error
        try:
            self._camera = pyvirtualcam.Camera(width, height, float(fps), device=device)
        except RuntimeError as error:
            raise OutputError(
                f"no virtual camera to show frames on ({error}); set one up"
            ) from error
        self._shape = (height, width, 3)
        self._closed = False

    def write(self, image: Image, audio: NDArray[np.int16]) -> None:
        """Show one frame, RGB u8 [height, width, 3]; ``audio`` is not used.

        Raises:
            OutputError: wrong shape or dtype; closed; the camera is gone, where its driver tells.
        """
        if self._closed:
            raise OutputError("the camera is closed; open a new CameraWriter to show more")
        check_picture(image, self._shape)
        try:
            self._camera.send(np.ascontiguousarray(image))
        except (RuntimeError, OSError) as error:
            self.close()
            raise OutputError(
                f"the camera is gone ({error}); plug it in, and open it again"
            ) from error

    def close(self) -> None:
        """Give the camera back; a second call does nothing."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(RuntimeError, OSError):  # it is gone
                self._camera.close()

    def __enter__(self) -> CameraWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
