"""Outlines of the thing classes as signed distance fields.

A distance field gives the mask (distance <= 0), its anti-aliased alpha, the outline band and the
slope for the shading, at any size and rotation, from one small function per class.
"""

from collections.abc import Callable

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def polygon_distance(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to a simple polygon, negative inside.

    Args:
        points: (P, 2) corners (x, y) in order.
        x, y: (h, w) query points in the same unit.

    Returns:
        (h, w) distance in that unit.
    """
    squared = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        squared = np.minimum(squared, (px - t * ex) ** 2 + (py - t * ey) ** 2)
        if ey != 0:  # even-odd rule: toggle where the edge is crossed to the right
            crosses = (ay > y) != (by > y)
            inside ^= crosses & (px < py / ey * ex)
    distance = np.sqrt(squared)
    return np.where(inside, -distance, distance)


def _star_points(corners: int, inner: float) -> np.ndarray:
    angle = np.arange(2 * corners) * np.pi / corners
    radius = np.where(np.arange(2 * corners) % 2 == 0, 1.0, inner)
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)


def _cross_points(arm: float) -> np.ndarray:
    quarter = np.array([(arm, -arm), (arm, -1.0), (-arm, -1.0)])
    turns = [quarter]
    for _ in range(3):
        x, y = turns[-1].T
        turns.append(np.stack([y, -x], axis=1))
    return np.concatenate(turns)


def _rounded(points: np.ndarray, rounding: float) -> Distance:
    # Shrink, then grow by the same amount: corners become round, the extent stays.
    points = points * (1 - rounding)
    return lambda x, y: polygon_distance(points, x, y) - rounding


def make_outline(name: str, rng: np.random.Generator) -> Distance:
    """Draw the free parameters of a class's outline.

    Args:
        name: A thing class.
        rng: Source of the parameters.

    Returns:
        Function of the coordinates (x, y), in units of the object's radius, to the signed distance
        in that unit. The outline lies within [-1, 1].
    """
    rounding = rng.uniform(0.0, 0.1)
    if name == 'ball':
        return lambda x, y: np.hypot(x, y) - 1
    if name == 'square':
        return _rounded(0.8 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]), rounding)
    if name == 'triangle':
        return _rounded(np.array([(0, -1), (0.9, 0.75), (-0.9, 0.75)]), rounding)
    if name == 'star':
        return _rounded(_star_points(5, rng.uniform(0.42, 0.52)), 0.6 * rounding)
    if name == 'ring':
        half = rng.uniform(0.17, 0.25)
        return lambda x, y: np.abs(np.hypot(x, y) - (1 - half)) - half
    if name == 'cross':
        return _rounded(_cross_points(rng.uniform(0.26, 0.36)), 0.6 * rounding)
    raise ValueError(f'no outline for class {name!r}: add it to make_outline')
