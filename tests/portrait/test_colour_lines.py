"""Soft edges: the filter against its formulas, opacity and colours against known ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from parlante.contract import Float
from parlante.portrait.colour_lines import ColourLines, foreground, refined, solved
from tests.support.face_samples import photo

HAIR, WALL = np.float32([0.25, 0.15, 0.1]), np.float32([0.85, 0.9, 0.8])


def portrait() -> Float:
    """Head and shoulders, in [0,1]."""
    return np.asarray(photo()[:300, 80:380] / np.float32(255), np.float32)


def strands() -> Float:
    """Opacity [256, 256] of a head and of hairs, about a pixel thin, that stand off it."""
    drawn = np.zeros((1024, 1024), np.uint8)
    cv2.circle(drawn, (512, 800), 360, 255, -1)
    random = np.random.default_rng(3)
    for angle in random.uniform(-1.2, 1.2, 60):
        start, tip = (
            (512 + int(r * np.sin(angle + bend)), 800 - int(r * np.cos(angle + bend)))
            for r, bend in ((340, 0.0), (400, random.uniform(-0.1, 0.1)))
        )
        cv2.line(drawn, start, tip, 255, 4)
    small = cv2.resize(drawn, (256, 256), interpolation=cv2.INTER_AREA)
    return np.asarray(small / np.float32(255), np.float32)


def told(opacity: Float) -> tuple[Float, Float]:
    """What is known of strands: their root and the wall beyond them; nothing in between."""
    inside = cv2.erode((opacity > 0.99).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    outside = cv2.dilate((opacity > 0.01).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    known = np.where(inside, 1, 0).astype(np.float32)
    return known, np.where(inside | outside, 1, 1e-4).astype(np.float32)


def mixed(opacity: Float, behind: Float = WALL) -> Float:
    share = opacity[..., None]
    return np.asarray(share * HAIR + (1 - share) * behind, np.float32)


def published(image: Float, plane: Float, radius: int, epsilon: float) -> NDArray[np.float64]:
    """He et al. (2013), equations 19 to 21, as they are written."""
    guide, target = image.astype(np.float64), plane.astype(np.float64)
    side = 2 * radius + 1

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT))

    colour, opacity = mean(guide), mean(target)
    products = np.stack([mean(guide[..., i : i + 1] * guide) for i in range(3)], axis=2)
    sigma = products - colour[..., :, None] * colour[..., None, :] + epsilon * np.eye(3)
    covariance = mean(guide * target[..., None]) - colour * opacity[..., None]
    a = np.linalg.solve(sigma, covariance[..., None])[..., 0]
    b = opacity - (a * colour).sum(axis=-1)
    return np.asarray((mean(a) * guide).sum(axis=-1) + mean(b))


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-5), (2, 1e-3), (5, 1e-2)])
def test_the_filter_is_the_published_one(radius: int, epsilon: float) -> None:
    plane = np.random.default_rng(1).random((300, 300), np.float32)
    plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), 3), np.float32)
    filtered = ColourLines(portrait(), radius, epsilon)(plane)
    expected = published(portrait(), plane, radius, epsilon)
    # A covariance is a difference of products of about 1, to 1e-7, over epsilon.
    assert np.abs(filtered - expected).max() < max(1e-5, 4 * 1.2e-7 / epsilon)


def test_even_colours_give_even_opacity() -> None:
    for value in (0.0, 1.0):
        plane = np.full((40, 60), value, np.float32)
        for image in (portrait()[:40, :60], np.full((40, 60, 3), 0.5, np.float32)):
            np.testing.assert_allclose(ColourLines(image, 1)(plane), value, rtol=0, atol=1e-4)
            np.testing.assert_allclose(solved(image, plane, plane), value, rtol=0, atol=1e-4)


def test_hairs_are_found_by_their_colours() -> None:
    opacity = strands()
    known, weight = told(opacity)
    asked = weight < 1
    assert (opacity[asked] > 0.3).mean() > 0.2  # hairs
    found = solved(mixed(opacity), known, weight)
    error, before = (np.abs(plane - opacity)[asked].mean() for plane in (found, known))
    assert before > 0.2
    assert error < 0.06
    # Opacity of half the size, at the picture's own.
    half = np.asarray(cv2.resize(opacity, (128, 128), interpolation=cv2.INTER_AREA), np.float32)
    larger = np.asarray(cv2.resize(half, (256, 256)), np.float32)
    fine = refined(mixed(opacity), half)
    assert np.abs(fine - opacity).mean() < 0.3 * np.abs(larger - opacity).mean()


def test_colours_before_the_background() -> None:
    opacity = strands()
    # A wall that gets darker from left to right, and hair before it.
    wall = WALL * np.linspace(1, 0.4, 256, dtype=np.float32)[None, :, None]
    image = mixed(opacity, wall)
    own = foreground(image, opacity)
    soft = (opacity > 0.1) & (opacity < 0.9)
    assert soft.sum() > 900
    assert np.abs(image - HAIR)[soft].mean() > 0.2
    assert np.abs(own - HAIR)[soft].mean() < 0.02
    # What is wholly the person's keeps its colours.
    np.testing.assert_allclose(own[opacity == 1], image[opacity == 1], rtol=0, atol=1 / 255)
    assert own.min() >= 0 and own.max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (33, 20)])
def test_small_pictures(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    plane = np.random.default_rng(1).random(shape, np.float32)
    assert solved(image, plane, plane).shape == shape
    assert refined(image, plane).shape == shape
    assert foreground(image, plane).shape == (*shape, 3)
    assert np.isfinite(foreground(image, plane)).all()
