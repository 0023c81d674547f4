"""All checks of a data set, its files in parallel."""

from collections.abc import Mapping
from functools import partial

from tqdm import tqdm

from ..workers import map_in_processes
from .annotations import check_categories, make_jobs, pair, read_json
from .images import check_image
from .problems import Findings, Problem
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
    try:
        content = read_json(source.json)
    except (ValueError, OSError) as error:
        findings.add([Problem('json', str(error))])
        return None
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
    return statistics
