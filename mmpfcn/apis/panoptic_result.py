"""The panoptic segmentation of one image, in plain types."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.structures import DetDataSample

from ..formats.atomic_files import write_atomic
from ..formats.coco_results import (
    PICTURE_FOLDER,
    Segmentation,
    category_ids,
    coco_instances,
    coco_record,
)
from ..formats.label_map import (
    decode_segments,
    encode_segments,
    segment_boxes,
    segment_index,
)
from ..structures import Tracker
from ..visualization.colors import class_palette
from ..visualization.drawing import Segment, draw_panoptic, enlarge
from ..visualization.labels import add_legend
from ..visualization.panoptic_visualizer import MIN_PANEL_HEIGHT


@dataclass
class PanopticResult(Segmentation):
    """A :class:`Segmentation` that draws itself, with the kernels of its segments.

    Attributes:
        kernels: (n, E) float32, that of each segment, without the channels of its place: the cosine
            of two says how alike two segments are, also of two images.
    """

    kernels: np.ndarray | None = None

    @classmethod
    def from_data_sample(
        cls, sample: DetDataSample, name: str, stem: str, image: np.ndarray, dataset_meta: Mapping
    ) -> 'PanopticResult':
        """From a data sample with the predictions of :class:`PanopticFCNFusionHead`."""
        ids, segments = _without_void(sample, dataset_meta)
        result = cls(name, stem, image, ids, segments, dataset_meta)
        if 'pred_instances' in sample:
            found = sample.pred_instances
            columns = (x.cpu().numpy() for x in (found.masks, found.labels, found.scores))
            result.instances = coco_instances(*columns, dataset_meta)
        if 'pred_sem_seg' in sample:
            result.semantic_seg = sample.pred_sem_seg.sem_seg[0].cpu().numpy()
        return result

    @classmethod
    def from_record(
        cls, record: Mapping, image: np.ndarray, dataset_meta: Mapping
    ) -> 'PanopticResult':
        """What :meth:`to_record` gave, of the same image, (H, W, 3) uint8 RGB; without kernels.

        ValueError for an image of another size.
        """
        size = record['image']['height'], record['image']['width']
        if image.shape[:2] != size:
            raise ValueError(
                f'the record of {record["image"]["file_name"]} is of {size} pixels (H, W), the '
                f'image has {image.shape[:2]}: give the image that was segmented'
            )
        said = record['annotation']['segments_info']
        labels = {id_: label for label, id_ in enumerate(category_ids(dataset_meta))}
        classes, things = dataset_meta['classes'], set(dataset_meta['thing_classes'])
        rles, ids = [s['segmentation'] for s in said], [s['id'] for s in said]
        segments, left_out = [], ('category_id', 'iscrowd', 'segmentation')
        for s in said:
            label = labels[s['category_id']]
            kept = {key: value for key, value in s.items() if key not in left_out}
            name = classes[label]
            segments.append(dict(kept, label=label, name=name, isthing=name in things))
        return cls(
            record['image']['file_name'],
            record['stem'],
            image,
            decode_segments(rles, ids, size),
            segments,
            dataset_meta,
            record.get('instances'),
        )

    def to_record(self) -> dict:
        """Plain values for JSON: of :func:`coco_record`, with ``segmentation``, the mask as COCO's
        RLE, of each segment, and ``track_id`` where it has one.
        """
        record = coco_record(self)
        rles = encode_segments(self.panoptic_seg, [s['id'] for s in self.segments_info])
        said = record['annotation']['segments_info']
        for entry, segment, rle in zip(said, self.segments_info, rles, strict=True):
            entry['segmentation'] = rle
            if 'track_id' in segment:
                entry['track_id'] = segment['track_id']
        return record

    def follow(self, tracker: Tracker) -> None:
        """Take this for the next frame of a video: things get the numbers of earlier frames.

        Each segment gets ``track_id``, 0 for stuff. The ids of things in the map become ``label +
        track_id * INSTANCE_OFFSET``, so an object has the same one in all frames. ValueError where
        there are no kernels, as after :meth:`from_record`.
        """
        if self.kernels is None:
            raise ValueError(
                f'{self.name} has no kernels, by which things are followed: take the result of the '
                'network, not of a record'
            )
        index = segment_index(self.panoptic_seg, [s['id'] for s in self.segments_info])
        numbers = tracker.update(index, self.segments_info, self.kernels)
        for segment, number in zip(self.segments_info, numbers, strict=True):
            segment['track_id'] = number
            if number:
                segment['id'] = segment['label'] + number * INSTANCE_OFFSET
        self.panoptic_seg = np.array([0, *(s['id'] for s in self.segments_info)], np.int32)[index]

    def draw(self, alpha: float = 0.6, legend: bool = False) -> np.ndarray:
        """The segments over the image, with outlines, names and scores.

        The colour of a class is always the same, its objects are shades of it. Images lower than
        480 px are enlarged, so that the texts fit.

        Args:
            alpha: opacity of the colours, in [0, 1].
            legend: name the classes below the picture, also those whose segments are too small for
                a text.

        Returns:
            (H', W', 3) uint8 RGB.
        """
        names, palette = self.dataset_meta['classes'], class_palette(self.dataset_meta)
        image, ids = (enlarge(x, MIN_PANEL_HEIGHT) for x in (self.image, self.panoptic_seg))
        segments = [
            Segment(s['id'], s['label'], s['score'], track=s.get('track_id', 0))
            for s in self.segments_info
        ]
        picture = draw_panoptic(image, ids, segments, names, palette, alpha)
        if not legend:
            return picture
        entries = [
            (names[label] if number == 1 else f'{names[label]} ({number})', palette[label])
            for label, number in sorted(Counter(s.label for s in segments).items())
        ]
        return add_legend(picture, entries)

    def write_picture(self, folder: Path, alpha: float = 0.6) -> None:
        """Write the drawn result, with a legend, to ``vis/<stem>.jpg`` in the folder."""
        jpeg = cv2.imencode('.jpg', self.draw(alpha, legend=True)[..., ::-1])[1]
        write_atomic(folder / PICTURE_FOLDER / f'{self.stem}.jpg', jpeg.tobytes())


def _without_void(sample: DetDataSample, dataset_meta: Mapping) -> tuple[np.ndarray, list[dict]]:
    """Ids with 0 for void (which no segment has: objects count from 1), and the segments."""
    panoptic, classes = sample.pred_panoptic_seg, dataset_meta['classes']
    ids, infos = panoptic.sem_seg[0].cpu().numpy(), panoptic.metainfo['segments_info']
    index = segment_index(ids, [info['id'] for info in infos])
    boxes = segment_boxes(index, len(infos))
    boxes[:, 2:] -= boxes[:, :2]
    segments = [
        dict(info, name=classes[info['label']], score=round(info['score'], 6), bbox=box)
        for info, box in zip(infos, boxes.tolist(), strict=True)
    ]
    return np.where(index > 0, ids, 0), segments
