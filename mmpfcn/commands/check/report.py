"""What was found, to be read and as a file."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmpfcn.formats.panoptic_png import write_atomic

from .problems import KINDS, OUTCOMES, Findings
from .sources import Source
from .statistics import Statistics

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


def write_report(
    path: Path, sources: Sequence[Source], held: Sequence[Statistics | None], findings: Findings
) -> None:
    """Write everything to a JSON file, which appears when it is complete."""
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
    write_atomic(path, json.dumps(report, indent=1, ensure_ascii=False).encode())
