"""One picture with its panoptic annotation: ground, a crowd, things, then the camera."""

from dataclasses import dataclass

import cv2
import numpy as np

from .grounds import draw_ground, smooth_noise
from .things import THING_COLORS, make_sprite, paste

MAX_THINGS = 15
MIN_DIAMETER = 8  # px
MIN_AREA = 16  # visible px of a thing
MIN_VISIBLE = 0.35  # fraction of a thing that later ones may not cover
MIN_STUFF_AREA = 96  # px; smaller remains of stuff are left unlabelled
NO_THING_CHANCE = 0.07
CROWD_CHANCE = 0.15


@dataclass
class Segment:
    """One entry of the panoptic map: class name and whether it is a crowd."""

    name: str
    iscrowd: int = 0


@dataclass
class Scene:
    """A drawn picture."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    segment_map: np.ndarray  # (H, W) int; 0 is unlabelled, i + 1 is `segments[i]`
    segments: list[Segment]  # every one has at least one pixel


class _Painter:
    """Canvas and segment map that grow together."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng = rng
        self.canvas, stuff, names = draw_ground(rng, height, width)
        self.segment_map = stuff + 1
        self.segments = [Segment(name) for name in names]
        self.full_areas: dict[int, int] = {}  # of things, as if nothing covered them
        angle = rng.uniform(-2.6, -0.5)  # light from above
        self.light = np.array([np.cos(angle), np.sin(angle)])

    def _sprite(self, name: str, center: tuple[float, float], radius: float):
        height, width = self.segment_map.shape
        reach = int(radius) + 3
        x = int(np.clip(center[0], 0, width - 1))
        y = int(np.clip(center[1], 0, height - 1))
        around = self.canvas[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        return make_sprite(name, self.rng, center, radius, self.light, around.mean(axis=(0, 1)))

    def add_crowd(self, name: str) -> None:
        """A swarm of 20 to 50 tiny things under one crowd segment that spans the gaps too."""
        height, width = self.segment_map.shape
        middle = self.rng.uniform(0.15, 0.85, 2) * (width, height)
        spread = self.rng.uniform(0.05, 0.1, 2) * min(height, width)
        covered = np.zeros((height, width), np.uint8)
        for _ in range(int(self.rng.integers(20, 51))):
            center = np.clip(self.rng.normal(middle, spread), 1, (width - 2, height - 2))
            sprite = self._sprite(name, tuple(center), self.rng.uniform(2.2, 3.2))
            covered |= paste(self.canvas, sprite)
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
        self.segments.append(Segment(name, iscrowd=1))
        closed = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, disk)
        self.segment_map[closed > 0] = len(self.segments)

    def add_thing(self, name: str, center: tuple[float, float], radius: float) -> bool:
        """Paint a thing over all that is there, unless that would hide too much: then False."""
        before = self.canvas.copy()
        mask = paste(self.canvas, self._sprite(name, center, radius))
        if mask.sum() < max(MIN_AREA, 0.35 * radius**2) or self._hides_too_much(mask):
            self.canvas = before
            return False
        self.segments.append(Segment(name))
        self.segment_map[mask] = len(self.segments)
        self.full_areas[len(self.segments)] = int(mask.sum())
        return True

    def _hides_too_much(self, mask: np.ndarray) -> bool:
        for index in np.unique(self.segment_map[mask]):
            left = int(((self.segment_map == index) & ~mask).sum())
            full = self.full_areas.get(int(index))
            if full is not None and left < max(MIN_AREA, MIN_VISIBLE * full):
                return True
        return False


def draw_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Draw one picture; everything random comes from `rng`."""
    painter = _Painter(rng, height, width)
    if rng.random() < CROWD_CHANCE:
        painter.add_crowd(str(rng.choice(list(THING_COLORS))))
    if rng.random() >= NO_THING_CHANCE:
        _scatter_things(rng, painter)
    for index, segment in enumerate(painter.segments, start=1):
        region = painter.segment_map == index
        if segment.name not in THING_COLORS and region.sum() < MIN_STUFF_AREA:
            painter.segment_map[region] = 0
    # renumbered so that every segment has a pixel
    present = [int(i) for i in np.unique(painter.segment_map) if i > 0]
    renumber = np.zeros(len(painter.segments) + 1, dtype=np.int64)
    renumber[present] = np.arange(1, len(present) + 1)
    segments = [painter.segments[i - 1] for i in present]
    return Scene(photograph(rng, painter.canvas), renumber[painter.segment_map], segments)


def _scatter_things(rng: np.random.Generator, painter: _Painter) -> None:
    """Place 1 to 15 things of few or all classes, most of the large ones behind the small."""
    height, width = painter.segment_map.shape
    count = int(rng.integers(1, MAX_THINGS + 1))
    classes = rng.permutation(list(THING_COLORS))[: int(rng.choice([1, 2, 3, 6]))]
    diameters = _diameters(rng, count, min(height, width))
    order = np.argsort(-diameters * rng.uniform(0.6, 1.6, count))
    previous = None
    for diameter in diameters[order]:
        for _ in range(12):
            center = rng.uniform(0.04, 0.96, 2) * (width, height)
            if previous is not None and rng.random() < 0.35:  # side by side: they overlap
                angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6)
                offset = away * (diameter + previous[1]) * np.array([np.cos(angle), np.sin(angle)])
                center = np.clip(previous[0] + offset, 0, (width - 1, height - 1))
            if painter.add_thing(str(rng.choice(classes)), tuple(center), diameter / 2):
                previous = (center, diameter)
                break


def _diameters(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """(count,) sizes in px over all octaves; one in six scenes has one that fills it."""
    # The more things, the smaller the largest. The power keeps about one in ten below 14 px.
    largest = max(0.9 * side * count**-0.3, 2 * MIN_DIAMETER)
    octave = rng.random(count) ** 0.6
    diameters = MIN_DIAMETER * (largest / MIN_DIAMETER) ** octave
    if rng.random() < 1 / 6:
        diameters[0] = rng.uniform(0.55, 0.9) * side
    return diameters


def photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Uneven light, colour cast, blur and sensor noise; (H, W, 3) uint8 RGB."""
    height, width = canvas.shape[:2]
    light = 1 + 0.06 * smooth_noise(rng, height, width, max(height, width) / 1.5)
    y, x = np.mgrid[:height, :width]
    corner = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2  # 0 in the middle, 1 in corners
    light = (light * (1 - rng.uniform(0, 0.3) * corner)).astype(np.float32)
    cast = rng.normal(1, 0.03, 3).astype(np.float32) * np.float32(rng.uniform(0.85, 1.08))
    image = canvas * light[..., None] * cast
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
    strength = rng.uniform(0.005, 0.03)
    image += rng.standard_normal(image.shape).astype(np.float32) * np.float32(strength)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
