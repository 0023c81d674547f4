"""Any number of images: each once, whatever is killed meanwhile."""

import sys

from rich.progress import track

from mmpfcn import PanopticInferencer
from mmpfcn.formats import coco_results
from mmpfcn.formats.atomic_files import delete_partial
from mmpfcn.formats.inputs import Failure, Input

from .records import RECORDS, Output, Records

SHOWN = 5  # failures named at the end


def run_images(
    inferencer: PanopticInferencer, images: list[Input], output: Output, batch_size: int
) -> int:
    """This process's share of the images; the process that finds all finished writes the JSON.

    Gives how many of all images could not be used, as far as is known.
    """
    records = Records(output.folder / RECORDS, images)
    share = [item for item in images[output.rank :: output.world_size] if item not in records]
    if len(records):
        print(f'{len(records)} of {len(images)} images are finished already')
    stems = {item.stem for item in share}
    for kind, suffix in ((coco_results.PNG_FOLDER, '.png'), (coco_results.PICTURE_FOLDER, '.jpg')):
        delete_partial(output.folder / kind / f'{stem}{suffix}' for stem in stems)
    failures: list[Failure] = []
    begun = records.begin(share)
    try:
        results = inferencer.stream(begun, batch_size, output.instances, failures=failures)
        for result in track(results, 'Images', len(share), disable=output.rank > 0):
            coco_results.write_png(result, output.folder)
            if output.pictures:
                result.write_picture(output.folder, output.alpha)
            _note(failures, records)
            records.add(coco_results.coco_record(result))
        _note(failures, records)
    finally:
        records.close()
    records.read()
    if records.complete:
        coco_results.write_coco_json(records, inferencer.dataset_meta, output.folder)
        print(f'{len(records)} images: {output.folder / "panoptic.json"}')
    else:  # of other processes, which are at work or were stopped
        print(f'{len(records)} of {len(images)} images are finished')
    failed = records.failures
    if failed:
        print(f'{len(failed)} images could not be used:', file=sys.stderr)
    for failure in failed[:SHOWN]:
        print(f'  {failure["name"]}: {failure["failed"]}', file=sys.stderr)
    if len(failed) > SHOWN:
        print(f'  and {len(failed) - SHOWN} more, in records/*.jsonl', file=sys.stderr)
    return len(failed)


def _note(failures: list[Failure], records: Records) -> None:
    """Keep what went wrong; it is tried again by the next run, in which it may be mended."""
    while failures:  # more may come meanwhile: images are read ahead
        failure = failures.pop(0)
        records.add(dict(stem=failure.stem, name=failure.name, failed=failure.message))
