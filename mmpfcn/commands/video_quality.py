"""VPQ and STQ of the results of tracked videos against their ground truth.

    python tools/analysis_tools/video_quality.py RESULTS GROUND_TRUTH

RESULTS is a file of JSON lines of `mmpfcn predict --track`, or a folder with several. GROUND_TRUTH
is a JSON file in COCO's panoptic format, an image for each frame in their order, beside a folder of
its name with the PNGs, or a folder of these, called as the videos: as `mmpfcn convert
moving_shapes` writes them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmpfcn.evaluation.panoptic_quality import Segment
from mmpfcn.evaluation.video_quality import VideoQuality
from mmpfcn.formats.label_map import decode_segments
from mmpfcn.formats.panoptic_json import arrange_classes, read_panoptic_json
from mmpfcn.formats.panoptic_png import read_panoptic_png

from .options import error_text, new_parser, wrong_ends

Frame = tuple[np.ndarray, dict[int, Segment]]


def pairs_of(results: Path, truth: Path) -> list[tuple[Path, Path]]:
    """Results and ground truth of each video; ValueError where one lacks the other."""
    pairs = [(results, truth)]
    if results.is_dir():
        pairs = [(path, truth / f'{path.stem}.json') for path in sorted(results.glob('*.jsonl'))]
    if not pairs:
        raise ValueError(f'there are no JSON lines in {results}: expected *.jsonl')
    for found, expected in pairs:
        if not found.is_file():
            raise ValueError(f'there are no results {found}: expected JSON lines, or a folder')
        if not expected.is_file():
            raise ValueError(
                f'there is no ground truth {expected} of {found}: give a JSON file for a file of '
                'results, a folder of them, called as the videos, for a folder'
            )
    return pairs


def ground_truth(path: Path, labels: dict[int, int], annotations: list[dict]) -> Iterator[Frame]:
    for annotation in annotations:
        ids = read_panoptic_png(str(path.with_suffix('') / annotation['file_name']))
        yield ids, _segments(annotation, labels)


def predictions(path: Path, labels: dict[int, int]) -> Iterator[Frame]:
    """Frames of JSON lines, one at a time."""
    with path.open(errors='replace') as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                image, annotation = record['image'], record['annotation']
                segments = annotation['segments_info']
                rles, ids = [s['segmentation'] for s in segments], [s['id'] for s in segments]
                followed = all('track_id' in s for s in segments)
                shape = image['height'], image['width']
                frame = decode_segments(rles, ids, shape), _segments(annotation, labels)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f'line {number} of {path} is no frame of mmpfcn predict --track '
                    f'({error_text(error)}): predict the video again'
                ) from error
            if not followed:
                raise ValueError(
                    f'the ids in line {number} of {path} are not tracked, for it has segments '
                    'without track_id: predict the video again, with --track'
                )
            yield frame


def _segments(annotation: dict, labels: dict[int, int]) -> dict[int, Segment]:
    return {
        s['id']: Segment(labels[s['category_id']], bool(s.get('iscrowd')))
        for s in annotation['segments_info']
    }


def measure(pairs: list[tuple[Path, Path]]) -> VideoQuality:
    """All videos; ValueError where the numbers of frames, the sizes or the classes differ."""
    quality, classes = None, None
    for results, truth in pairs:
        content = read_panoptic_json(str(truth))
        arranged = arrange_classes(content.categories, {}, str(truth))
        classes = classes or arranged
        if arranged != classes:
            raise ValueError(f'{truth} has other categories than the ground truth before it')
        labels = {id_: label for label, id_ in enumerate(classes['category_ids'])}
        things = classes['thing_classes']
        quality = quality or VideoQuality([name in things for name in classes['classes']])
        if not (said := content.annotations):
            raise ValueError(f'{truth} has no annotations: results are measured against these')
        annotations = [said[image['id']] for image in content.images if image['id'] in said]
        found = 0
        for pred, gt in zip(
            predictions(results, labels), ground_truth(truth, labels, annotations), strict=False
        ):
            if gt[0].shape != pred[0].shape:
                raise ValueError(
                    f'frame {found} of {results} is {pred[0].shape} (H, W), its ground truth '
                    f'{gt[0].shape}: predict the video at its size'
                )
            try:
                quality.add(*gt, *pred)
            except ValueError as error:
                raise ValueError(f'frame {found} of {results} and {truth}: {error}') from error
            found += 1
        with results.open('rb') as lines:
            predicted = sum(1 for _ in lines)
        if not found == predicted == len(annotations):
            raise ValueError(
                f'{results} has {predicted} frames, {truth} {len(annotations)}: predict the whole '
                'video'
            )
        quality.end_video()
    return quality


def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument('results', type=Path, help='JSON lines, or a folder')
    parser.add_argument('ground_truth', type=Path, help='JSON file, or a folder')
    args = parser.parse_args(argv)
    with wrong_ends(parser):
        quality = measure(pairs_of(args.results, args.ground_truth))
    for name, value in quality.compute().items():
        print(f'{name:8}{100 * value:6.1f}')
    print(f'{quality.switches} changes of number in {quality.matches} objects found')
