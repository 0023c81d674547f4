"""Fields of the JSON files that converters read: there, of the right type, and finite."""

from collections.abc import Iterable

KINDS = {
    'a text': str,
    'a whole number': int,
    'a number': (int, float),
    'a number or a text': (int, str),
    'a list': list,
    'an object {...}': dict,
}
LARGEST = 2**20
"""Pixels; what lies further off is a mistake that would take hours and all memory to fill."""


def field(record: object, name: str, kind: str, where: str) -> object:
    """A field of a JSON object; ValueError where it is none, or the field is not there or wrong.

    Args:
        kind: what is expected, a key of :data:`KINDS`; a number is finite and within LARGEST.
        where: file and entry, for the message.
    """
    if not isinstance(record, dict):
        raise ValueError(f'{where} is {short(record)}, expected an object {{...}}: export it again')
    if name not in record:
        raise ValueError(f'{where} has no "{name}": expected {kind}; add it')
    value = record[name]
    wrong, limit = not isinstance(value, KINDS[kind]) or isinstance(value, bool), ''
    if kind == 'a number':
        wrong, limit = wrong or not is_number(value), f' of at most {LARGEST}'
    elif isinstance(value, int) and abs(value) >= 2**63:  # arrays have 64 bits
        wrong, limit = True, ' of at most 64 bits'
    elif name in ('name', 'label'):  # of a class
        wrong, limit = wrong or value == '', ' that is not empty'
    if wrong:
        raise ValueError(f'{where}: "{name}" is {short(value)}, expected {kind}{limit}: correct it')
    return value


def check_category(category: object, where: str) -> None:
    """Look, as :func:`field`, at `name` of a class and what else of it is used and there."""
    field(category, 'name', 'a text', where)
    if category.get('supercategory') is not None:
        field(category, 'supercategory', 'a text', where)
    color = category.get('color')
    if category.get('isthing') not in (None, 0, 1):
        wrong, expected = 'isthing', '1 or 0'
    elif color is not None and not (
        isinstance(color, list)
        and len(color) == 3
        and all(type(x) is int and 0 <= x <= 255 for x in color)
    ):
        wrong, expected = 'color', 'a list [red, green, blue] of whole numbers from 0 to 255'
    else:
        return
    raise ValueError(
        f'{where} ({category["name"]}): "{wrong}" is {short(category[wrong])}, expected '
        f'{expected}: correct it'
    )


def numbers(record: dict, names: str, where: str) -> list[float]:
    """The numbers of several fields, whose names stand in one text."""
    return [field(record, name, 'a number', where) for name in names.split()]


def is_number(value: object) -> bool:
    """Whether it can be a coordinate in pixels."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= LARGEST  # which NaN is not


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def some(names: Iterable[str], limit: int = 3) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more
