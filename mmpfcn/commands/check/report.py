"""What a data set holds and what is wrong with it, to be read and as a file."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from .annotations import Classes
from .images import Result
from .problems import KINDS, OUTCOMES, Findings
from .sources import Source

FIRST_LEVEL = 3
COLUMNS = ('images', 'segments', 'crowds', 'pixels')


class Statistics:
    """Sums over the images of a data set.

    The ``scale_ranges`` are per pyramid level the least and greatest sqrt(box area) in pixels.
    """

    def __init__(self, classes: Classes, scale_ranges: Sequence[tuple[float, float]]) -> None:
        self.classes = classes
        self.scale_ranges = scale_ranges
        self.per_class = np.zeros((len(classes.names), 4), np.int64)
        """:data:`COLUMNS`; crowds are among the segments."""
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.objects: Counter[int] = Counter()
        """Number of images with so many objects that are no crowds."""
        self._sides: list[np.ndarray] = []
        self.levels = np.zeros(len(scale_ranges), np.int64)
        self.lost = Counter(dict.fromkeys(('smaller', 'larger', 'between the levels'), 0))
        self.void = 0

    def add(self, result: Result) -> None:
        if result.size is not None:
            self.sizes[result.size] += 1
        if result.void is None:
            return
        self.void += result.void
        labels, crowd, area = result.segments.T
        np.add.at(self.per_class[:, 0], np.unique(labels), 1)
        for column, amount in ((1, 1), (2, crowd), (3, area)):
            np.add.at(self.per_class[:, column], labels, amount)
        self.objects[len(result.sides)] += 1
        self._sides.append(result.sides)
        low, high = np.array(self.scale_ranges, float).T
        fits = (low <= result.sides[:, None]) & (result.sides[:, None] <= high)
        self.levels += fits.sum(0)
        lost = result.sides[~fits.any(1)]
        small, large = int((lost < low.min()).sum()), int((lost > high.max()).sum())
        found = small, large, len(lost) - small - large
        self.lost.update(dict(zip(self.lost, found, strict=True)))

    def sides(self) -> list[float]:
        """sqrt(box area) in pixels that 5, 50 and 95 % of the objects do not exceed."""
        sides = np.concatenate([*self._sides, []])
        return np.percentile(sides, (5, 50, 95)).round(1).tolist() if len(sides) else []

    def as_dict(self) -> dict:
        """The same as plain numbers."""
        classes = []
        for label, (name, row) in enumerate(zip(self.classes.names, self.per_class, strict=True)):
            counts = dict(zip(COLUMNS, row.tolist(), strict=True))
            classes.append(dict(name=name, isthing=label < self.classes.num_things, **counts))
        return dict(
            classes=classes,
            void_pixels=self.void,
            sizes=[dict(size=size, images=count) for size, count in self.sizes.most_common()],
            things_per_image=dict(sorted(self.objects.items())),
            sides=self.sides(),
            levels=[
                dict(range=list(limits), objects=count)
                for limits, count in zip(self.scale_ranges, self.levels.tolist(), strict=True)
            ],
            objects_without_level=self.lost.total(),
        )

    def lines(self, at_scale: str) -> Iterator[str]:
        """The same to be read; ``at_scale`` says of which size the objects were measured."""
        pixels = self.per_class[:, 3].sum() + self.void
        if not pixels:
            yield 'No panoptic PNG could be read: nothing to count.'
            return
        yield from self._class_lines(pixels)
        yield ''
        yield f'Void: {share(self.void, pixels)} of the pixels'
        yield f'Crowd regions: {self.per_class[:, 2].sum()}'
        yield f'Image sizes (height x width): {describe_sizes(self.sizes)}'
        counts = sorted(self.objects.elements())
        middle = np.median(counts)
        yield f'Things per image: least {counts[0]}, median {middle:g}, most {counts[-1]}'
        yield from self._level_lines(at_scale)

    def _class_lines(self, pixels: int) -> Iterator[str]:
        yield table_row('class', '', COLUMNS)
        missing = dict(thing=[], stuff=[])
        for label, (name, row) in enumerate(zip(self.classes.names, self.per_class, strict=True)):
            kind = 'thing' if label < self.classes.num_things else 'stuff'
            if row[1]:
                yield table_row(name, kind, (*row[:3], share(row[3], pixels)))
            else:
                missing[kind].append(name)
        for kind, names in missing.items():
            if names:
                yield f'{kind} classes that do not occur ({len(names)}): {", ".join(names)}'

    def _level_lines(self, at_scale: str) -> Iterator[str]:
        total = sum(objects * images for objects, images in self.objects.items())
        if total:
            low, middle, high = self.sides()
            yield (
                f'Size of objects, as sqrt(box area) in pixels {at_scale}: 5 % up to {low:g}, '
                f'median {middle:g}, 5 % from {high:g}'
            )
        yield (
            'Objects per pyramid level, by that size (the ranges overlap: an object may be taught '
            'on two levels):'
        )
        rows = list(zip(self.scale_ranges, self.levels.tolist(), strict=True))
        for level, ((low, high), count) in enumerate(rows, FIRST_LEVEL):
            yield f'  P{level}  {f"{low:g} to {high:g}":<12} {count:>8} {share(count, total):>8}'
        for text, count in self.lost.items():
            if count:
                yield (
                    f'  {text:<16} {count:>8} {share(count, total):>8}  never taught: '
                    'mend train_cfg.assigner.scale_ranges or the training size'
                )


def share(part: int, whole: int) -> str:
    return f'{100 * part / whole:.1f} %' if whole else '-'


def table_row(name: str, kind: str, numbers: Sequence) -> str:
    return f'{name:<28.28} {kind:<6}' + ''.join(f'{number:>10}' for number in numbers)


def describe_sizes(sizes: Counter, most: int = 4) -> str:
    """The most frequent sizes, and the range of the others."""
    parts = [f'{h} x {w} ({count} images)' for (h, w), count in sizes.most_common(most)]
    if len(sizes) > most:
        (low_h, low_w), (high_h, high_w) = np.min(list(sizes), 0), np.max(list(sizes), 0)
        parts.append(
            f'{len(sizes) - most} others; heights {low_h} to {high_h}, widths {low_w} to {high_w}'
        )
    return ', '.join(parts)


EXAMPLES = 5  # of each kind of problem that are printed


def source_lines(source: Source, statistics: Statistics | None) -> Iterator[str]:
    """Where a data set is, and what it holds."""
    yield from ('', f'{source.json}', f'  images in {source.images}', f'  PNGs in   {source.pngs}')
    if statistics is None:
        return
    classes = statistics.classes
    yield (
        f'{statistics.sizes.total()} images; {classes.num_things} thing and '
        f'{len(classes.names) - classes.num_things} stuff classes'
    )
    yield ''
    scale = f'at the scale {source.scale}, uncropped' if source.scale else 'of the files'
    yield from statistics.lines(scale)
    if source.type != 'PanopticDataset':
        yield (
            f'The config uses {source.type}: what follows is true of PanopticDataset with '
            'LoadImage and LoadPanopticGroundTruth, which name a problem where others may go on.'
        )


def finding_lines(findings: Findings) -> Iterator[str]:
    """Each kind of problem: how often, what it does, what to do, where."""
    for kind in findings.kinds():
        about, count, places = KINDS[kind], findings.counts[kind], findings.places[kind]
        number = f'{count}' if count == places else f'{count} in {places} file' + 's' * (places > 1)
        yield ''
        yield f'{OUTCOMES[about.outcome]}: {about.title}: {number}'
        yield f'  what happens: {about.effect}'
        yield f'  what to do: {about.remedy}'
        for text in findings.examples[kind][:EXAMPLES]:
            yield f'    {text}'
        if places > EXAMPLES:
            yield f'    and {places - EXAMPLES} more'
    yield ''
    if findings.unfit:
        yield 'A run would stop or be wrong: mend what is marked so above.'
    else:
        yield 'Nothing that stops a run or makes it wrong.'


def report_json(
    sources: Sequence[Source], held: Sequence[Statistics | None], findings: Findings
) -> bytes:
    report = dict(
        datasets=[
            dict(json=str(source.json), **(statistics.as_dict() if statistics else {}))
            for source, statistics in zip(sources, held, strict=True)
        ],
        problems=[
            dict(
                kind=kind,
                **KINDS[kind]._asdict(),
                count=findings.counts[kind],
                places=findings.places[kind],
                examples=findings.examples[kind],
            )
            for kind in findings.kinds()
        ],
        unfit=findings.unfit,
    )
    return json.dumps(report, indent=1, ensure_ascii=False).encode()
