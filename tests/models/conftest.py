"""What the tests of networks and training share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from models.data import dataset
from parlante.contract import MEL_BANDS
from parlante.face.model import FaceModel
from parlante.face.pose import Pose
from parlante.runtime.bundle import Bundle
from tests.support import portrait_samples

if TYPE_CHECKING:
    from models.train.lips import LipError


@pytest.fixture(autouse=True)
def seeded() -> None:
    pytest.importorskip("torch", reason="needs the extra [train]").manual_seed(0)


@pytest.fixture
def still_clip() -> dataset.PreparedClip:
    """A head that turns and talks, of the face model's own making."""
    model = FaceModel.of(Bundle.default().arrays("face_model"))
    rng = np.random.default_rng(0)
    n = 4
    pose = Pose(
        rng.uniform(-0.2, 0.2, (n, 3)).astype(np.float32),
        np.tile(np.float32([128, 128, 0]), (n, 1)) + rng.uniform(-8, 8, (n, 3)).astype(np.float32),
        rng.uniform(7, 8, n).astype(np.float32),
    )
    expression = rng.uniform(0, 0.5, (n, 53)).astype(np.float32)
    identity = np.zeros(100, np.float32)
    landmarks = pose.apply(model.shape(identity, expression))
    return dataset.PreparedClip(
        name="still",
        path=Path("still.mp4"),
        source="still",
        person="still",
        split="train",
        keep=np.ones(n, bool),
        expression=expression,
        pose=pose,
        identity=identity,
        aperture=np.zeros(n, np.float32),
        closure=np.zeros((n, 2), np.float32),
        mel=None,
        offset=0.0,
        lips=False,
        told=0.0,
        source_frames=np.array([0, 2]),
        source_landmarks=landmarks[[0, 2]],
        source_mattes=rng.integers(0, 256, (2, 256, 256)).astype(np.uint8),
    )


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """A head, uint8 [200, 200, 3]."""
    return np.ascontiguousarray(skimage.data.astronaut()[20:220, 130:330])


@pytest.fixture
def long_clip(still_clip: dataset.PreparedClip) -> dataset.PreparedClip:
    """The same head for 60 frames, its expressions and sound by chance."""
    frames = 60
    rng = np.random.default_rng(0)
    return replace(
        still_clip,
        keep=np.ones(frames, bool),
        expression=rng.uniform(0, 0.5, (frames, 53)).astype(np.float32),
        mel=rng.uniform(-20, 0, (4 * frames, MEL_BANDS)).astype(np.float32),
        lips=True,
    )


@pytest.fixture(scope="session")
def error() -> LipError:
    """Errors of lips, by the attributes that ship."""
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from models.attributes import Attributes
    from models.train.lips import LipError
    from models.train.loop import load_weights

    attributes = load_weights(Attributes(), "attributes").requires_grad_(False)
    return LipError(attributes, portrait_samples.model(), torch.device("cpu"))
