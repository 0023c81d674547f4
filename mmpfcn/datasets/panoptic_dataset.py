"""A data set in COCO's panoptic format, whatever its files and categories are called."""

import logging
import os.path as osp
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from ..formats.panoptic_json import arrange_classes, read_panoptic_json
from ..formats.read_image import read_image
from .inner_datasets import wrapped
from .load_image import pixel_rule, require_rule, transforms_of
from .replayable_sampler import SampleIndex, seeded

LEFT_BEHIND = 'it leaves the semantic map behind'
MIXING = 'Mosaic', 'MixUp', 'CachedMosaic', 'CachedMixUp', 'RandomAffine', 'RandomShift'
REFUSED = dict(
    RandomErasing='it writes into the masks, which are one map here',
    SegRescale='the semantic map would have another size than the image',
    **dict.fromkeys(MIXING, LEFT_BEHIND),
)
"""Transforms of mmdet that do not work behind LoadPanopticGroundTruth, and why."""


def check_transforms(dataset: Any, behind: Sequence[str] = ()) -> None:
    """Refuse transforms that leave a part of the ground truth behind, in wrappers as well.

    Raises ValueError where the ``pipeline`` of a data set, or of a wrapper of such as mmdet's
    ``MultiImageMixDataset``, has one of :data:`REFUSED`, or ``CopyPaste`` without ``PaintThings``
    behind it; ``behind`` are the transforms of its wrappers. Also as :func:`require_rule`.
    """
    pipeline = getattr(dataset, 'pipeline', None)
    names = [*(type(step).__name__ for step in transforms_of(pipeline)), *behind]
    require_rule(pixel_rule(dataset), pipeline)
    for inner in wrapped(dataset):
        check_transforms(inner, names)
    if 'LoadPanopticGroundTruth' not in names:
        return
    for name in names:
        if name in REFUSED:
            raise ValueError(
                f'{name} can not be used behind LoadPanopticGroundTruth: {REFUSED[name]}. Leave '
                f'{name} out of the pipeline'
            )
    if 'CopyPaste' in names and 'PaintThings' not in names[names.index('CopyPaste') :]:
        raise ValueError(
            f'CopyPaste can not be used behind LoadPanopticGroundTruth alone: {LEFT_BEHIND}. Add '
            'dict(type="PaintThings") behind it'
        )


def median_grey(path: str) -> float:
    """Of an image, from 0 to 255."""
    return float(np.median(cv2.cvtColor(read_image(path), cv2.COLOR_BGR2GRAY)))


@DATASETS.register_module()
class PanopticDataset(BaseDetDataset):
    """Images with a COCO panoptic JSON and its PNGs, for panoptic models of mmpfcn and mmdet.

    Labels are things first, whatever the order of the JSON's categories, and which are things is
    said by the JSON's ``isthing`` or by ``metainfo``; category ids may come in any order and with
    gaps. A PNG is found by the ``file_name`` of its annotation. (``CocoPanopticDataset`` takes the
    JSON's order, and the image's name with ``.jpg`` replaced.) Segments of a category that
    ``metainfo`` leaves out are void.

    A record has ``img_path``, ``img_id``, ``height``, ``width``, ``seg_map_path`` (None in a file
    without annotations), ``seg_file_name`` (the PNG's name in the JSON), ``instances`` (of objects
    that are no crowds: ``bbox`` as x1, y1, x2, y2 in pixels where the JSON has one, ``bbox_label``,
    ``ignore_flag``) and ``segments_info`` (``id``: value in the PNG, ``category``: label,
    ``is_thing``: False for crowds as well, ``iscrowd``), in the order of the JSON.

    Args:
        ann_file: COCO panoptic JSON.
        metainfo: ``thing_classes`` and ``stuff_classes``, or ``classes``, to choose and order
            classes of the JSON; ``palette``. None for all classes of the JSON.
        data_root: folder of ``ann_file`` and ``data_prefix``.
        data_prefix: ``img``: folder of the images' ``file_name``; ``seg``: of the annotations'.
        filter_cfg: ``filter_empty_gt=True`` leaves out images without things, ``min_size`` those
            with a smaller side, in pixels, ``min_median`` those with a smaller median grey value
            (as of 8 bits; each image is read for it). For training only.
        indices: use these images only, or so many first ones; after the filter.
        serialize_data: share the records among workers.
        pipeline: transforms.
        test_mode: do not filter.
        lazy_init: do not read the JSON yet; until then ``metainfo`` is that of the config.
        max_refetch: attempts when a transform returns None.
        backend_args: of mmengine's file client.

    Raises:
        FileNotFoundError: the JSON is not there.
        ValueError: as :func:`read_panoptic_json` and :func:`arrange_classes`; there are no
            annotations to train on, no image is left, or a transform is one of :data:`REFUSED`.
    """

    def __init__(
        self,
        ann_file: str,
        metainfo: Mapping | None = None,
        data_root: str = '',
        data_prefix: dict = dict(img='', seg=''),  # noqa: B006 (never modified)
        filter_cfg: dict | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(
            ann_file=ann_file, metainfo=metainfo, data_root=data_root, data_prefix=data_prefix,
            filter_cfg=filter_cfg, indices=indices, serialize_data=serialize_data,
            pipeline=list(pipeline), test_mode=test_mode, lazy_init=lazy_init,
            max_refetch=max_refetch, backend_args=backend_args,
        )  # fmt: skip
        check_transforms(self)

    def __getitem__(self, idx: int) -> dict:
        """A sample, augmented as the index says if it comes from :class:`ReplayableSampler`."""
        if not isinstance(idx, SampleIndex):
            return super().__getitem__(idx)
        with seeded(idx.seed):
            return super().__getitem__(idx)

    def load_data_list(self) -> list[dict]:
        """Read the JSON and arrange its classes."""
        content = read_panoptic_json(self.ann_file, self.backend_args)
        self._metainfo.update(arrange_classes(content.categories, self._metainfo, self.ann_file))
        labels = {id_: label for label, id_ in enumerate(self._metainfo['category_ids'])}
        # None: in the file, but left out by metainfo
        self.cat2label = {c['id']: labels.get(c['id']) for c in content.categories}
        if content.annotations is None:
            if not self.test_mode:
                raise ValueError(
                    f'{self.ann_file} has no annotations, so there is nothing to train on: take '
                    'the JSON of an annotated split, or set test_mode=True for inference'
                )
            return [self._parse_image(image, None) for image in content.images]
        annotated = [image for image in content.images if image['id'] in content.annotations]
        if not annotated:
            raise ValueError(
                f'{self.ann_file}: no annotation has an image_id that is the id of an image, such '
                f'as {content.images[0]["id"]!r}: write the same ids in both'
            )
        missing = [x['file_name'] for x in content.images if x['id'] not in content.annotations]
        if missing:
            print_log(
                f'{self.ann_file}: {len(missing)} of {len(content.images)} images are left out '
                f'because they have no annotation, such as {missing[0]}',
                logger='current',
                level=logging.WARNING,
            )
        return [self._parse_image(image, content.annotations[image['id']]) for image in annotated]

    def _parse_image(self, image: dict, annotation: dict | None) -> dict[str, Any]:
        seg_file_name, segments = osp.splitext(image['file_name'])[0] + '.png', []
        if annotation is not None:
            seg_file_name, segments = annotation['file_name'], self._parse_segments(annotation)
        return dict(
            img_path=osp.join(self.data_prefix['img'], image['file_name']),
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            seg_map_path=annotation and osp.join(self.data_prefix['seg'], seg_file_name),
            seg_file_name=seg_file_name,
            instances=[s.pop('instance') for s in segments if 'instance' in s],
            segments_info=segments,
        )

    def _parse_segments(self, annotation: dict) -> list[dict]:
        num_things = len(self._metainfo['thing_classes'])
        segments = []
        for info in annotation['segments_info']:
            label = self.cat2label[info['category_id']]
            if label is None:
                continue
            crowd = bool(info.get('iscrowd', 0))
            is_object = label < num_things and not crowd
            segment = dict(id=info['id'], category=label, is_thing=is_object, iscrowd=crowd)
            if is_object:
                segment['instance'] = dict(bbox_label=label, ignore_flag=0)
                if info.get('bbox'):
                    x, y, w, h = info['bbox']
                    segment['instance']['bbox'] = [x, y, x + w, y + h]
            segments.append(segment)
        return segments

    def filter_data(self) -> list[dict]:
        """Leave out images as ``filter_cfg`` says; never in ``test_mode``, nor all of them."""
        if self.test_mode or self.filter_cfg is None:
            return self.data_list
        things_only = self.filter_cfg.get('filter_empty_gt', False)
        min_size = self.filter_cfg.get('min_size', 0)
        min_median = self.filter_cfg.get('min_median', 0)
        kept = [
            record
            for record in self.data_list
            if min(record['height'], record['width']) >= min_size
            and (record['instances'] or not things_only)
            and (not min_median or median_grey(record['img_path']) >= min_median)
        ]
        if not kept:
            raise ValueError(
                f'none of the {len(self.data_list)} images of {self.ann_file} passes '
                f'filter_cfg={dict(self.filter_cfg)}: filter_empty_gt=True leaves out images '
                'without things, min_size and min_median smaller and darker ones; set '
                'filter_empty_gt=False for data without things, or lower the others'
            )
        if len(kept) < len(self.data_list):
            counts = f'{len(kept)} of {len(self.data_list)} images'
            message = f'{self.ann_file}: {counts} pass filter_cfg={dict(self.filter_cfg)}'
            print_log(message, logger='current')
        return kept
