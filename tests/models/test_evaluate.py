"""The measures: against other implementations, closed forms, and pictures whose order is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="evaluation needs the train extra")
import skimage.data
import skimage.metrics

from models.evaluate import metrics, report
from models.evaluate.protocols import UnwarpedRenderer, means
from parlante.face.model import FaceModel
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from tests.support import portrait_samples


def blurred(photo: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), sigma), np.uint8)


def test_psnr_agrees_with_scikit_image(photo: NDArray[np.uint8]) -> None:
    made = blurred(photo, 2)
    wanted = skimage.metrics.peak_signal_noise_ratio(photo, made)
    assert metrics.psnr(made, photo) == pytest.approx(wanted, abs=1e-6)


def test_perceptual_distances_grow_with_blur(photo: NDArray[np.uint8]) -> None:
    feature = metrics.FeatureDistance()
    for distance in (metrics.flip, feature):
        scores = [distance(blurred(photo, sigma), photo) for sigma in (0.5, 1, 2, 4)]
        assert distance(photo, photo) == pytest.approx(0, abs=1e-6)
        assert scores == sorted(scores)
        assert scores[0] > 0
    sharp = [metrics.sharpness(blurred(photo, sigma)) for sigma in (0.5, 1, 2, 4)]
    assert sharp == sorted(sharp, reverse=True)


def test_means_leave_out_what_is_not_a_number() -> None:
    assert means([{"a": 1.0, "b": np.nan}, {"a": 3.0, "b": 2.0}]) == {"a": 2.0, "b": 2.0}
    assert means([]) == {}


def test_table_leaves_cells_blank_that_a_row_lacks() -> None:
    rows = {"a": {"x": (1.0, 0.5)}, "b": {"y": (2.0, 0.25), "x": (3.0, 0.0)}}
    lines = report.table("row", rows, 2).splitlines()
    assert lines[0] == "| row | x | y |"
    assert lines[2:] == ["| a | 1.00 ± 0.50 |  |", "| b | 3.00 ± 0.00 | 2.00 ± 0.25 |"]


def test_unwarped_renderer_leaves_the_photo_where_it_is() -> None:
    portrait = portrait_samples.avatar().portrait
    bundle = Bundle.default()
    model = FaceModel.of(bundle.arrays("face_model"))
    still, moving = (
        kind(bundle, model, portrait, RenderOptions(size=256, steps=1))
        for kind in (UnwarpedRenderer, FrameRenderer)
    )
    rest, turned = np.zeros(6, np.float32), np.float32([0.1, 0.2, 0, 4, 3, 0])
    pictures = [still.draw_warp(portrait.expression, pose) for pose in (rest, turned)]
    np.testing.assert_array_equal(*pictures)
    unmoved = moving.draw_warp(portrait.expression, rest)
    assert metrics.psnr(pictures[0], unmoved) > 45
    assert metrics.psnr(moving.draw_warp(portrait.expression, turned), unmoved) < 30
