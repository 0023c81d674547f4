"""The kinds of problems of a panoptic data set, and what each does to a run."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

OUTCOMES = {
    'stops': 'STOPS',
    'wrong': 'SILENTLY WRONG',
    'void': 'BECOMES VOID',
    'dropped': 'LEFT OUT',
    'harmless': 'HARMLESS',
}
"""In the order of the report; the first two make a data set unfit."""

UNFIT = ('stops', 'wrong')
MAX_EXAMPLES = 1000  # of each kind, that a report file lists; all are counted


AT_START = 'the run stops before the first iteration'
IN_TURN = "the run stops when the image's turn comes, maybe hours after the start"
COPY = 'copy the file again, or take its record out of the JSON'


class Kind(NamedTuple):
    """A kind of problem: what is wrong, what to do, and what a run makes of it.

    The run is one with ``PanopticDataset``, ``LoadImage`` and ``LoadPanopticGroundTruth``; outcome
    is a key of ``OUTCOMES``, effect the same in a sentence.
    """

    title: str
    remedy: str
    outcome: str = 'stops'
    effect: str = AT_START


KINDS = {
    'json': Kind('annotation file unusable', 'see the message; docs/datasets.md shows the format'),
    'field': Kind(
        'record without a field it needs, or with one of no use',
        'add or mend the field in the JSON (docs/datasets.md shows the format), or remove the '
        'record',
    ),
    'no_annotations': Kind(
        'JSON without annotations',
        'take the JSON of an annotated split; that of a test split serves for inference only',
        effect='there is nothing to train on or to measure by',
    ),
    'metainfo': Kind(
        'metainfo of the config does not fit the JSON',
        'mend thing_classes, stuff_classes or classes in the metainfo of the data set',
    ),
    'class_counts': Kind(
        "class counts of the model are not the data set's",
        'set the numbers given here in the config',
    ),
    'start': Kind('data set that a run can not build', 'see the message, which is that of the run'),
    'category_id': Kind('several categories share an id', 'give each category its own id'),
    'category_name': Kind('several categories share a name', 'give each category its own name'),
    'isthing': Kind(
        'category without isthing',
        'add "isthing": 1 (countable things) or 0 (stuff) to each category, or name the classes '
        'in the config by metainfo=dict(thing_classes=(...), stuff_classes=(...))',
    ),
    'image_id': Kind('several images share an id', 'give each image its own id'),
    'annotation_twice': Kind(
        'image with several annotations',
        'join their segments_info, or remove all annotations of the image but one',
    ),
    'unknown_category': Kind(
        'segment of an unknown category',
        'add the category to the JSON or mend the category_id of the segment',
    ),
    'segment_range': Kind(
        'segment id that a PNG can not hold',
        'number the segment from 1 to 16777215, in JSON and PNG (0 is void)',
    ),
    'segment_id': Kind(
        'several segments of an image share an id', 'join or renumber them, in JSON and PNG',
    ),
    'image_missing': Kind(
        'image file missing',
        'mend the images folder (data_root, data_prefix.img, --images) or file_name, or take the '
        'image out of the JSON', effect=IN_TURN,
    ),
    'image_broken': Kind('image cut off or no image', COPY, effect=IN_TURN),
    'channels': Kind(
        "channels or bits that LoadImage of the pipeline does not read",
        'set channels, and ranges or percentiles, of LoadImage (docs/datasets.md), or mend the '
        'image', effect=IN_TURN,
    ),
    'png_missing': Kind(
        'panoptic PNG missing',
        'mend the PNG folder (data_root, data_prefix.seg, --png) or the file_name of the '
        'annotation, or take the image out of the JSON', effect=IN_TURN,
    ),
    'png_broken': Kind('panoptic PNG cut off or no PNG', COPY, effect=IN_TURN),
    'png_type': Kind(
        'panoptic PNG of a wrong type',
        'write it as RGB with 8 bits and the id R + 256 G + 65536 B; maps of class and instance '
        'ids are converted by tools/dataset_converters/id_maps_panoptic.py', effect=IN_TURN,
    ),
    'png_size': Kind(
        'image and panoptic PNG of different size', 'make one of them anew', effect=IN_TURN,
    ),
    'exif_turned': Kind(
        'image turned by its EXIF orientation, PNG not',
        'store the image upright without the tag, as the PNG is', effect=IN_TURN,
    ),
    'exif_unsure': Kind(
        'image with an EXIF orientation that its size does not show',
        'store the image without the tag, the way it was annotated', 'wrong',
        'it is loaded turned or mirrored: wrong unless it was annotated so',
    ),
    'bits': Kind(
        'image of more than 8 bits that is cut to 8',
        'set channels, and ranges or percentiles, of LoadImage (docs/datasets.md)', 'wrong',
        'the upper 8 bits are taught: 12 bits in a file of 16 are 16 shades of nearly black',
    ),
    'png_name': Kind(
        'several annotations name one PNG',
        'give each annotation its own file_name; names may have sub-folders', 'wrong',
        'all of these images are taught the segments of the same PNG',
    ),
    'stuff_twice': Kind(
        'stuff class with several segments in an image',
        'join the segments, in JSON and PNG: stuff has one segment a class and image', 'wrong',
        'it trains well, but only one of them can be matched, so PQ comes out too low',
    ),
    'unknown_pixels': Kind(
        'pixels whose id has no segment in the JSON',
        'add the segments to the JSON, or set the pixels to 0 if they are meant to be void', 'void',
        'they are void, with a warning: not taught and not judged',
    ),
    'no_pixels': Kind(
        'segment without pixels', 'remove it from the JSON, or draw it', 'dropped',
        'it is not taught, with a warning; in PQ it counts as missed',
    ),
    'no_annotation': Kind(
        'image without annotation', 'annotate it or remove it from the JSON', 'dropped',
        'the image is not used',
    ),
    'no_image': Kind(
        'annotation without image', 'add the record of the image or remove the annotation',
        'dropped', 'the annotation is not used',
    ),
    'image_name': Kind(
        'several images name one file', 'remove the repeated records', 'harmless',
        'the picture is seen more often',
    ),
    'json_size': Kind(
        "size in the JSON is not the image's", 'mend height and width in the JSON', 'harmless',
        'files count; the JSON only sorts images by shape and min_size',
    ),
    'area': Kind(
        "area in the JSON is not the PNG's", 'mend area in the JSON', 'harmless',
        'pixels count; panopticapi and the stock metric, which read the JSON, give another PQ',
    ),
    'bbox': Kind(
        "bbox in the JSON is not the PNG's", 'mend bbox in the JSON: [x, y, width, height]',
        'harmless', 'boxes are taken from the pixels',
    ),
}  # fmt: skip


class Problem(NamedTuple):
    """One finding: its kind, the file and what is wrong there, and how often there."""

    kind: str
    text: str
    count: int = 1


class Findings:
    """All problems counted, the first ``MAX_EXAMPLES`` of each kind kept."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, problems: Iterable[Problem]) -> None:
        for kind, text, count in problems:
            self.places[kind] += 1
            self.counts[kind] += count
            examples = self.examples.setdefault(kind, [])
            if len(examples) < MAX_EXAMPLES:
                examples.append(text)

    def kinds(self) -> list[str]:
        """Kinds found, the worst outcome first."""
        order = list(OUTCOMES)
        return sorted(self.counts, key=lambda kind: order.index(KINDS[kind].outcome))

    @property
    def unfit(self) -> bool:
        """Whether a run would stop or be wrong."""
        return any(KINDS[kind].outcome in UNFIT for kind in self.counts)
