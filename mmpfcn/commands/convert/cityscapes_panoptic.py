"""Convert Cityscapes, as it is downloaded, to COCO panoptic format.

    python tools/dataset_converters/cityscapes_panoptic.py data/cityscapes

It reads `leftImg8bit/` and `gtFine/` and writes `annotations/panoptic_{train,val}.json` with the
PNGs beside them. Segments are those of cityscapesscripts' createPanopticImgs: labels it ignores in
the evaluation (the rectification border among them) are void, a group of things is a crowd. Unlike
there, categories are things first, and images are named by the files that exist. A run that is
stopped goes on where it was.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from mmpfcn.formats.panoptic_png import read_complete

from .images import check_same_size
from .writer import Job, convert, download_parser

try:
    from cityscapesscripts.helpers.labels import id2label, labels
except ImportError:
    # Its dependencies are for its other tools, and one of them hides a module of Python.
    raise SystemExit(
        'error: the labels of Cityscapes are needed: pip install --no-deps cityscapesscripts==2.3.0'
    ) from None

VERSION = 1  # to be raised when the result changes
IMAGE_END = '_leftImg8bit.png'
INSTANCE_IDS = '_gtFine_instanceIds.png'
LABEL_IDS = '_gtFine_labelIds.png'
FIRST_INSTANCE = 1000  # smaller ids are labels, larger ones 1000 * label + number
MAX_IDS = 2**16
LAYOUT = """expected the folder that leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of
www.cityscapes-dataset.com were unpacked in:
  leftImg8bit/{train,val}/aachen/aachen_000000_000019_leftImg8bit.png, ...
  gtFine/{train,val}/aachen/aachen_000000_000019_gtFine_instanceIds.png, ..."""


def categories() -> list[dict]:
    """The 8 things, then the 11 stuff classes, with their Cityscapes ids."""
    categories = []
    for label in sorted(labels, key=lambda label: not label.hasInstances):
        if not label.ignoreInEval:
            known = dict(id=label.id, name=label.name, supercategory=label.category)
            isthing, color = int(label.hasInstances), list(label.color)
            categories.append(dict(known, isthing=isthing, color=color))
    return categories


def find_files(folder: Path, end: str) -> dict[str, Path]:
    """Files `folder/*/*<end>` by what is before the end, such as aachen_000000_000019."""
    return {path.name.removesuffix(end): path for path in sorted(folder.glob(f'*/[!.]*{end}'))}


def find_annotations(path: Path, split: str) -> tuple[str, dict[str, Path]]:
    """The end of the annotations' names, and the annotations: with instances if there are any."""
    for end in (INSTANCE_IDS, LABEL_IDS):
        found = find_files(path / 'gtFine' / split, end)
        if found:
            return end, found
    raise SystemExit(
        f'error: there is no {path / "gtFine" / split}/*/*{INSTANCE_IDS} and no *{LABEL_IDS}: '
        f'{LAYOUT}\nor leave the split out: --splits'
    )


def make_jobs(path: Path, split: str, end: str, annotations: dict[str, Path]) -> list[Job]:
    images = find_files(path / 'leftImg8bit' / split, IMAGE_END)
    for name in sorted(images.keys() ^ annotations.keys()):
        there, place, other = (
            (images[name], 'gtFine', end)
            if name in images
            else (annotations[name], 'leftImg8bit', IMAGE_END)
        )
        raise SystemExit(
            f'error: {there} has no counterpart {path / place / split}/*/{name}{other}: unpack '
            'the two downloads again, or remove the file'
        )
    jobs = []
    for name, path in images.items():
        image = dict(id=name, file_name=f'{path.parent.name}/{path.name}')
        jobs.append(Job(image, f'{name}_gtFine_panoptic.png', (path, annotations[name])))
    return jobs


def read(image: Path, annotation: Path) -> tuple[np.ndarray, list[dict]]:
    """Segment ids (H, W), which are those of the annotation, and segments, sorted by id."""
    ids = read_ids(annotation)
    check_same_size(annotation, ids, image)
    kept, segments = np.zeros(MAX_IDS, np.int32), []
    for segment_id in np.unique(ids).tolist():
        is_label = segment_id < FIRST_INSTANCE
        label = id2label.get(segment_id if is_label else segment_id // FIRST_INSTANCE)
        if label is None:
            raise ValueError(
                f'{annotation} has pixels of the value {segment_id}, which is no id of Cityscapes: '
                'only the original files can be converted, no *_labelTrainIds.png'
            )
        if not label.ignoreInEval:
            crowd = int(label.hasInstances and is_label)
            segments.append(dict(id=segment_id, category_id=label.id, iscrowd=crowd))
            kept[segment_id] = segment_id
    return kept[ids], segments


def read_ids(path: Path) -> np.ndarray:
    """(H, W) uint8 or uint16 values; ValueError where it is no grey PNG, or damaged."""
    content = np.frombuffer(read_complete(str(path), 'annotation'), np.uint8)
    try:
        ids = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV takes
        ids = None
    if ids is None:
        raise ValueError(f'{path} cannot be decoded: unpack gtFine_trainvaltest.zip again')
    if ids.ndim != 2:
        raise ValueError(
            f'{path} has {ids.shape[2]} channels, expected a grey PNG of ids: unpack '
            'gtFine_trainvaltest.zip again'
        )
    return ids


def main(argv: list[str] | None = None) -> None:
    parser = download_parser(
        __doc__,
        'leftImg8bit and gtFine',
        choices=['train', 'val', 'test'],
        default=['train', 'val'],
        help='what to convert (default: train val); the annotations of test are void everywhere',
    )
    args = parser.parse_args(argv)
    for name in ('leftImg8bit', 'gtFine'):
        if not (args.path / name).is_dir():
            parser.error(f'{args.path} has no folder {name}: {LAYOUT}')
    splits = {}
    for split in args.splits:
        end, annotations = find_annotations(args.path, split)
        splits[split] = end, make_jobs(args.path, split, end, annotations)
        if end == LABEL_IDS:
            print(
                f'warning: {args.path / "gtFine" / split} has no *{INSTANCE_IDS}, only '
                f'*{LABEL_IDS}: nothing tells one thing from another there, so all things become '
                'crowds, from which no model learns. gtFine_trainvaltest.zip has both.',
                file=sys.stderr,
            )
    for split, (end, jobs) in splits.items():
        path = (args.out or args.path) / 'annotations' / f'panoptic_{split}.json'
        recipe = dict(made_by='cityscapes_panoptic.py', version=VERSION, annotations=end)
        way = dict(workers=args.workers, overwrite=args.overwrite)
        convert(jobs, read, categories(), path, recipe=recipe, **way)
