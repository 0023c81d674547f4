"""The ground of a scene: textured stuff regions with organic borders, and unlabelled regions.

Every texture is a function (rng, height, width) -> (height, width, 3) float32 RGB in [0, 1].
"""

import colorsys

import cv2
import numpy as np

VOID_CHANCE = 0.45
STUFF_COLORS = {
    'sky': (160, 205, 240),
    'grass': (98, 158, 66),
    'water': (48, 92, 160),
    'brick': (158, 104, 82),
}


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """(height, width) float32 noise of bumps about `cell` px wide, of mean 0 and deviation 1."""
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


def sky(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Vertical gradient from zenith to horizon, by day or at dusk, with soft clouds."""
    dusk = rng.random() < 0.3
    top = hsv(rng.uniform(0.56, 0.64), rng.uniform(0.45, 0.7), rng.uniform(0.65, 0.95))
    low = (
        hsv(rng.uniform(0.03, 0.1), 0.45, 0.98)
        if dusk
        else hsv(rng.uniform(0.53, 0.6), rng.uniform(0.1, 0.25), 0.98)
    )
    y, _ = np.float32(np.mgrid[:height, :width])
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
    y, x = np.float32(np.mgrid[:height, :width])
    length = rng.uniform(8, 14)
    bend = 1.3 * smooth_noise(rng, height, width, 28)
    slant = rng.uniform(-0.15, 0.15)
    wave = np.sin(2 * np.pi * (y + slant * x) / length + bend)
    ripple = np.sin(2 * np.pi * (y - 0.3 * x) / (0.45 * length) + 2 * bend)
    crest = np.maximum(0.75 * wave + 0.25 * ripple, 0) ** 3
    return mix(deep, bright, 0.12 + 0.08 * wave + 0.75 * crest)


def brick(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Courses of bricks, each with its own shade, in light mortar."""
    y, x = np.float32(np.mgrid[:height, :width])
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
    y, x = np.float32(np.mgrid[:height, :width])
    grey = rng.uniform(0.3, 0.6)
    hatch = 0.09 * np.sign(np.sin(2 * np.pi * (x + y) / rng.uniform(5, 8)))
    value = grey + hatch + 0.06 * fractal_noise(rng, height, width, 24)
    return np.repeat(np.clip(value, 0, 1)[..., None], 3, axis=2).astype(np.float32)


TEXTURES = dict(sky=sky, grass=grass, water=water, brick=brick)


def draw_ground(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Paint one to three stuff classes.

    Gives (H, W, 3) float32 RGB in [0, 1]; (H, W) int index into the names, -1 where unlabelled; and
    the names of the stuff classes used.
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
