"""The panoptic segmentation of one image, in plain types."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmdet.structures import DetDataSample

from ..formats.atomic_files import write_atomic
from ..formats.coco_results import PICTURE_FOLDER, Segmentation, coco_instances
from ..structures.label_map import segment_boxes, segment_index
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
        segments = [Segment(s['id'], s['label'], s['score']) for s in self.segments_info]
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
