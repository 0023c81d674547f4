"""The picture of one image of a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset

from mmpfcn.datasets.inner_datasets import dataset_of, metainfo_of
from mmpfcn.datasets.load_image import picture
from mmpfcn.formats.pixels import preview
from mmpfcn.visualization import ground_truth as gt
from mmpfcn.visualization.colors import class_palette
from mmpfcn.visualization.drawing import Segment, draw_panoptic, join_panels, resize, stack_rows
from mmpfcn.visualization.targets import draw_objects_by_level, level_row, target_names

from .targets import TargetPipeline, TrainingSample

MIN_AREA = 640 * 480  # px of a panel: smaller images are enlarged, or no text would fit
MAX_AREA = 1280 * 960  # unless there are all the panels of the targets


class Picture(NamedTuple):
    """A finished picture and what is to be said about it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    preview: np.ndarray  # the part of it that has the ground truth
    name: str  # of the image's file
    facts: str  # what there is in it
    labels: list[int]  # of its segments


class Browser(NamedTuple):
    """Draws images of a data set."""

    dataset: BaseDataset  # with a pipeline whose last transform packs
    target_pipeline: TargetPipeline | None  # makes the targets to draw; None to draw none
    original: bool  # also draw the files as they are, without the pipeline

    def draw(self, index: int) -> Picture:
        """The picture of one image.

        OSError, ValueError or AssertionError: a file is wrong, or there is no ground truth.
        """
        data = self.dataset[index]
        sample = data['data_samples']
        image = preview(data['inputs'].numpy().transpose(1, 2, 0))[..., ::-1].copy()
        info = self.dataset.get_data_info(index)
        # Where the pipeline gives nothing, mmdet draws another image.
        path = sample.get('img_path', info['img_path'])
        name = Path(path).name
        ground, truth = self._ground_truth(sample, image, path)
        rows = [self._original_row(info)] if self.original else []
        facts = self._describe(truth)
        title = f'ground truth: {facts}'
        if self.target_pipeline is None:
            overlay = self._overlay(ground, truth)
            panels = [(f'{name}: input, {_size(image)}', image), (title, overlay)]
            rows.append(self._row(panels))
        else:
            sample = self.target_pipeline.make(image, data)
            canvas = resize(sample.image, self._panel_size(sample.image))
            stride = len(sample.image) / len(canvas)
            h, w = (round(side / stride) for side in sample.size)  # what is no padding
            overlay, ids = canvas.copy(), resize(truth.ids, (h, w))
            overlay[:h, :w] = self._draw(canvas[:h, :w], ids, truth.segments)
            padded = f'{name}: input, {_size(image)}, padded to {_size(sample.image)}'
            panels = [(padded, canvas), (title, overlay)]
            rows += self._target_rows(sample, canvas, panels)
        labels = [segment.label for segment in truth.segments]
        return Picture(stack_rows(rows), overlay, name, facts, labels)

    @property
    def _things(self) -> set[int]:
        metainfo = metainfo_of(self.dataset)
        if 'thing_classes' in metainfo:
            return gt.thing_labels(metainfo)
        return set(range(len(metainfo['classes'])))  # a data set of objects

    def _ground_truth(
        self, sample: DetDataSample, image: np.ndarray, image_path: str
    ) -> tuple[np.ndarray, gt.GroundTruth]:
        """The ground truth of a sample, and the image that it lies on."""
        if 'masks' in sample.gt_instances:
            return image, gt.from_objects(sample, self._things)
        if self.target_pipeline is not None:
            raise ValueError(
                'the pipeline of this split loads no masks, so there are no targets to show: look '
                'at the train split, or leave --targets out'
            )
        # Without objects it is for testing: at the size of the file, whatever the input's.
        if 'gt_panoptic_seg' in sample:
            return self._read_image(image_path), gt.from_map(sample.gt_panoptic_seg)
        path = sample.get('seg_map_path')
        if path is None:
            raise ValueError(
                'the pipeline gives no ground truth: it lacks LoadPanopticGroundTruth, or the JSON '
                'has no annotations'
            )
        truth = self._read_png(path, sample.get('segments_info', ()), image_path)
        return self._read_image(image_path), truth

    def _original_row(self, info: dict) -> np.ndarray:
        image = self._read_image(info['img_path'])
        panels = [(f'{Path(info["img_path"]).name}: file, {_size(image)}', image)]
        if info.get('seg_map_path') is not None:
            truth = self._read_png(info['seg_map_path'], info['segments_info'], info['img_path'])
            title = f'its annotation: {self._describe(truth)}'
            panels.append((title, self._overlay(image, truth)))
        return self._row(panels)

    def _target_rows(
        self, sample: TrainingSample, canvas: np.ndarray, panels: list[tuple[str, np.ndarray]]
    ) -> list[np.ndarray]:
        """The panels and the objects by level; then a row for each level."""
        metainfo, assigner = metainfo_of(self.dataset), self.target_pipeline.head.assigner
        names = target_names(
            metainfo['classes'],
            class_palette(metainfo),
            assigner.num_things_classes,
            assigner.separate_thing_regions,
        )
        stride = len(sample.image) / len(canvas)
        by_level = draw_objects_by_level(canvas, sample.objects, stride, names.classes)
        lost = sum(not item.levels for item in sample.objects)
        note = f', {lost} of them without' if lost else ''
        title = f'levels of {len(sample.objects)} objects{note}'
        levels = zip(sample.targets.levels, assigner.scale_ranges, strict=True)
        return [
            join_panels([*panels, (title, by_level)]),
            *(
                level_row(number, canvas, level, sample.objects, scale_range, names)
                for number, (level, scale_range) in enumerate(levels)
            ),
        ]

    def _overlay(self, image: np.ndarray, truth: gt.GroundTruth) -> np.ndarray:
        if truth.ids.shape != image.shape[:2]:
            raise ValueError(
                f'the ground truth is {truth.ids.shape} (H, W) but the image is {image.shape[:2]}'
            )
        size = self._panel_size(image)
        return self._draw(resize(image, size), resize(truth.ids, size), truth.segments)

    def _draw(self, image: np.ndarray, ids: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
        metainfo = metainfo_of(self.dataset)
        classes, palette = metainfo['classes'], class_palette(metainfo)
        return draw_panoptic(image, ids, segments, classes, palette, hatch_void=True)

    def _describe(self, truth: gt.GroundTruth) -> str:
        """Such as "5 things, 3 stuff, 1 crowd, 12 % void"."""
        crowds = sum(segment.crowd for segment in truth.segments)
        things = sum(segment.label in self._things for segment in truth.segments) - crowds
        stuff = len(truth.segments) - things - crowds
        counts = {'thing' if things == 1 else 'things': things, 'stuff': stuff, 'crowd': crowds}
        values = np.array([segment.id for segment in truth.segments], np.int64)
        void = 1 - np.isin(truth.ids, values).mean()
        parts = [f'{number} {name}' for name, number in counts.items() if number]
        return ', '.join([*parts, f'{100 * void:.1f} % void'])

    def _panel_size(self, image: np.ndarray) -> tuple[int, int]:
        """(H, W) of an image scaled to the area of a panel."""
        height, width = image.shape[:2]
        area, most = height * width, MAX_AREA if self.target_pipeline is None else MIN_AREA
        factor = (min(max(area, MIN_AREA), most) / area) ** 0.5
        return max(1, round(height * factor)), max(1, round(width * factor))

    def _row(self, panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
        """Panels of about one shape side by side, at the size of the last."""
        size = self._panel_size(panels[-1][1])
        return join_panels([(title, resize(image, size)) for title, image in panels])

    def _read_png(self, path: str, segments: Sequence[dict], image_path: str) -> gt.GroundTruth:
        backend_args = getattr(dataset_of(self.dataset, image_path), 'backend_args', None)
        return gt.from_png(path, segments, self._things, backend_args)

    def _read_image(self, path: str) -> np.ndarray:
        return picture(self.dataset, path)


def _size(image: np.ndarray) -> str:
    return f'{image.shape[0]} x {image.shape[1]}'
