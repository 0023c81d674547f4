"""All checks of a data set, its files in parallel."""

from collections.abc import Mapping
from functools import partial

from tqdm import tqdm

from mmpfcn.datasets import PanopticDataset

from ..workers import map_in_processes
from .annotations import check_categories, check_records, make_jobs, pair, read_json
from .images import check_image
from .problems import AT_START, KINDS, Findings, Problem
from .sources import Source, check_class_counts
from .statistics import Statistics

CHUNK = 8  # images that a process checks at a time


def check_source(
    source: Source, model: Mapping, workers: int, findings: Findings
) -> Statistics | None:
    """Check a data set with all its files.

    Args:
        source: where it is.
        model: config of the model, for its class counts; may be empty.
        workers: number of processes.
        findings: where problems are added.

    Returns:
        What the data set holds; None if its JSON can not be used.
    """
    before = _stops_at_start(findings)
    try:
        content = read_json(source.json)
    except (ValueError, OSError) as error:
        findings.add([Problem('json', str(error))])
        return None
    check_records(content, source.json, findings)
    classes = check_categories(content['categories'], source.metainfo, source.json, findings)
    check_class_counts(model, classes, findings)
    pairs = pair(content, source.json, findings)
    jobs = make_jobs(pairs, classes, source.images, source.pngs, findings)
    statistics = Statistics(classes, source.scale_ranges)
    check = partial(check_image, num_things=classes.num_things, resized=source.resized())
    with tqdm(total=len(pairs), unit='image', disable=None, leave=False) as bar:
        for result in map_in_processes(check, jobs, workers, CHUNK):
            findings.add(result.problems)
            statistics.add(result)
            bar.update()
    if _stops_at_start(findings) == before:
        findings.add(_load(source))
    return statistics


def _stops_at_start(findings: Findings) -> int:
    """How much was found that stops a run at its start."""
    kinds = ('no_annotations', *(kind for kind in KINDS if KINDS[kind].effect == AT_START))
    return sum(findings.counts.get(kind, 0) for kind in kinds)


def _load(source: Source) -> list[Problem]:
    """Read the annotations as a run does: what it says where it stops."""
    try:
        PanopticDataset(
            ann_file=str(source.json),
            metainfo=source.metainfo or None,
            data_prefix=dict(img=str(source.images), seg=str(source.pngs)),
            filter_cfg=source.filter_cfg,
            test_mode=source.test_mode,
            serialize_data=False,
        )
    except (OSError, TypeError, ValueError) as error:
        return [Problem('start', str(error))]
    return []
