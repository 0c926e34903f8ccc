"""The public-domain portrait and the bundle's networks that the tests of faces share."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import onnxruntime
import skimage.data

from parlante.runtime.assets import networks_folder

BUNDLE = networks_folder()
Image = npt.NDArray[np.uint8]

# Measured by hand on the photo, pixels, good to about one.
PUPILS = np.array([[203.7, 100.8], [246.4, 103.3]])
NOSE = np.array([224.6, 126.3])
MOUTH_CORNERS = np.array([[203.8, 140.8], [242.9, 141.2]])


@cache
def session(name: str) -> onnxruntime.InferenceSession:
    """A network of the bundle on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        BUNDLE / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
    )


def photo() -> Image:
    """Eileen Collins (NASA, public domain), u8[512,512,3]; her face is about 100 pixels high."""
    return np.asarray(skimage.data.astronaut(), np.uint8)
