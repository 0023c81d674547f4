"""Fields of the JSON files that converters read: there, of the right type, and finite."""

import math

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
    """A field of a JSON object.

    Args:
        record: the object.
        name: of the field.
        kind: what is expected, a key of :data:`KINDS`.
        where: file and entry, for the message.

    Raises:
        ValueError: no object, no such field, or a value of another kind; NaN and Infinity are none.
    """
    if not isinstance(record, dict):
        raise ValueError(f'{where} is {short(record)}, expected an object {{...}}: export it again')
    if name not in record:
        raise ValueError(f'{where} has no "{name}": expected {kind}; add it')
    value = record[name]
    wrong = not isinstance(value, KINDS[kind]) or isinstance(value, bool)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f'{where}: "{name}" is {short(value)}, expected {kind}: correct it')
    return value


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
