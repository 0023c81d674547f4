"""Textures of the stuff classes and the smooth noise they are made of.

Every texture is a function (rng, height, width) -> (height, width, 3) float32 RGB in [0, 1].
"""

import colorsys

import cv2
import numpy as np


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Noise whose bumps are about `cell` pixels wide.

    Returns:
        (height, width) float32 with mean about 0 and standard deviation about 1.
    """
    rows, cols = (max(2, int(np.ceil(side / cell)) + 1) for side in (height, width))
    grid = rng.standard_normal((rows, cols)).astype(np.float32)
    # Enlarge by whole cells and crop, so that a bump is as wide as it is high.
    size = (max(width, int(cols * cell)), max(height, int(rows * cell)))
    noise = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
    return noise * np.float32(1.4)  # interpolation flattens


def fractal_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Sum of four octaves of `smooth_noise`, about (-1, 1)."""
    octaves = [smooth_noise(rng, height, width, max(cell / 2**i, 1)) / 2**i for i in range(4)]
    return sum(octaves) / np.float32(2)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Colour as (3,) float32 RGB in [0, 1]; the hue in turns."""
    return np.array(
        colorsys.hsv_to_rgb(hue % 1, np.clip(saturation, 0, 1), np.clip(value, 0, 1)), np.float32
    )


def mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blend two colours or images by a (height, width) weight, clipped to [0, 1], of `b`."""
    weight = np.clip(weight, 0, 1)[..., None].astype(np.float32)
    return a * (1 - weight) + b * weight


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def sky(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Vertical gradient from zenith to horizon, by day or at dusk, with soft clouds."""
    dusk = rng.random() < 0.3
    top = hsv(rng.uniform(0.56, 0.64), rng.uniform(0.45, 0.7), rng.uniform(0.65, 0.95))
    low = (
        hsv(rng.uniform(0.03, 0.1), 0.45, 0.98)
        if dusk
        else hsv(rng.uniform(0.53, 0.6), rng.uniform(0.1, 0.25), 0.98)
    )
    _, y = _grid(height, width)
    image = mix(top, low, y / height)
    clouds = fractal_noise(rng, height, width, max(height, width) / 3)
    return mix(image, np.float32([1.0, 0.98, 0.96]), 0.9 * (clouds - rng.uniform(0.0, 0.5)))


def grass(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Upright blades of light and dark green over meadow patches."""
    hue = rng.uniform(0.2, 0.34)
    dark, light = hsv(hue + 0.02, 0.75, 0.28), hsv(hue - 0.03, 0.65, 0.72)
    blades = rng.standard_normal((height, width)).astype(np.float32)
    blades = cv2.GaussianBlur(blades, (0, 0), sigmaX=0.7, sigmaY=rng.uniform(2.0, 3.0))
    patches = fractal_noise(rng, height, width, 48)
    return mix(dark, light, 0.45 + 1.0 * blades + 0.2 * patches)


def water(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Horizontal waves, bent by noise, with bright crests."""
    hue = rng.uniform(0.5, 0.63)
    deep, bright = hsv(hue, 0.8, rng.uniform(0.35, 0.5)), hsv(hue - 0.03, 0.35, 0.9)
    x, y = _grid(height, width)
    length = rng.uniform(8, 14)
    bend = 1.3 * smooth_noise(rng, height, width, 28)
    slant = rng.uniform(-0.15, 0.15)
    wave = np.sin(2 * np.pi * (y + slant * x) / length + bend)
    ripple = np.sin(2 * np.pi * (y - 0.3 * x) / (0.45 * length) + 2 * bend)
    crest = np.maximum(0.75 * wave + 0.25 * ripple, 0) ** 3
    return mix(deep, bright, 0.12 + 0.08 * wave + 0.75 * crest)


def brick(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Courses of bricks, each with its own shade, in light mortar."""
    x, y = _grid(height, width)
    angle = rng.normal(0, 0.06)
    x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    course = rng.uniform(9, 15)
    length = course * rng.uniform(1.8, 2.4)
    # Shifted far enough from 0 that the turned coordinates index the table of shades from 0 up.
    row = y / course + np.ceil(width / course)
    col = x / length + 0.5 * (np.floor(row) % 2) + np.ceil(height / length)
    shades = rng.uniform(-1, 1, (64, 64)).astype(np.float32)
    shade = shades[np.floor(row).astype(int) % 64, np.floor(col).astype(int) % 64]
    base = hsv(rng.uniform(0.0, 0.1), rng.uniform(0.35, 0.65), rng.uniform(0.5, 0.75))
    grain = 0.06 * fractal_noise(rng, height, width, 6)
    image = base * (1 + 0.22 * shade + grain)[..., None]
    to_joint = np.minimum((row % 1) * course, (col % 1) * length)
    mortar = base * np.float32(0.3) + np.float32(0.55)
    return mix(image, mortar, 2.0 - to_joint)


def plate(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """What lies in unlabelled regions: a hatched grey, unlike any class."""
    x, y = _grid(height, width)
    grey = rng.uniform(0.3, 0.6)
    hatch = 0.09 * np.sign(np.sin(2 * np.pi * (x + y) / rng.uniform(5, 8)))
    value = grey + hatch + 0.06 * fractal_noise(rng, height, width, 24)
    return np.repeat(np.clip(value, 0, 1)[..., None], 3, axis=2).astype(np.float32)


TEXTURES = dict(sky=sky, grass=grass, water=water, brick=brick)
