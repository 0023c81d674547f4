"""The size that the published code gives an image."""


def short_side_size(
    shape: tuple[int, int], scale: tuple[int, int], name: object
) -> tuple[int, int]:
    """(width, height) after resizing to a short side, unless the long one gets too long.

    The two factors follow each other and each side is rounded by itself, in this order: by one
    factor, as mmcv has it, a side that ends in .5 may come out one pixel smaller or larger.
    ``shape`` is (H, W), of ``scale`` the larger number is the long side at most, the smaller one
    the short side. Raises ValueError, with the image's name, where nothing is left of that.
    """
    h, w = shape
    factor = min(scale) / min(h, w)
    height, width = (min(scale), factor * w) if h < w else (factor * h, min(scale))
    if max(height, width) > max(scale):
        factor = max(scale) / max(height, width)
        height, width = height * factor, width * factor
    size = int(width + 0.5), int(height + 0.5)
    if min(size) < 1:
        raise ValueError(nothing_left(name, shape, scale))
    return size


def nothing_left(name: object, shape: tuple[int, int], scale: tuple[int, int]) -> str:
    """What to say of an image that is too long and thin."""
    return (
        f'{name} is {shape[1]} x {shape[0]} pixels and nothing is left of its shorter side after '
        f'the resizing to {max(scale)} x {min(scale)}: crop it'
    )
