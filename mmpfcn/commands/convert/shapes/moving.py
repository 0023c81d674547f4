"""A clip of moving things: the camera pans and zooms, things enter, hide each other and leave."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from .grounds import draw_ground
from .scene import MIN_AREA, MIN_STUFF_AREA, Scene, Segment, photograph
from .things import THING_COLORS, make_sprite, paste

NUM_THINGS = (6, 12)  # of a clip; most are seen in a part of it only
WORLD = 2  # sides of the painted ground, in those of a frame
ZOOM = (0.8, 1.25)  # pixels of a frame by those of the ground
PAN = 0.3  # of a frame's sides, from the middle of the ground
SPEED = 1.8  # px of the ground a frame, at most
RADII = ((13.0, 30.0), (7.0, 12.0))  # px of a frame; the finish of things changes at 7 and 12


class Thing(NamedTuple):
    """A thing of a clip; lengths are in pixels of the ground."""

    name: str
    seed: int  # of its look, which stays the same
    radius: float
    place: np.ndarray  # (2,) x, y in the first frame
    speed: np.ndarray  # (2,) a frame


def draw_clip(seed: int, number: int, num_frames: int, height: int, width: int) -> Iterator[Scene]:
    """The frames of clip ``number``, with the same segments in each: not all have pixels.

    Every thing is one segment in all frames. What is seen of it by fewer than :data:`MIN_AREA`
    pixels is unlabelled.
    """
    rng = np.random.default_rng([seed, number])
    ground, stuff, names = draw_ground(rng, WORLD * height, WORLD * width)
    centers, zooms = _camera(rng, num_frames, height, width)
    things = _things(rng, centers, zooms)
    segments = [Segment(name) for name in names] + [Segment(thing.name) for thing in things]
    angle, film = rng.uniform(-2.6, -0.5), int(rng.integers(2**31))
    light, around = np.array([np.cos(angle), np.sin(angle)]), ground.mean((0, 1))
    for time, (center, zoom) in enumerate(zip(centers, zooms, strict=True)):
        corner = np.array([width, height]) / 2 - zoom * center
        view, size = np.float32([[zoom, 0, corner[0]], [0, zoom, corner[1]]]), (width, height)
        canvas = cv2.warpAffine(ground, view, size, borderMode=cv2.BORDER_REFLECT)
        segment_map = cv2.warpAffine(
            (stuff + 1).astype(np.uint8), view, size, flags=cv2.INTER_NEAREST
        ).astype(np.int64)
        for value, thing in enumerate(things, len(names) + 1):
            place = zoom * (thing.place + time * thing.speed) + corner
            look, radius = np.random.default_rng(thing.seed), zoom * thing.radius
            sprite = make_sprite(thing.name, look, tuple(place), radius, light, around)
            segment_map[paste(canvas, sprite)] = value
        areas = np.bincount(segment_map.ravel(), minlength=len(segments) + 1)
        least = np.array([0] + [MIN_STUFF_AREA] * len(names) + [MIN_AREA] * len(things))
        segment_map[(areas < least)[segment_map]] = 0
        image = photograph(np.random.default_rng(film), canvas)
        yield Scene(image, segment_map, segments)


def _camera(
    rng: np.random.Generator, num_frames: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(num_frames, 2) x, y of the ground in the middle of a frame, and (num_frames,) zooms."""
    time = np.linspace(0, 1, num_frames)[:, None]
    start, end = np.array([width, height]) * rng.uniform(-PAN, PAN, (2, 2))
    centers = WORLD / 2 * np.array([width, height]) + start + (end - start) * time
    low, high = rng.uniform(*ZOOM, 2)
    return centers, low * (high / low) ** time[:, 0]


def _things(rng: np.random.Generator, centers: np.ndarray, zooms: np.ndarray) -> list[Thing]:
    """Things, the hindmost first; each is somewhere in the view at some time."""
    things = []
    for _ in range(int(rng.integers(NUM_THINGS[0], NUM_THINGS[1] + 1))):
        low, high = RADII[int(rng.random() < 0.3)]
        radius = rng.uniform(low / zooms.min(), max(high / zooms.max(), low / zooms.min()))
        time = int(rng.integers(len(centers)))
        offset = rng.uniform(-0.45, 0.45, 2) * 2 * (centers.mean(0) / WORLD) / zooms[time]
        direction, speed = rng.uniform(0, 2 * np.pi), SPEED * rng.random()
        velocity = speed * np.array([np.cos(direction), np.sin(direction)])
        name = str(rng.choice(list(THING_COLORS)))
        place = centers[time] + offset - time * velocity
        things.append(Thing(name, int(rng.integers(2**31)), radius, place, velocity))
    return things
