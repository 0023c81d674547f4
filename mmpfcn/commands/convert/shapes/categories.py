"""The ten classes: six things told apart by shape (and mostly colour), four stuff by texture."""

THING_COLORS = {
    'ball': (226, 74, 51),
    'square': (66, 133, 244),
    'triangle': (251, 188, 5),
    'star': (171, 71, 188),
    'ring': (46, 174, 96),
    'cross': (0, 172, 193),
}
STUFF_COLORS = {
    'sky': (160, 205, 240),
    'grass': (98, 158, 66),
    'water': (48, 92, 160),
    'brick': (158, 104, 82),
}
# Stuff ids start after a gap: category ids need not be contiguous in COCO either, and code that
# takes an id for a label is found out here.
FIRST_THING_ID = 1
FIRST_STUFF_ID = 11


def _category(category_id: int, name: str, color: tuple[int, int, int], isthing: int) -> dict:
    supercategory = 'shape' if isthing else 'ground'
    return dict(
        supercategory=supercategory, color=list(color), isthing=isthing, id=category_id, name=name
    )


CATEGORIES = [
    _category(FIRST_THING_ID + i, name, color, 1)
    for i, (name, color) in enumerate(THING_COLORS.items())
] + [
    _category(FIRST_STUFF_ID + i, name, color, 0)
    for i, (name, color) in enumerate(STUFF_COLORS.items())
]
