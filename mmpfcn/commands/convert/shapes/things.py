"""Painting one thing: outline, colour gradient, bevel, rim and cast shadow.

Outlines are signed distance fields. Such a field gives the mask (distance <= 0), its anti-aliased
alpha, the outline band and the slope for the shading, at any size and rotation, from one small
function per class.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .grounds import hsv, mix

THING_COLORS = {
    'ball': (226, 74, 51),
    'square': (66, 133, 244),
    'triangle': (251, 188, 5),
    'star': (171, 71, 188),
    'ring': (46, 174, 96),
    'cross': (0, 172, 193),
}
RIM_FROM_RADIUS = 7  # px; smaller things have no room for a drawn rim
# As with fruit and post boxes, colour is a hint and shape decides: the hint lets a small network
# learn the classes in minutes, and one thing in ten wears any colour.
TYPICAL_COLOR_CHANCE = 0.9
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def polygon_distance(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance (h, w) of the points x, y to a simple polygon, negative inside.

    Its corners are (P, 2) x, y in order, all in one unit.
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

    The result gives of coordinates (x, y), in units of the object's radius, the signed distance in
    that unit. The outline lies within [-1, 1].
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


@dataclass
class Sprite:
    """A thing ready to be pasted. All maps cover the same square patch."""

    left: int  # of the patch's first pixel in the image, px; may lie outside, as `top` may
    top: int
    alpha: np.ndarray  # (d, d) coverage in [0, 1]; the mask is alpha >= 0.5
    color: np.ndarray  # (d, d, 3) float32 RGB in [0, 1]
    shadow: np.ndarray  # (d, d) darkening of the ground in [0, 1]


def thing_color(name: str, rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Mostly the typical hue of the class, else any; of four shades the one that stands out most.

    It stands out from ``ground``, (3,), the mean colour around the thing, RGB in [0, 1].
    """
    typical = rng.random() < TYPICAL_COLOR_CHANCE
    typical_hue = colorsys.rgb_to_hsv(*THING_COLORS[name])[0]
    hues = typical_hue + rng.uniform(-0.02, 0.02, 4) if typical else rng.random(4)
    colors = [hsv(hue, rng.uniform(0.55, 1), rng.uniform(0.5, 1)) for hue in hues]
    return max(colors, key=lambda color: float(np.abs(color - ground).sum()))


def make_sprite(
    name: str,  # thing class
    rng: np.random.Generator,
    center: tuple[float, float],  # (x, y) in image pixels
    radius: float,  # half its largest extent, px
    light: np.ndarray,  # (2,) unit vector towards the light
    ground: np.ndarray,  # (3,) mean colour around it, RGB in [0, 1]
) -> Sprite:
    """Draw one thing with random rotation, proportion and finish."""
    margin = int(np.ceil(1.4 * radius)) + 4
    left, top = int(center[0]) - margin, int(center[1]) - margin
    y, x = np.mgrid[: 2 * margin + 1, : 2 * margin + 1].astype(np.float64)
    x, y = (x + left - center[0]) / radius, (y + top - center[1]) / radius
    turn, squash = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.0)
    u = np.cos(turn) * x + np.sin(turn) * y
    v = (np.cos(turn) * y - np.sin(turn) * x) / squash
    distance = make_outline(name, rng)(u, v) * squash * radius
    alpha = np.clip(0.5 - distance, 0, 1).astype(np.float32)
    color = _finish(name, rng, distance, (u, v), radius, light, thing_color(name, rng, ground))
    return Sprite(left, top, alpha, color, _cast_shadow(rng, alpha, radius, light))


def _finish(
    name: str,
    rng: np.random.Generator,
    distance: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray],
    radius: float,
    light: np.ndarray,
    base: np.ndarray,
) -> np.ndarray:
    """(d, d, 3) RGB: gradient or stripes between two colours, then bevel, then rim."""
    other = np.clip(base * rng.uniform(0.55, 0.8) + rng.normal(0, 0.08, 3), 0, 1)
    other = other.astype(np.float32)
    along = 0.5 + 0.5 * axes[1]
    if radius > 12 and rng.random() < 0.2:
        along = 0.5 + 0.5 * np.sign(np.sin(axes[1] * rng.uniform(7, 12)))
    color = mix(base, other, along)
    bevel_width = radius if name == 'ball' else max(1.5, rng.uniform(0.1, 0.3) * radius)
    slope_y, slope_x = np.gradient(distance)
    steep = np.clip(1 + distance / bevel_width, 0, 1)  # 1 at the edge, 0 on the plateau
    # Lambert-like, in about (-1, 1)
    shade = steep**1.5 * (slope_x * light[0] + slope_y * light[1]) * rng.uniform(0.25, 0.45)
    color = mix(color, np.float32([1, 1, 1]), shade)
    color = mix(color, np.float32([0, 0, 0]), -shade)
    if radius >= RIM_FROM_RADIUS and rng.random() < 0.35:
        rim = base * np.float32(0.25) if rng.random() < 0.6 else np.float32([0.95, 0.95, 0.92])
        color = mix(color, rim, distance + max(1.2, 0.07 * radius) + 0.5)
    return color.astype(np.float32)


def _cast_shadow(
    rng: np.random.Generator, alpha: np.ndarray, radius: float, light: np.ndarray
) -> np.ndarray:
    length = min(rng.uniform(0.08, 0.25) * radius, 10)
    shift = np.float32([[1, 0, -light[0] * length], [0, 1, -light[1] * length]])
    moved = cv2.warpAffine(alpha, shift, alpha.shape[::-1])
    blurred = cv2.GaussianBlur(moved, (0, 0), max(0.8, 0.35 * length))
    return blurred * np.float32(rng.uniform(0.25, 0.5))


def paste(canvas: np.ndarray, sprite: Sprite) -> np.ndarray:
    """Paint a sprite onto the (H, W, 3) canvas in place; (H, W) bool of the pixels it covers."""
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), dtype=bool)
    side = sprite.alpha.shape[0]
    x0, y0 = max(sprite.left, 0), max(sprite.top, 0)
    x1, y1 = min(sprite.left + side, width), min(sprite.top + side, height)
    if x0 >= x1 or y0 >= y1:
        return mask
    inner = np.s_[y0 - sprite.top : y1 - sprite.top, x0 - sprite.left : x1 - sprite.left]
    ground = canvas[y0:y1, x0:x1] * (1 - sprite.shadow[inner])[..., None]
    canvas[y0:y1, x0:x1] = mix(ground, sprite.color[inner], sprite.alpha[inner])
    mask[y0:y1, x0:x1] = sprite.alpha[inner] >= 0.5
    return mask
