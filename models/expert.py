"""The Sync expert: does this mouth say this sound? Used in measuring only.

After SyncNet (Chung and Zisserman 2016), on lip landmarks instead of pixels: one second of log-mel
and one second of the lips' shape meet in one space, where what belongs together is near. The
generator never sees it, and it learns from other people than the generator.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parlante.contract import MEL_BANDS, MEL_PER_FRAME, Float
from parlante.face.topology import LIPS_INNER, LIPS_OUTER

# Log-mel of speech lies in about [-23, 5] with mean −7; the networks want about [−2, 2].
MEL_MEAN, MEL_SCALE = -7.0, 5.0
WINDOW = 25  # frames
MEMBERS = 3
OFFSETS = 10  # frames to both sides that a search looks at
SIDE = len(LIPS_INNER) // 2  # lip points from corner to corner
SHAPE = 2 * SIDE  # openings along both rings, and their widths
EYES = (33, 263)  # outer corners
SHAPE_SCALE = 0.03  # of the distance between the eyes; a speaking mouth opens by some of these


def lip_shape(landmarks: Float) -> Float:
    """Shape of the lips [N, 20] of landmarks [N, ≥468, 2+].

    Of the inner and the outer ring the width and nine openings, over the distance between the eyes,
    in units of `SHAPE_SCALE`.
    """
    points = landmarks[..., :2].astype(np.float32)
    eyes = np.linalg.norm(points[:, EYES[0]] - points[:, EYES[1]], axis=-1)
    sizes = []
    for ring in (list(LIPS_INNER), list(LIPS_OUTER)):
        sizes.append(points[:, ring[0]] - points[:, ring[SIDE]])
        sizes += [points[:, ring[i]] - points[:, ring[-i]] for i in range(1, SIDE)]
    lengths = np.linalg.norm(np.stack(sizes, 1), axis=-1)
    scale = SHAPE_SCALE * np.maximum(np.median(eyes), 1e-6)
    return np.asarray(lengths / scale, np.float32)


class _Member(nn.Module):
    """Log-mel [N, 80, 100] and lip shapes [N, 20, 25] → embeddings [N, 128]."""

    def __init__(self, width: int = 128, embedding: int = 128) -> None:
        super().__init__()
        self.hear = nn.Sequential(
            nn.Conv1d(MEL_BANDS, width, 5, padding=2),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(width, width, 8, stride=4, padding=2),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(WINDOW * width, embedding),
        )
        self.see = nn.Sequential(
            nn.Conv1d(SHAPE, width, 5, padding=2),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(WINDOW * width, embedding),
        )


class Expert(nn.Module):
    """Windows of sound and of lips → unit-length embeddings [N, 384].

    Those of three networks side by side, which learn apart, so that a product of two embeddings is
    the mean of theirs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList([_Member() for _ in range(MEMBERS)])
        self.temperature = nn.Parameter(torch.tensor(2.7))  # log of the inverse temperature

    def audio(self, mel: Tensor) -> Tensor:
        """Embeddings of log-mel [N, 100, 80]."""
        scaled = ((mel - MEL_MEAN) / MEL_SCALE).clamp(-3, 3).transpose(1, 2)
        return self._joined([member.hear(scaled) for member in self.members])

    def lips(self, shape: Tensor) -> Tensor:
        """Embeddings of the `lip_shape` of windows [N, 25, 20].

        How a mouth is at rest is its own affair: only its motion is seen.
        """
        moved = (shape - shape.mean(1, keepdim=True)).transpose(1, 2)
        return self._joined([member.see(moved) for member in self.members])

    def agreement(self, audio: Tensor, lips: Tensor) -> Tensor:
        """Cosines [3, N, N] of each member's embeddings of sounds with those of lips."""
        sound, mouth = (e.unflatten(1, (MEMBERS, -1)) for e in (audio, lips))
        return MEMBERS * torch.einsum("imd,jmd->mij", sound, mouth)

    @staticmethod
    def _joined(embeddings: list[Tensor]) -> Tensor:
        return torch.cat([F.normalize(e, dim=-1) for e in embeddings], 1) / MEMBERS**0.5


@torch.no_grad()
def distances(expert: Expert, mel: Float, shape: Float) -> Float:
    """Distances [W, 21] between the lips of each window and the sound around it.

    From ``OFFSETS`` frames earlier to ``OFFSETS`` frames later, for log-mel [4·N, 80] and lip
    shapes [N, 20] of one clip. Windows start at every frame where all of these lie inside; W may be
    0.
    """
    count = len(shape) - WINDOW + 1
    if count <= 2 * OFFSETS:
        return np.zeros((0, 2 * OFFSETS + 1), np.float32)
    heard = torch.from_numpy(mel).unfold(0, WINDOW * MEL_PER_FRAME, MEL_PER_FRAME)[:count]
    audio = expert.audio(heard.transpose(1, 2))
    lips = expert.lips(torch.from_numpy(shape).unfold(0, WINDOW, 1).transpose(1, 2))
    near = audio.unfold(0, 2 * OFFSETS + 1, 1)  # [W, 384, 21]
    middle = lips[OFFSETS : count - OFFSETS]
    return (2 - 2 * torch.einsum("wco,wc->wo", near, middle)).clamp(min=0).sqrt().numpy()


def synchrony(expert: Expert, mel: Float, shape: Float) -> dict[str, float]:
    """How well lips and sound of one clip agree; nothing for a clip too short.

    From the means of `distances` over its windows, as SyncNet has it: ``distance``, the least;
    ``confidence``, how far it lies under the median; ``found``, share of windows whose least
    distance is at most one frame from where it belongs.
    """
    apart = distances(expert, mel, shape)
    if not len(apart):
        return {}
    mean = apart.mean(0)
    return {
        "confidence": float(np.median(mean) - mean.min()),
        "distance": float(mean.min()),
        "found": float((abs(apart.argmin(1) - OFFSETS) <= 1).mean()),
    }
