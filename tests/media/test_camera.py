"""Virtual cameras, through pyvirtualcam's own `Camera`."""

import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import pyvirtualcam
from numpy.typing import NDArray

from parlante.errors import OutputError
from parlante.media.camera import CameraWriter

NTSC = Fraction(30000, 1001)


def test_camera_shows_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through pyvirtualcam's own `Camera`, on a device of our own."""
    sent: list[NDArray[np.uint8]] = []

    class Backend:
        def __init__(self, **given: Any) -> None:
            self.given = given

        def send(self, frame: NDArray[np.uint8]) -> None:
            sent.append(frame.copy())

        def close(self) -> None:
            sent.append(np.zeros(0, np.uint8))

        def device(self) -> str:
            return "/dev/video9"

        def native_fourcc(self) -> None:
            return None

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"ours": Backend})
    silence = np.zeros(640, np.int16)
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    with CameraWriter("/dev/video9", width=96, height=64, fps=NTSC) as camera:
        given = camera._camera._backend.given
        camera.write(picture, silence)
        camera.write(picture[:, ::-1], silence)
        with pytest.raises(OutputError, match=r"give uint8 \[64, 96, 3\]"):
            camera.write(picture[:32], silence)
    camera.close()
    with pytest.raises(OutputError, match="closed"):
        camera.write(picture, silence)
    assert (given["width"], given["height"], given["device"]) == (96, 64, "/dev/video9")
    assert given["fps"] == pytest.approx(float(NTSC))
    first, second, closed = sent
    assert np.array_equal(first.reshape(picture.shape), picture)
    assert np.array_equal(second.reshape(picture.shape), picture[:, ::-1])
    assert closed.size == 0


def test_camera_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="no virtual camera"):
        CameraWriter("/dev/nothing", width=64, height=64)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(OutputError, match=r"parlante\[camera\]"):
        CameraWriter(width=64, height=64)
