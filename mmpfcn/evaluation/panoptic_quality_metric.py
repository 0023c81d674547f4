"""PQ from the predictions as they come: no map is kept."""

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from mmdet.registry import METRICS
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from terminaltables import AsciiTable

from ..formats.coco_results import categories
from ..formats.label_map import find_runs
from ..formats.safe_names import name_below
from .panoptic_files import (
    Wanted,
    check_writable,
    name_predictions,
    write_coco_json,
    write_per_image_file,
    write_prediction,
)
from .panoptic_maps import match_sample, predicted_map, predicted_scores, predicted_segments
from .panoptic_quality import STATISTICS, Segment, class_quality, count_matching, mean_quality


@METRICS.register_module()
class PanopticQualityMetric(BaseMetric):
    """PQ, SQ and RQ of all, thing and stuff classes, in percent.

    Matches are counted as panopticapi does, see :func:`match_segments`; of an image the counts of
    its classes are kept, and what the files say. The ground truth is ``gt_panoptic_seg`` of the
    data sample where the pipeline gave it (``LoadPanopticGroundTruth(panoptic=True)``); otherwise
    the PNG ``seg_map_path`` is read, with ``segments_info`` of the data sample. Pixels of its
    segments count, all others are void. Classes come from the data set: ``classes`` and
    ``thing_classes`` of its metainfo.

    Predictions are ``pred_panoptic_seg.sem_seg`` (1, H, W), ``label + instance * INSTANCE_OFFSET``,
    at the size of the ground truth; void has the label C or the ``ignore_index`` beside it. They
    are not changed. (mmdet's ``CocoPanopticMetric`` changes them: list it last.)

    In a distributed test the samples that mmengine's sampler repeats at the end do not count.

    Args:
        classwise: log a table of all classes.
        per_image_file: CSV with PQ, SQ, RQ (means over the classes in the image), TP, FP and FN of
            each image, lowest PQ first; written when all are done.
        outfile_prefix: write the predictions for the COCO server: ``{outfile_prefix}.panoptic/``
            with PNGs named by ``seg_file_name`` of the data sample (by the image's name without
            it), and ``{outfile_prefix}.panoptic.json`` with ``category_ids`` of the metainfo and
            scores where the model gives them. Data sets that are joined may share names and ids of
            images: the second image 7, 7.png, is '7_2', 7_2.png.
        format_only: only write them; a ground truth is not needed.
        backend_args: of mmengine's file client, for ``seg_map_path``.
        collect_device, prefix: as of mmdet's metric, whose prefix 'coco_panoptic' is the default.

    Raises:
        ValueError: the arguments contradict each other, or a data sample lacks something, has
            another size than its prediction, or labels beyond the classes.
    """

    default_prefix = 'coco_panoptic'

    def __init__(
        self,
        classwise: bool = False,
        per_image_file: str | None = None,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and outfile_prefix is None:
            raise ValueError(
                'format_only=True writes predictions and nothing else: say where by '
                "outfile_prefix, such as 'work_dirs/results'"
            )
        if format_only and per_image_file is not None:
            raise ValueError(
                'format_only=True measures nothing, so there is nothing for '
                f'per_image_file={per_image_file!r}: leave one of them out'
            )
        self.classwise, self.format_only = classwise, format_only
        self.outfile_prefix, self.backend_args = outfile_prefix, backend_args
        coco = None if outfile_prefix is None else f'{outfile_prefix}.panoptic.json'
        targets = dict(images=per_image_file, coco=coco)
        self.targets = {name: path for name, path in targets.items() if path is not None}
        # of each image its n classes, their statistics (n, 4), and its records in the files
        self._images: list[tuple[np.ndarray, np.ndarray, dict]] = []

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Measure a batch, a dict of each data sample."""
        if not self._images:
            for target in self.targets.values():
                check_writable(target)
        for sample in data_samples:
            self._images.append(self._measure(sample))

    def evaluate(self, size: int) -> dict[str, float]:
        """The results of a data set of ``size`` samples; resets the metric.

        The processes take the samples in turn, and the first ones a second time where the last
        round lacks some.
        """
        self.results, self._images = self._images, []
        rank, world_size = get_dist_info()
        if len(self.results) > math.ceil(size / world_size):
            raise ValueError(
                f'{len(self.results)} samples came to process {rank} of {world_size} for a data '
                f"set of {size}: use mmengine's DefaultSampler and give evaluate the number of "
                'samples'
            )
        if 'coco' in self.targets:
            self._name_predictions(size)
        return super().evaluate(size)

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """The percentages, from all images in the order of the data set."""
        for name, target in self.targets.items():
            records = [records[name] for _, _, records in results]
            if name == 'images':
                write_per_image_file(target, records)
            else:
                write_coco_json(target, records, categories(self.dataset_meta))
            print_log(f'Wrote {target}', logger='current')
        if self.format_only:
            return {}
        total = np.zeros((len(self._meta('classes')), len(STATISTICS)))
        for labels, statistics, _ in results:
            total[labels] += statistics
        return self._report(total)

    def _measure(self, sample: Mapping) -> tuple[np.ndarray, np.ndarray, dict]:
        num_classes = len(self._meta('classes'))
        statistics, records = np.zeros((num_classes, len(STATISTICS))), {}
        if self.format_only:
            values = np.unique(find_runs(predicted_map(sample)).values)
            segments = predicted_segments(values, sample, num_classes)
        else:
            matching, segments = match_sample(sample, self._is_thing(), self.backend_args)
            statistics = count_matching(matching, num_classes)
        if 'images' in self.targets:
            records['images'] = per_image_record(statistics, sample)
        if 'coco' in self.targets:
            records['coco'] = self._write(segments, sample)
        labels = np.flatnonzero(statistics.any(1))
        return labels, statistics[labels], records

    def _write(self, segments: Mapping[int, Segment], sample: Mapping) -> dict:
        category_ids = self._meta('category_ids')
        named = sample.get('seg_file_name')
        name = name_below(named or f'{Path(sample["img_path"]).stem}.png')
        ids = [int(category_ids[segment.label]) for segment in segments.values()]
        path, pred = self._unnamed(len(self._images)), predicted_map(sample)
        infos = write_prediction(str(path.parent), path.name, pred, list(segments), ids)
        scores = predicted_scores(sample, segments, len(self._meta('classes')))
        for info, value in zip(infos, segments, strict=True):
            if value in scores:
                info['score'] = scores[value]
        wanted = Wanted(sample['img_id'], name, bool(named))
        return dict(**wanted._asdict(), segments_info=infos)

    def _unnamed(self, number: int) -> Path:
        """The PNG of this process until the names of all others are known."""
        rank, _ = get_dist_info()
        return Path(f'{self.outfile_prefix}.panoptic', f'.{rank}.{number}.part')

    def _name_predictions(self, size: int) -> None:
        """Name the PNGs and images of this process; the same names in any number of processes."""
        rank, world_size = get_dist_info()
        own = [records['coco'] for _, _, records in self.results]
        wanted = [Wanted(*(record[field] for field in Wanted._fields)) for record in own]
        shares = all_gather_object(wanted)
        in_order = [x for turn in zip_longest(*shares) for x in turn if x is not None][:size]
        names = name_predictions(in_order)
        for number, record in enumerate(own):
            unnamed, index = self._unnamed(number), number * world_size + rank
            del record['by_data_set']
            if index >= size:  # repeated, to fill the last turn
                unnamed.unlink()
                continue
            image_id, name = names[index]
            path = unnamed.parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            unnamed.replace(path)
            record.update(image_id=image_id, file_name=name)

    def _report(self, total: np.ndarray) -> dict[str, float]:
        is_thing = self._is_thing()
        quality = class_quality(total)
        groups = dict(All=is_thing | True, Things=is_thing, Stuff=~is_thing)
        rows = [['', 'PQ', 'SQ', 'RQ', 'categories']]
        metrics = {}
        for (name, group), suffix in zip(groups.items(), ('', '_th', '_st'), strict=True):
            mean, count = mean_quality(quality[group])
            rows.append([name, *percent(mean), count])
            for key, value in zip(('PQ', 'SQ', 'RQ'), mean.tolist(), strict=True):
                metrics[key + suffix] = 100 * value
        print_log(f'Panoptic quality:\n{AsciiTable(rows).table}', logger='current')
        if self.classwise:
            rows = [['category', 'PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN']]
            for name, values, row in zip(self._meta('classes'), quality, total, strict=True):
                rows.append([name, *percent(values), *row[1:].astype(int).tolist()])
            print_log(f'Panoptic quality by class:\n{AsciiTable(rows).table}', logger='current')
        return metrics

    def _is_thing(self) -> np.ndarray:
        """(C,) bool."""
        things = set(self._meta('thing_classes'))
        return np.array([name in things for name in self._meta('classes')], bool)

    def _meta(self, key: str) -> Sequence:
        if key not in (self.dataset_meta or {}):
            raise ValueError(
                f'PanopticQualityMetric needs {key} in the metainfo of the data set, which has '
                f'{sorted(self.dataset_meta or {})}: use PanopticDataset, or give '
                f'metainfo=dict({key}=[...]) to the data set of the config'
            )
        return self.dataset_meta[key]


def per_image_record(statistics: np.ndarray, sample: Mapping) -> list:
    """A row of the CSV."""
    quality, _ = mean_quality(class_quality(statistics))
    quality = [None if math.isnan(value) else 100 * value for value in quality.tolist()]
    counts = statistics[:, 1:].sum(0).astype(int).tolist()
    return [sample.get('img_id'), sample.get('img_path'), *quality, *counts]


def percent(values: np.ndarray) -> list[str]:
    """Fractions as text, '-' for nan."""
    return ['-' if math.isnan(value) else f'{100 * value:.3f}' for value in values]
