"""The ground of a scene: stuff regions with organic borders, and unlabelled regions."""

import numpy as np

from .textures import TEXTURES, plate, smooth_noise

VOID_CHANCE = 0.45


def draw_ground(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Paint one to three stuff classes.

    Returns:
        (H, W, 3) float32 RGB in [0, 1]; (H, W) int index into the names, -1 where unlabelled; the
        names of the stuff classes used.
    """
    count = int(rng.choice([1, 2, 3], p=[0.1, 0.5, 0.4]))
    names = [str(name) for name in rng.permutation(list(TEXTURES))[:count]]
    if rng.random() < 0.6:
        names.sort(key=lambda name: name != 'sky')  # the sky, if any, is on top
        index = _layers(rng, height, width, count)
    else:
        index = _patches(rng, height, width, count)
    canvas = np.zeros((height, width, 3), np.float32)
    for i, name in enumerate(names):
        canvas[index == i] = TEXTURES[name](rng, height, width)[index == i]
    if rng.random() < VOID_CHANCE:
        void = _strip(rng, height, width) if rng.random() < 0.5 else _blob(rng, height, width)
        canvas[void] = plate(rng, height, width)[void]
        index[void] = -1
    return canvas, index, names


def _layers(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Stacked layers with hilly borders; (H, W) index from the top."""
    y, x = np.mgrid[:height, :width]
    borders = (np.arange(1, count) + rng.uniform(-0.25, 0.25, count - 1)) / count
    index = np.zeros((height, width), dtype=int)
    for border in borders:
        hills = 0.07 * smooth_noise(rng, 2, width, width / rng.uniform(2, 7))[0]
        tilt = rng.uniform(-0.15, 0.15) * (x[0] / width - 0.5)
        index += y >= height * (border + hills + tilt)
    return index


def _patches(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Regions where one of `count` smooth random fields is the largest."""
    cell = max(height, width) / rng.uniform(1.2, 2.5)
    fields = [
        smooth_noise(rng, height, width, cell) + 0.15 * smooth_noise(rng, height, width, cell / 4)
        for _ in range(count)
    ]
    return np.argmax(fields, axis=0)


def _strip(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A band across the image with slightly wavy sides; (H, W) bool."""
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, np.pi)
    across = (x - width * rng.uniform(0.2, 0.8)) * np.cos(angle)
    across = across + (y - height * rng.uniform(0.2, 0.8)) * np.sin(angle)
    side = min(height, width)
    wavy = across + 0.02 * side * smooth_noise(rng, height, width, side / 4)
    return np.abs(wavy) < side * rng.uniform(0.025, 0.06)


def _blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A round patch with an uneven border; (H, W) bool."""
    y, x = np.mgrid[:height, :width]
    side = min(height, width)
    away = np.hypot(x - width * rng.uniform(0, 1), y - height * rng.uniform(0, 1)) / side
    return away + 0.05 * smooth_noise(rng, height, width, side / 4) < rng.uniform(0.12, 0.28)
