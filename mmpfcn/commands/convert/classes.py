"""The class list of the converters for data of your own: the same arguments for all of them.

``--things car person --stuff road=7`` or, for many classes, ``--classes FILE``: a JSON list of
COCO categories (name, isthing, optionally id and color), or a JSON file that has such a list as
``categories``.
"""

import argparse
import colorsys
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmpfcn.formats.file_content import read_content

from .fields import check_category, field

GOLDEN_RATIO = 0.618034  # steps of it spread any number of hues evenly


class ClassSpec(NamedTuple):
    """One class as the user named it; id and colour where given."""

    name: str
    isthing: bool
    id: int | None = None
    color: tuple[int, int, int] | None = None


class Void(NamedTuple):
    """What ``--void`` says: names and values that are nobody's class."""

    listed: frozenset[str] = frozenset()
    everything_else: bool = False

    def __contains__(self, value: str | int) -> bool:
        return self.everything_else or str(value) in self.listed

    def as_json(self) -> list[str] | str:
        return 'everything else' if self.everything_else else sorted(self.listed)


def add_class_arguments(parser: argparse.ArgumentParser, form: str) -> None:
    """Add ``--things``, ``--stuff``, ``--classes`` and ``--void``; form is NAME or NAME=VALUE."""
    group = parser.add_argument_group('classes')
    group.add_argument('--things', nargs='+', default=[], metavar=form, help='classes of objects')
    group.add_argument('--stuff', nargs='+', default=[], metavar=form, help='classes of regions')
    group.add_argument(
        '--classes',
        type=Path,
        metavar='FILE',
        help='instead of both: a JSON list of {"name": ..., "isthing": 0 or 1, "id": ..., "color": '
        '[r, g, b]} (id and color may be missing), or a file with such a list as "categories"',
    )
    group.add_argument(
        '--void',
        nargs='*',
        metavar='VALUE' if form == 'NAME=VALUE' else 'NAME',
        help='what belongs to no class and is neither learnt nor judged; --void with nothing '
        'behind it: everything that is not listed',
    )


def read_void(args: argparse.Namespace) -> Void:
    return Void() if args.void is None else Void(frozenset(args.void), not args.void)


def read_specs(args: argparse.Namespace) -> list[ClassSpec]:
    """The classes in the user's order, things first; empty when none are given."""
    specs = [parse_spec(text, True) for text in args.things]
    specs += [parse_spec(text, False) for text in args.stuff]
    if args.classes is not None:
        if specs:
            raise ValueError('give either --classes, or --things and --stuff, not both')
        specs = read_class_file(args.classes)
    for what in ('name', 'id'):
        counts = Counter(getattr(spec, what) for spec in specs)
        twice = [value for value, count in counts.items() if count > 1 and value is not None]
        if twice:
            raise ValueError(f'the class list has the {what} {twice[0]!r} more than once')
    return sorted(specs, key=lambda spec: not spec.isthing)


def parse_spec(text: str, isthing: bool) -> ClassSpec:
    name, equals, number = text.partition('=')
    if not equals:
        return ClassSpec(name, isthing)
    if not name or not number.isdecimal():
        raise ValueError(f'{text!r}: expected NAME or NAME=VALUE with a whole number, as in car=26')
    return ClassSpec(name, isthing, int(number))


def read_class_file(path: Path) -> list[ClassSpec]:
    data = read_json(path)
    data = data.get('categories') if isinstance(data, dict) else data
    if not isinstance(data, list) or not data:
        raise ValueError(f'{path}: expected a JSON list of classes, or one as "categories"')
    specs = []
    for number, entry in enumerate(data, 1):
        if not isinstance(entry, dict) or not {'name', 'isthing'} <= entry.keys():
            raise ValueError(f'{path}: each class needs "name" and "isthing" (1 or 0), got {entry}')
        where = f'{path}: class {number}'
        check_category(entry, where)
        if entry.get('id') is not None:
            field(entry, 'id', 'a whole number', where)
        color = tuple(entry['color']) if entry.get('color') else None
        specs.append(ClassSpec(entry['name'], bool(entry['isthing']), entry.get('id'), color))
    return specs


def read_json(path: Path) -> object:
    """Parse a JSON file; FileNotFoundError and ValueError name it."""
    if not path.is_file():
        raise FileNotFoundError(f'{path} is not a file')
    content = read_content(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:  # brackets nested thousands deep
        raise ValueError(f'{path} is not valid JSON ({error}): export it again') from error


def add_background(
    specs: Sequence[ClassSpec], background: str | None
) -> tuple[list[ClassSpec], str | None]:
    """The classes with that of ``--background``, and its name."""
    if background is None:
        return list(specs), None
    spec = parse_spec(background, False)
    for known in specs:
        if known.name == spec.name:
            if known.isthing:
                raise ValueError(f'--background {spec.name}: a thing cannot be the background')
            return list(specs), spec.name
    return [*specs, spec], spec.name


def make_categories(specs: Sequence[ClassSpec]) -> list[dict]:
    """COCO categories; classes without ids get 1, 2, ... and those without colours one of a wheel.

    ValueError where there are no classes, or only some of them have ids.
    """
    if not specs:
        raise ValueError('no classes given: use --things and --stuff, or --classes')
    unnumbered = [spec.name for spec in specs if spec.id is None]
    if unnumbered and len(unnumbered) < len(specs):
        raise ValueError(f'some classes have a number, {unnumbered} not: give all of them one')
    categories = []
    for number, (name, isthing, id_, color) in enumerate(specs):
        wheel = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.75, 0.95 if number % 2 else 0.7)
        color = list(color or (round(255 * part) for part in wheel))
        key = number + 1 if id_ is None else id_
        own = dict(id=key, name=name, supercategory=name, isthing=int(isthing), color=color)
        categories.append(own)
    return categories
